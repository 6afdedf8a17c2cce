// What the end of a connection asks for (docs/protocol.md, "Close codes").

/** @import { Reason } from "./bellwire.js" */

/**
 * `renew`: at once with another key, if the page has a function for it; else never.
 * @typedef {"at_once" | "later" | "renew" | "never"} Advice
 * @typedef {{ advice: Advice, reason: Reason }} Ending
 */

/** @type {Ending} */
export const LOST = { advice: "later", reason: "lost" };

/**
 * "At once", as the protocol has it for a link on which nothing comes any more.
 * @type {Ending}
 */
export const SILENT = { advice: "at_once", reason: "silent" };

/** No code of the server: the page had no key for this attempt. */
export const NO_KEY = -1;

/** @type {ReadonlyMap<number, Ending>} */
const BY_CODE = new Map([
  [NO_KEY, { advice: "later", reason: "no_key" }],
  // Of user and browser; another key would not help.
  [4201, { advice: "never", reason: "refused" }],
  [4210, { advice: "renew", reason: "expired" }],
]);

/** @type {ReadonlyMap<number, Ending>} */
const BY_HUNDRED = new Map([
  [40, { advice: "at_once", reason: "moved" }],
  [41, { advice: "later", reason: "unavailable" }],
  [42, { advice: "renew", reason: "refused" }],
  [43, { advice: "never", reason: "incompatible" }],
]);

/**
 * By the hundred, so that codes of later servers mean something too.
 * @param {number} code
 * @returns {Ending}
 */
export function endingOf(code) {
  return BY_CODE.get(code) ?? BY_HUNDRED.get(Math.floor(code / 100)) ?? LOST;
}
