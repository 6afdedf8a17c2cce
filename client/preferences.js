// What the person chose on this browser, for all its tabs.

/** @import { Preferences } from "./bellwire.js" */
/** @import { Kept } from "./kept.js" */

export const PREFERENCES_NAME = "bellwirePrefs";

/**
 * @param {Kept} kept
 * @param {() => void} onChange
 * @returns {Preferences}
 */
export function preferences(kept, onChange) {
  /** @returns {Preferences} */
  const read = () => {
    try {
      const { problemsStay, reuseTab } = JSON.parse(kept.read(PREFERENCES_NAME) ?? "{}");
      return { problemsStay: problemsStay === true, reuseTab: reuseTab === true };
    } catch {
      return { problemsStay: false, reuseTab: false };
    }
  };
  const prefs = {};
  for (const name of /** @type {const} */ (["problemsStay", "reuseTab"])) {
    Object.defineProperty(prefs, name, {
      enumerable: true,
      get: () => read()[name],
      set: (value) => {
        kept.write(PREFERENCES_NAME, JSON.stringify({ ...read(), [name]: value === true }));
        onChange();
      },
    });
  }
  return /** @type {Preferences} */ (prefs);
}
