// Which language the page speaks.

import { words as de } from "./languages/de.js";
import { words as en } from "./languages/en.js";

/** @typedef {typeof en} Words */

/** @type {Record<string, Words>} */
export const LANGUAGES = { en, de };

/**
 * @param {string} [language] as in `lang`; left out, or not spoken here: what the browser prefers
 * @param {readonly string[]} [preferred]
 * @returns {Words}
 */
export function wordsOf(language = "", preferred = globalThis.navigator?.languages ?? []) {
  for (const name of [language, ...preferred]) {
    const short = name.toLowerCase().split(/[-_]/)[0] ?? "";
    const found = Object.hasOwn(LANGUAGES, short) && LANGUAGES[short];
    if (found) return found;
  }
  return en;
}
