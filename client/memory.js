// What the tabs of a browser remember together.

/** @import { Preferences } from "./bellwire.js" */
/** @import { Kept } from "./kept.js" */

export const SHOWN = "bellwireShown";
export const PREFERENCES = "bellwirePrefs";
const SHOWN_MAX = 64;

/** @template {object} Value @param {Kept} kept @param {string} name @param {Value} defaults @returns {Value} */
export function recall(kept, name, defaults) {
  try {
    return { ...defaults, ...JSON.parse(kept.read(name) ?? "{}") };
  } catch {
    return defaults;
  }
}

/** @typedef {[severity: number, tab: string]} Mark no tab: it is to be closed */

/** What stands on the desktop, by tag: one tab's notification replaces that of another one. */
export class Shown {
  #kept;

  /** @param {Kept} kept */
  constructor(kept) {
    this.#kept = kept;
  }

  /** @param {string} tag @returns {Mark | []} */
  get(tag) {
    const mark = this.#marks()[tag];
    return Array.isArray(mark) ? mark : [];
  }

  /** @param {string} tag @param {Mark} [mark] left out: it is gone */
  set(tag, mark) {
    const { [tag]: _, ...others } = this.#marks();
    const all = Object.entries(mark ? { ...others, [tag]: mark } : others).slice(-SHOWN_MAX);
    this.#kept.write(SHOWN, JSON.stringify(Object.fromEntries(all)));
  }

  #marks() {
    return recall(this.#kept, SHOWN, /** @type {Record<string, Mark>} */ ({}));
  }
}

/** @param {Kept} kept @param {() => void} onChange @returns {Preferences} */
export function preferences(kept, onChange) {
  const read = () => recall(kept, PREFERENCES, { problemsStay: false, reuseTab: false });
  const one = (/** @type {keyof Preferences} */ name) => ({
    enumerable: true,
    get: () => read()[name] === true,
    set: (/** @type {boolean} */ value) => {
      kept.write(PREFERENCES, JSON.stringify({ ...read(), [name]: value }));
      onChange();
    },
  });
  const both = { problemsStay: one("problemsStay"), reuseTab: one("reuseTab") };
  return Object.defineProperties(/** @type {any} */ ({}), both);
}
