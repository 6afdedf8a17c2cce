// What stands on the desktop, by tag, for all tabs: one tab's notification replaces that of another one.

/** @import { Kept } from "./kept.js" */

export const SHOWN_NAME = "bellwireShown";
export const SHOWN_MAX = 64;

/**
 * @typedef {object} Mark
 * @property {number} severity
 * @property {string} by whose it is: one id per notification; empty where it is to be closed
 */

export class Shown {
  #kept;

  /** @param {Kept} kept */
  constructor(kept) {
    this.#kept = kept;
  }

  /**
   * @param {string} tag
   * @returns {Mark | undefined}
   */
  get(tag) {
    return this.#read().get(tag);
  }

  /**
   * @param {string} tag
   * @param {Mark} mark
   */
  set(tag, mark) {
    const marks = this.#read();
    marks.delete(tag);
    marks.set(tag, mark);
    this.#write(marks);
  }

  /**
   * Only while it is still the same one's.
   * @param {string} tag
   * @param {string} by
   */
  delete(tag, by) {
    const marks = this.#read();
    if (marks.get(tag)?.by === by && marks.delete(tag)) this.#write(marks);
  }

  /** @returns {Map<string, Mark>} */
  #read() {
    try {
      const marks = JSON.parse(this.#kept.read(SHOWN_NAME) ?? "[]");
      return new Map(marks.map((/** @type {[string, number, string]} */ [tag, severity, by]) => [tag, { severity, by }]));
    } catch {
      return new Map();
    }
  }

  /** @param {Map<string, Mark>} marks */
  #write(marks) {
    const all = [...marks].slice(-SHOWN_MAX).map(([tag, { severity, by }]) => [tag, severity, by]);
    this.#kept.write(SHOWN_NAME, JSON.stringify(all));
  }
}
