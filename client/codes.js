// What the end of a connection asks for (docs/protocol.md, "Close codes").

/** @import { Reason } from "./bellwire.js" */

/**
 * @typedef {"at_once" | "later" | "never"} Advice
 * @typedef {{ advice: Advice, reason: Reason }} Ending
 */

/** @type {Ending} */
export const LOST = { advice: "later", reason: "lost" };

/**
 * "At once", as the protocol has it for a link on which nothing comes any more.
 * @type {Ending}
 */
export const SILENT = { advice: "at_once", reason: "silent" };

/** @type {ReadonlyMap<number, Ending>} */
const BY_HUNDRED = new Map([
  [40, { advice: "at_once", reason: "moved" }],
  [41, { advice: "later", reason: "unavailable" }],
  [42, { advice: "never", reason: "refused" }],
  [43, { advice: "never", reason: "incompatible" }],
]);

/**
 * By the hundred, so that codes of later servers mean something too.
 * @param {number} code
 * @returns {Ending}
 */
export function endingOf(code) {
  return BY_HUNDRED.get(Math.floor(code / 100)) ?? LOST;
}
