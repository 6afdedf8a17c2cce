// The tally of what is not shown by itself, for all tabs: any of them may show the next one.

/** @import { Notification } from "./bellwire.js" */
/** @import { Kept } from "./kept.js" */
/** @import { State } from "./states.js" */

import { recall } from "./memory.js";
import { countedAs, SEVERITY } from "./states.js";

/** So many within WINDOW_MS are shown by themselves. */
export const SINGLES_MAX = 5;
/** After so long without another one a digest is over. */
export const WINDOW_MS = 30_000;

const NAME = "bellwireDigest";
const TITLE_LENGTH_MAX = 120;

const NOTHING = {
  counts: /** @type {Partial<Record<State, number>>} */ ({}),
  worst: /** @type {Pick<Notification, "kind" | "state" | "title"> & { severity: number } | null} */ (null),
  newest: "",
};

const START = {
  ...NOTHING,
  /** When the last ones came, digested or not. */
  came: /** @type {number[]} */ ([]),
  /** When the last one was counted. */
  at: 0,
  /** The worst that was not silent. It outlives a digest that is closed while the storm goes on. */
  alerted: 0,
};

export class Digest {
  #kept;
  #now;

  /**
   * @param {Kept} kept
   * @param {() => number} now the same in all tabs
   */
  constructor(kept, now) {
    this.#kept = kept;
    this.#now = now;
  }

  /**
   * @param {Notification} notification
   * @returns {{ isFirst: boolean, isWorse: boolean } | null} `null`: it is to be shown by itself
   */
  add(notification) {
    const now = this.#now();
    const tally = this.#read();
    const isSingle = !notification.digested && tally.came.length < SINGLES_MAX;
    const came = [...tally.came, now].slice(-SINGLES_MAX);
    if (isSingle) return this.#write({ ...tally, came });
    const name = countedAs(notification);
    const severity = SEVERITY[name];
    const { alerted, counts, worst } = tally;
    const { kind, state } = notification;
    const title = notification.title.slice(0, TITLE_LENGTH_MAX);
    this.#write({
      came,
      at: now,
      alerted: Math.max(alerted, severity),
      counts: { ...counts, [name]: (counts[name] ?? 0) + 1 },
      worst: worst && worst.severity >= severity ? worst : { kind, state, title, severity },
      newest: title,
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
    const now = this.#now();
    const isRecent = (/** @type {number} */ at) => at <= now && now - at < WINDOW_MS;
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
