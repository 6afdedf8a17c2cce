// The tally of what is not shown by itself. It is kept for all tabs: any of them may show the next one.

/** @import { Notification } from "./bellwire.js" */
/** @import { Kept } from "./kept.js" */
/** @import { State } from "./states.js" */

import { countedAs, SEVERITY, STATES } from "./states.js";

/** So many are shown by themselves within WINDOW_MS. */
export const SINGLES_MAX = 5;

/** After so long without another one a digest is over. */
export const WINDOW_MS = 30_000;

const NAME = "bellwireDigest";
const TITLE_LENGTH_MAX = 120;

/** @typedef {Pick<Notification, "kind" | "state" | "title"> & { severity: number }} Worst */

/**
 * @typedef {object} Tally
 * @property {number[]} came when the last ones came, digested or not
 * @property {number} at when the last one was digested
 * @property {number} alerted the worst that was not silent; outlives a digest that is closed while it goes on
 * @property {Partial<Record<State, number>>} counts
 * @property {Worst | null} worst
 * @property {string} newest
 */

const NOTHING = { counts: {}, worst: null, newest: "" };

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
    const tally = this.#read(now);
    const isStorm = tally.came.length >= SINGLES_MAX;
    tally.came = [...tally.came, now].slice(-SINGLES_MAX);
    const news = notification.digested || isStorm ? this.#count(tally, notification, now) : null;
    this.#write(tally);
    return news;
  }

  /** @returns {{ total: number, parts: [number, State][], worst: Worst, newest: string } | null} */
  get content() {
    const { counts, worst, newest } = this.#read(this.#now());
    if (!worst) return null;
    const parts = STATES.map((state) => /** @type {[number, State]} */ ([counts[state] ?? 0, state]));
    const total = parts.reduce((sum, [count]) => sum + count, 0);
    return { total, parts: parts.filter(([count]) => count > 0), worst, newest };
  }

  /** The person has seen it: what comes is counted anew. */
  end() {
    this.#write({ ...this.#read(this.#now()), ...NOTHING });
  }

  /**
   * @param {Tally} tally
   * @param {Notification} notification
   * @param {number} now
   */
  #count(tally, notification, now) {
    const name = countedAs(notification);
    const severity = SEVERITY[name];
    const isFirst = !tally.worst;
    const isWorse = severity > tally.alerted;
    const title = notification.title.slice(0, TITLE_LENGTH_MAX);
    tally.at = now;
    tally.alerted = Math.max(tally.alerted, severity);
    tally.counts = { ...tally.counts, [name]: (tally.counts[name] ?? 0) + 1 };
    tally.newest = title;
    const { kind, state } = notification;
    if (severity > (tally.worst?.severity ?? -1)) tally.worst = { kind, state, title, severity };
    return { isFirst, isWorse };
  }

  /**
   * @param {number} now
   * @returns {Tally}
   */
  #read(now) {
    const isRecent = (/** @type {unknown} */ at) => typeof at === "number" && at <= now && now - at < WINDOW_MS;
    /** @type {Tally} */
    let tally;
    try {
      tally = { came: [], at: 0, alerted: 0, ...NOTHING, ...JSON.parse(this.#kept.read(NAME) ?? "{}") };
      tally.came = tally.came.filter(isRecent);
    } catch {
      return { came: [], at: 0, alerted: 0, ...NOTHING };
    }
    return isRecent(tally.at) ? tally : { ...tally, alerted: 0, ...NOTHING };
  }

  /** @param {Tally} tally */
  #write(tally) {
    this.#kept.write(NAME, JSON.stringify(tally));
  }
}
