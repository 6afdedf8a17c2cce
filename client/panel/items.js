// What has come, newest first, and what of it somebody wants to see.

/** @import { Notification } from "../bellwire.js" */
/** @import { State } from "../states.js" */
/** @import { Filter } from "./parts.js" */

import { newsOf, SEVERITY, stateOf } from "../states.js";

/** As many as a browser keeps (see `recent()`). */
export const ITEMS_MAX = 10_000;

/** @type {Readonly<Filter>} */
export const ALL = Object.freeze({ kind: "", state: "", problems: false, text: "" });

/**
 * @param {Notification[]} notifications at least one
 * @returns {State} of the worst
 */
export function worstOf(notifications) {
  const states = notifications.map(stateOf);
  return states.reduce((worst, state) => (SEVERITY[state] > SEVERITY[worst] ? state : worst));
}

/**
 * @param {Filter} filter
 * @returns {(notification: Notification) => boolean}
 */
export function matcher({ kind, state, problems, text }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (n) =>
    (kind === "" || n.kind === kind) &&
    (state === "" || stateOf(n) === state) &&
    (!problems || newsOf(n) === "problem") &&
    (words.length === 0 || includesAll(n, words));
}

/**
 * @param {Notification} n
 * @param {string[]} words
 */
function includesAll({ title, body, host, service, type }, words) {
  const all = [title, body, host?.name, service?.name, type].join("\n").toLowerCase();
  return words.every((word) => all.includes(word));
}

export class Items {
  /** Oldest first: what is new goes to the end. @type {Notification[]} */
  #list = [];
  /** @type {Set<string>} */
  #ids = new Set();

  get size() {
    return this.#list.length;
  }

  /**
   * @param {Notification} notification
   * @returns {boolean} whether it was new
   */
  add(notification) {
    if (this.#ids.has(notification.id)) return false;
    this.#ids.add(notification.id);
    this.#list.push(notification);
    if (this.#list.length > ITEMS_MAX) this.#ids.delete(/** @type {Notification} */ (this.#list.shift()).id);
    return true;
  }

  /**
   * What other tabs of this browser were told before this page was there, or while it slept.
   * @param {Notification[]} recent newest first
   */
  merge(recent) {
    const news = recent.filter(({ id }) => !this.#ids.has(id)).reverse();
    // Stable: what came in one second stays in the order in which it came.
    this.#list = [...news, ...this.#list].sort((a, b) => a.timestamp - b.timestamp).slice(-ITEMS_MAX);
    this.#ids = new Set(this.#list.map(({ id }) => id));
  }

  /**
   * @param {Filter} filter
   * @param {number} first how many of the newest are left out
   * @param {number} count
   * @returns {{ total: number, rows: Notification[] }} all that match, and the rows asked for, newest first
   */
  select(filter, first, count) {
    const matches = matcher(filter);
    const rows = [];
    let total = 0;
    for (let at = this.#list.length - 1; at >= 0; at--) {
      const item = /** @type {Notification} */ (this.#list[at]);
      if (!matches(item)) continue;
      if (total >= first && rows.length < count) rows.push(item);
      total++;
    }
    return { total, rows };
  }
}
