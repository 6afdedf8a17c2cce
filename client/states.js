// What a state is called, and how bad it is.

/** @import { Notification } from "./bellwire.js" */

import { iconName } from "./icons.js";

/** How bad each is, the worst first. */
export const SEVERITY = Object.freeze({
  down: 3,
  critical: 3,
  unreachable: 2,
  unknown: 2,
  warning: 1,
  message: 0,
  other: 0,
  ok: 0,
  up: 0,
});

/** @typedef {keyof typeof SEVERITY} State */

export const STATES = /** @type {State[]} */ (Object.keys(SEVERITY));

/**
 * @param {Pick<Notification, "kind" | "state">} notification
 * @returns {State} never `other`
 */
export function stateOf({ kind, state }) {
  return kind === "message" ? kind : /** @type {State} */ (iconName(kind, state).split("-")[1]);
}

/**
 * Whether it tells a state, or something else: an acknowledgement, a downtime, a message.
 * @param {Notification} notification
 * @returns {"problem" | "recovery" | "other"}
 */
export function newsOf(notification) {
  const { kind, type = "" } = notification;
  if (kind === "message" || !["", "PROBLEM", "RECOVERY"].includes(type)) return "other";
  return type === "RECOVERY" || SEVERITY[stateOf(notification)] === 0 ? "recovery" : "problem";
}

/**
 * An acknowledgement of something critical is not one more that is critical.
 * @param {Notification} notification
 * @returns {State}
 */
export function countedAs(notification) {
  return notification.kind !== "message" && newsOf(notification) === "other" ? "other" : stateOf(notification);
}
