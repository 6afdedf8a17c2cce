// One thing after the other.

/** @typedef {() => Promise<void>} Task  never rejects */

export class Serial {
  /** @type {Task[]} */
  #tasks = [];
  #lengthMax;
  #running = false;

  /** @param {number} lengthMax */
  constructor(lengthMax) {
    this.#lengthMax = lengthMax;
  }

  get full() {
    return this.#tasks.length >= this.#lengthMax;
  }

  get idle() {
    return this.#tasks.length === 0;
  }

  /** @param {Task} task */
  add(task) {
    this.#tasks.push(task);
    if (!this.#running) void this.#run();
  }

  /** What runs is left to its end; what waits is forgotten. */
  clear() {
    this.#tasks = [];
  }

  async #run() {
    this.#running = true;
    for (let task = this.#tasks.shift(); task; task = this.#tasks.shift()) await task();
    this.#running = false;
  }
}
