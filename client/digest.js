// The tally of what is not shown by itself, for all tabs: any of them may show the next one.

/** @import { Notification } from "./bellwire.js" */
/** @import { Kept } from "./kept.js" */
/** @import { State } from "./states.js" */

import { recall } from "./memory.js";
import { newsOf, SEVERITY, stateOf } from "./states.js";

/** So many within WINDOW_MS are shown by themselves. */
export const SINGLES_MAX = 5;
/** After so long without another one a digest is over. */
export const WINDOW_MS = 30_000;

const NAME = "bellwireDigest";
const TITLE_LENGTH_MAX = 120;

/** @typedef {Pick<Notification, "kind" | "state" | "title"> & { severity: number }} Worst */

const NOTHING = {
  counts: /** @type {Partial<Record<State, number>>} */ ({}),
  worst: /** @type {Worst | null} */ (null),
  newest: "",
};

/**
 * `came`: when the last ones came, digested or not. `at`: when the last one was counted. `alerted`: the worst that was
 * not silent; it outlives a digest that is closed while the storm goes on.
 */
const START = { ...NOTHING, came: /** @type {number[]} */ ([]), at: 0, alerted: 0 };

export class Digest {
  #kept;
  #now;

  /** @param {Kept} kept @param {() => number} now the same in all tabs */
  constructor(kept, now) {
    this.#kept = kept;
    this.#now = now;
  }

  /** @param {Notification} notification @returns `null`: it is to be shown by itself */
  add(notification) {
    const at = this.#now();
    const tally = this.#read();
    const { alerted, counts, worst } = tally;
    const came = [...tally.came, at].slice(-SINGLES_MAX);
    if (!notification.digested && tally.came.length < SINGLES_MAX) return this.#write({ ...tally, came });
    const { kind, state } = notification;
    // An acknowledgement of something critical is not one more that is critical.
    const name = newsOf(notification) === "other" ? "other" : stateOf(notification);
    const severity = SEVERITY[name];
    const newest = notification.title.slice(0, TITLE_LENGTH_MAX);
    this.#write({
      came,
      at,
      alerted: Math.max(alerted, severity),
      counts: { ...counts, [name]: (counts[name] ?? 0) + 1 },
      worst: worst && worst.severity >= severity ? worst : { kind, state, title: newest, severity },
      newest,
    });
    return { isFirst: !worst, isWorse: severity > alerted };
  }

  get content() {
    const { counts, worst, newest } = this.#read();
    const states = /** @type {State[]} */ (Object.keys(SEVERITY));
    const parts = states.map((state) => ({ state, count: counts[state] ?? 0 })).filter(({ count }) => count > 0);
    return worst && { total: parts.reduce((sum, { count }) => sum + count, 0), parts, worst, newest };
  }

  /** The person has seen it: what comes is counted anew. */
  end() {
    this.#write({ ...this.#read(), ...NOTHING });
  }

  #read() {
    const isRecent = (/** @type {number} */ at) => at <= this.#now() && this.#now() - at < WINDOW_MS;
    const tally = recall(this.#kept, NAME, START);
    const came = Array.isArray(tally.came) ? tally.came.filter(isRecent) : [];
    return isRecent(tally.at) && tally.counts ? { ...tally, came } : { ...START, came };
  }

  /** @param {typeof START} tally */
  #write(tally) {
    this.#kept.write(NAME, JSON.stringify(tally));
    return null;
  }
}
