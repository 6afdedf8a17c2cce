// The data of an event stream (text/event-stream), from the pieces that come.

export class Lines {
  #decoder = new TextDecoder();
  #lengthMax;
  #text = "";
  /** @type {string[]} */
  #data = [];

  /** @param {number} lengthMax  of one event */
  constructor(lengthMax) {
    this.#lengthMax = lengthMax;
  }

  /**
   * @param {Uint8Array} bytes
   * @returns {string[]} the data of the events that are complete
   * @throws {RangeError} for an event that is too long
   */
  take(bytes) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    /** @type {string[]} */
    const events = [];
    // A piece that ends with a CR may go on with its LF.
    const end = this.#text.endsWith("\r") ? this.#text.length - 1 : this.#text.length;
    const lines = this.#text.slice(0, end).split(/\r\n|\n|\r/);
    this.#text = lines.pop() + this.#text.slice(end);
    for (const line of lines) this.#line(line, events);
    const length = this.#data.reduce((sum, line) => sum + line.length, this.#text.length);
    if (length > this.#lengthMax) throw new RangeError("an event is too long");
    return events;
  }

  /**
   * @param {string} line
   * @param {string[]} events
   */
  #line(line, events) {
    if (line.startsWith("data:")) this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    else if (line === "" && this.#data.length > 0) events.push(this.#data.splice(0).join("\n"));
  }
}
