// What outlives the page, in a storage that may be full, forbidden or damaged.

/** @import { Storage } from "./bellwire.js" */

export class Kept {
  #storage;
  /**
   * What the storage did not take. It goes before what stands there, which is older.
   * @type {Map<string, string>}
   */
  #instead = new Map();

  /** @param {Storage | null} storage */
  constructor(storage) {
    this.#storage = storage;
  }

  /**
   * @param {string} name
   * @returns {string | null}
   */
  read(name) {
    const instead = this.#instead.get(name);
    if (instead !== undefined) return instead;
    try {
      const text = this.#storage?.getItem(name);
      return typeof text === "string" ? text : null;
    } catch {
      return null;
    }
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  write(name, text) {
    this.#instead.set(name, text);
    if (!this.#storage) return;
    try {
      this.#storage.setItem(name, text);
      this.#instead.delete(name);
    } catch {
      // The tab goes on with its own copy; only a reload forgets it.
    }
  }
}
