// Which notifications are gone. The server says it to each connection until the browser proves to be behind the gap.

export class Gaps {
  #told = 0;

  /** Something was shown: the next gap is another one. */
  passed() {
    this.#told = 0;
  }

  /**
   * @param {number} dropped
   * @returns {number} how many the page does not know of yet
   */
  news(dropped) {
    const more = Math.max(0, dropped - this.#told);
    this.#told += more;
    return more;
  }
}
