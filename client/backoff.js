// How long to wait before the next attempt (docs/protocol.md, "Close codes").

/** @import { Advice } from "./codes.js" */

export const LATER_MIN_MS = 1000;
export const LATER_FIRST_MS = 5000;
export const LATER_MAX_MS = 60_000;

/** A link that ends sooner proves nothing: a server that greets everybody and sends them away must not be stormed. */
export const STEADY_MS = 10_000;

export class Backoff {
  #random;
  #failures = 0;
  #laters = 0;
  /** @type {number | null} */
  #welcomedAt = null;

  /** @param {() => number} random  0 to below 1 */
  constructor(random) {
    this.#random = random;
  }

  /** @param {number} now */
  welcomed(now) {
    this.#forgive(now);
    this.#welcomedAt = now;
  }

  /**
   * @param {Extract<Advice, "at_once" | "later">} advice
   * @param {number} now
   * @returns {number} milliseconds
   */
  next(advice, now) {
    this.#forgive(now);
    this.#welcomedAt = null;
    this.#failures += 1;
    if (advice === "at_once" && this.#failures === 1) return 0;
    // Drawn from the whole range: after an outage all tabs would else come back in waves.
    const longest = Math.min(LATER_MAX_MS, LATER_FIRST_MS * 2 ** this.#laters);
    this.#laters += 1;
    return LATER_MIN_MS + this.#random() * (longest - LATER_MIN_MS);
  }

  /** @param {number} now */
  #forgive(now) {
    if (this.#welcomedAt === null || now - this.#welcomedAt < STEADY_MS) return;
    this.#failures = 0;
    this.#laters = 0;
  }
}
