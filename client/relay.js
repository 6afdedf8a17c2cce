// A storage for the hub in a worker, which has none: tabs bring what they have kept, and keep what it writes.

/** @import { Clock, Storage } from "./bellwire.js" */

import { ignore } from "./port.js";
import { seenName } from "./seen.js";

/** A storm writes for each notification; what a crash may forget of it, the tabs that showed it know. */
export const WRITE_AFTER_MS = 50;

/** @implements {Storage} */
export class Relay {
  #clock;
  /** @type {Map<string, string>} */
  #items = new Map();
  /** @type {Record<string, string>} */
  #news = {};
  /** @type {unknown} */
  #timer = null;

  /** @type {(news: Record<string, string>) => void} */
  onWrite = ignore;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {Record<string, string>} kept */
  fill(kept) {
    for (const [name, text] of Object.entries(kept)) this.#items.set(name, text);
  }

  /** @param {string} name */
  getItem(name) {
    return this.#items.get(name) ?? null;
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  setItem(name, text) {
    this.#items.set(name, text);
    // The tab that shows one writes that itself; what a tab that hung hears late would push out what is newer.
    if (name.startsWith(seenName(""))) return;
    this.#news[name] = text;
    this.#timer ??= this.#clock.setTimeout(() => this.#write(), WRITE_AFTER_MS);
  }

  close() {
    this.#clock.clearTimeout(this.#timer);
    this.onWrite = ignore;
  }

  #write() {
    const news = this.#news;
    this.#news = {};
    this.#timer = null;
    this.onWrite(news);
  }
}
