// Events for listeners of the page, which may do anything, throw and close the connection included.

/**
 * @template {Record<string, unknown>} Events
 */
export class Emitter {
  #report;
  /** @type {Map<keyof Events, Set<(event: any) => void>>} */
  #listeners = new Map();

  /** @param {(error: unknown) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(event: Events[Name]) => void} listener
   * @returns {() => void} takes the listener away
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // Wrapped, so that each registration is its own, also of the same function.
    const own = (/** @type {Events[Name]} */ event) => listener(event);
    listeners.add(own);
    return () => void listeners.delete(own);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} event
   */
  emit(name, event) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}
