// What stands for a WebSocket in networks that break them: the server speaks by an event stream, the client by calls
// (docs/protocol.md). It looks like a WebSocket, so that a link need not know which it has.

/** @import { Environment, Socket } from "./bellwire.js" */

import { TEXT_LENGTH_MAX } from "./message.js";
import { Lines } from "./lines.js";

/** Where each call may reach another node, every acknowledgement costs a new stream. */
export const REOPEN_EVERY_MS = 5000;

const RETRY_MS = 1000;
const TRIES_MAX = 3;

/** Tests wait to be said; of everything else only the last counts. */
const WAITING_MAX = 16;

const [CONNECTING, OPEN, CLOSED] = [0, 1, 3];

/** Close codes of bellwire.v1, for what HTTP says. */
const LOST = 1006;
const BAD_KEY = 4200;
const UNAVAILABLE = 4100;

/** @typedef {{ op: string, user?: string, browser?: string, cursor?: string }} Say */

/** @implements {Socket} */
export class EventStream {
  #address;
  #key;
  #fetch;
  #clock;
  readyState = CONNECTING;
  /** @type {Socket["onopen"]} */
  onopen = null;
  /** @type {Socket["onmessage"]} */
  onmessage = null;
  /** @type {Socket["onclose"]} */
  onclose = null;

  /** @type {Say | null} */
  #hello = null;
  #stream = new AbortController();
  #openedAt = 0;
  /** What calls name the stream by. @type {{ session: unknown, token: unknown } | null} */
  #name = null;
  /** @type {Say[]} */
  #waiting = [];
  #calling = false;
  #tries = 0;
  /** @type {unknown} */
  #timer = null;

  /**
   * @param {URL} address
   * @param {string} key
   * @param {Environment} environment
   */
  constructor(address, key, { fetch, clock }) {
    if (!fetch) throw new TypeError("no fetch");
    this.#address = address;
    this.#key = key;
    this.#fetch = fetch;
    this.#clock = clock;
    // Later, as a WebSocket does it: whoever made this sets its handlers first.
    this.#timer = clock.setTimeout(() => {
      this.readyState = OPEN;
      this.onopen?.({});
    }, 0);
  }

  /** @param {string} text */
  send(text) {
    if (this.readyState !== OPEN) return;
    const say = JSON.parse(text);
    if (say.op === "hello") {
      this.#hello = say;
      return void this.#listen();
    }
    if (say.op !== "test") this.#waiting = this.#waiting.filter(({ op }) => op !== say.op);
    if (this.#waiting.length >= WAITING_MAX) throw new Error("too much waits to be said");
    this.#waiting.push(say);
    void this.#call();
  }

  close() {
    // As with a WebSocket, what was said before goes out.
    this.readyState = CLOSED;
    this.#clock.clearTimeout(this.#timer);
    this.#stream.abort();
  }

  // --- what the server says ---

  async #listen() {
    const stream = new AbortController();
    this.#stream = stream;
    this.#openedAt = this.#clock.now();
    this.#name = null;
    const code = await this.#read(stream.signal).catch(() => LOST);
    if (this.#stream === stream) this.#end(code);
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<number>} the close code
   */
  async #read(signal) {
    const { user, browser, cursor } = /** @type {Say} */ (this.#hello);
    const url = new URL(this.#address);
    for (const [name, value] of Object.entries({ user, browser, cursor })) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream", Authorization: `Bearer ${this.#key}` };
    if (cursor !== undefined) headers["Last-Event-ID"] = cursor;
    const response = await this.#fetch(url, { headers, signal, cache: "no-store" });
    const type = response.headers.get("Content-Type") ?? "";
    if (!response.ok || !response.body || !type.startsWith("text/event-stream")) return codeOf(response.status);
    const reader = response.body.getReader();
    const lines = new Lines(TEXT_LENGTH_MAX);
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return LOST;
      for (const data of lines.take(value)) {
        const code = this.#take(data);
        if (code !== null) return code;
        if (signal.aborted) return LOST;
      }
    }
  }

  /**
   * @param {string} data
   * @returns {number | null} a code if it is the last message
   */
  #take(data) {
    const { op, code, session, token } = fieldsOf(data);
    if (op === "close") return typeof code === "number" ? code : LOST;
    if (op === "welcome") {
      this.#name = { session, token };
      this.#callOn();
    }
    this.onmessage?.({ data });
    return null;
  }

  // --- what the client says ---

  /** One call after the other, so that acknowledgements arrive in order. */
  async #call() {
    const name = this.#name;
    const say = this.#waiting[0];
    if (this.#calling || !name || !say) return;
    this.#calling = true;
    this.#onAnswer(await this.#post({ ...name, say }), say);
  }

  /**
   * @param {object} body
   * @returns {Promise<number>} the status, 0 if there was no answer
   */
  async #post(body) {
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${this.#key}` };
    try {
      // It outlives the page: the last acknowledgement is said when a page is left.
      const init = { method: "POST", headers, body: JSON.stringify(body), keepalive: true };
      return (await this.#fetch(this.#address, init)).status;
    } catch {
      return 0;
    }
  }

  /**
   * @param {number} status
   * @param {Say} say
   */
  #onAnswer(status, say) {
    if (status === 404 && this.readyState === OPEN) return this.#reopen();
    if (status === 401) return this.#end(BAD_KEY);
    const again = status === 0 || status === 429 || status >= 500;
    if (again && ++this.#tries >= TRIES_MAX) return this.#end(LOST);
    if (again) return this.#later(() => this.#callOn(), RETRY_MS);
    this.#tries = 0;
    // Something newer of its kind may stand in its place.
    this.#waiting = this.#waiting.filter((waiting) => waiting !== say);
    this.#callOn();
  }

  #callOn() {
    this.#calling = false;
    void this.#call();
  }

  /** The call reached a node that has not the stream. A stream with the cursor says the same as the acknowledgement. */
  #reopen() {
    this.#name = null;
    this.#later(() => {
      const acknowledged = this.#waiting.find(({ op }) => op === "ack")?.cursor;
      const hello = /** @type {Say} */ (this.#hello);
      if (acknowledged !== undefined) this.#hello = { ...hello, cursor: acknowledged };
      this.#waiting = this.#waiting.filter(({ op }) => op === "test");
      const old = this.#stream;
      void this.#listen();
      old.abort();
    }, this.#openedAt + REOPEN_EVERY_MS - this.#clock.now());
  }

  /**
   * @param {() => void} task
   * @param {number} ms
   */
  #later(task, ms) {
    if (this.readyState !== OPEN) return;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = this.#clock.setTimeout(task, Math.max(0, ms));
  }

  /** @param {number} code */
  #end(code) {
    if (this.readyState === CLOSED) return;
    this.close();
    this.onclose?.({ code });
  }
}

/** @param {number} status */
function codeOf(status) {
  if (status === 401) return BAD_KEY;
  return status === 503 || status === 429 ? UNAVAILABLE : LOST;
}

/**
 * @param {string} data
 * @returns {Record<string, unknown>}
 */
function fieldsOf(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {};
  }
}
