// What states are called, and how bad they are.

/** @import { Notification } from "./bellwire.js" */

import { iconName } from "./icons.js";

/** The worst first. */
export const SEVERITY = {
  down: 3,
  critical: 3,
  unreachable: 2,
  unknown: 2,
  warning: 1,
  message: 0,
  other: 0,
  ok: 0,
  up: 0,
};

/** @typedef {keyof typeof SEVERITY} State */

/** @param {Pick<Notification, "kind" | "state">} notification @returns {State} never `other` */
export function stateOf({ kind, state }) {
  return kind === "message" ? kind : /** @type {State} */ (iconName(kind, state).split("-")[1]);
}

/** @param {Notification} notification @returns {"problem" | "recovery" | "message" | "other"} */
export function newsOf(notification) {
  const { kind, type } = notification;
  if (kind === "message") return kind;
  if (type && !/^(PROBLEM|RECOVERY)$/.test(type)) return "other";
  return type !== "RECOVERY" && SEVERITY[stateOf(notification)] > 0 ? "problem" : "recovery";
}
