// By which transport the next attempt goes: the one that worked last, and when that fails again and again, both in turns.

/** @typedef {"websocket" | "events"} Transport */

/** A server that restarts makes an attempt or two fail; a proxy that breaks WebSockets makes all of them. */
export const FAILURES_MAX = 3;

/** Where no attempt has succeeded yet, there is no reason to hope for the next one. */
export const FIRST_FAILURES_MAX = 1;

export class Ways {
  /** @type {Transport} */
  #worked = "websocket";
  #failures = 0;
  #failuresMax = FIRST_FAILURES_MAX;

  /** @returns {Transport} */
  next() {
    const inTurn = this.#failures < this.#failuresMax || (this.#failures - this.#failuresMax) % 2 === 1;
    return inTurn ? this.#worked : this.#worked === "websocket" ? "events" : "websocket";
  }

  /** An attempt has ended without a welcome. */
  failed() {
    this.#failures += 1;
  }

  /** @param {Transport} transport */
  welcomed(transport) {
    this.#worked = transport;
    this.#failures = 0;
    this.#failuresMax = FAILURES_MAX;
  }
}
