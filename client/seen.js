// Which notifications this browser has shown: the server repeats what it cannot know to have been shown.

/** @import { Kept } from "./kept.js" */

/** Over what may wait to be shown, so that the repeat of a whole queue is known (see QUEUE_MAX in connection.js). */
export const REMEMBERED_MAX = 32_768;

/** The storage is written with each notification, so it gets what a reload may meet again and no more. */
export const KEPT_MAX = 256;

const ID_LENGTH_MAX = 256;

/** @param {string} user */
export const seenName = (user) => `bellwireSeen:${user}`;

export class Seen {
  #kept;
  #name;
  /** @type {Set<string>} */
  #ids = new Set();
  /** Those that are kept. @type {Set<string>} */
  #last = new Set();
  /** @type {string | null} */
  #text = null;

  /**
   * @param {Kept} kept
   * @param {string} name
   */
  constructor(kept, name) {
    this.#kept = kept;
    this.#name = name;
  }

  /** @param {string} id */
  has(id) {
    this.#merge();
    return this.#ids.has(id);
  }

  /** @param {string} id */
  add(id) {
    this.addAll([id]);
  }

  /** @param {string[]} ids */
  addAll(ids) {
    this.#merge();
    for (const id of ids) this.#remember(id);
    this.#text = JSON.stringify([...this.#last]);
    this.#kept.write(this.#name, this.#text);
  }

  /** Other tabs of this browser write too, and a tab that was frozen must know what they have shown meanwhile. */
  #merge() {
    const text = this.#kept.read(this.#name);
    if (text === null || text === this.#text) return;
    this.#text = text;
    for (const id of idsOf(text)) this.#remember(id);
  }

  /** @param {string} id */
  #remember(id) {
    append(this.#ids, id, REMEMBERED_MAX);
    append(this.#last, id, KEPT_MAX);
  }
}

/**
 * Behind the others, if it was there too: what was shown last is what may be repeated.
 * @param {Set<string>} ids
 * @param {string} id
 * @param {number} max
 */
function append(ids, id, max) {
  ids.delete(id);
  ids.add(id);
  for (const oldest of ids) {
    if (ids.size <= max) break;
    ids.delete(oldest);
  }
}

/**
 * @param {string} text
 * @returns {string[]}
 */
export function idsOf(text) {
  try {
    const ids = JSON.parse(text);
    if (!Array.isArray(ids)) return [];
    return ids.filter((id) => typeof id === "string" && id.length <= ID_LENGTH_MAX).slice(-KEPT_MAX);
  } catch {
    return [];
  }
}
