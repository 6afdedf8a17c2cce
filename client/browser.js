// Who this browser is. All its tabs say the same, so that one of them gets each notification.

/** @import { Kept } from "./kept.js" */

/** The name that openITCOCKPIT's front ends use: one browser stays one browser. */
export const browserName = "browserUuid";

/** What the server takes: 1 to 64 visible ASCII characters. */
const VALID = /^[!-~]{1,64}$/;

/**
 * @param {Kept} kept
 * @param {() => number} random
 */
export function browserId(kept, random) {
  const known = kept.read(browserName);
  if (known !== null && isBrowserId(known)) return known;
  const made = uuid(random);
  kept.write(browserName, made);
  return made;
}

/** @param {string | null} text */
export function isBrowserId(text) {
  return text !== null && VALID.test(text);
}

/**
 * Version 4; `crypto.randomUUID` does not exist on plain http other than localhost.
 * @param {() => number} random
 */
export function uuid(random) {
  return "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx".replace(/[xy]/g, (place) => {
    const digit = Math.floor(random() * 16);
    return (place === "y" ? 8 + (digit % 4) : digit).toString(16);
  });
}
