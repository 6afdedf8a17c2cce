// Which language the page speaks.

import { words as de } from "./languages/de.js";
import { words as en } from "./languages/en.js";

/** @type {Record<string, typeof en>} */
export const LANGUAGES = { en, de };

/** @param {string} [language] as in `lang` @param {readonly string[]} [preferred] by the browser */
export function wordsOf(language = "", preferred = globalThis.navigator?.languages ?? []) {
  const names = [language, ...preferred].map((name) => name.toLowerCase().split(/[-_]/)[0] ?? "");
  return LANGUAGES[names.find((name) => Object.hasOwn(LANGUAGES, name)) ?? "en"] ?? en;
}
