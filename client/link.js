// One socket, a WebSocket or what stands for it (stream.js), from its opening to its end: hello, pings, acknowledgements, and whether it still lives.
// It says each thing once and nothing after its end, whatever the browser's events do.

/** @import { Clock, Socket } from "./bellwire.js" */
/** @import { Ending } from "./codes.js" */
/** @import { Message } from "./message.js" */
/** @import { Transport } from "./ways.js" */

import { SILENT, endingOf } from "./codes.js";
import { read } from "./message.js";

/** A browser may try for minutes to reach a host that does not answer. */
export const WELCOME_WITHIN_MS = 20_000;

/** As long as the server waits for the answer to its own ping. */
export const PROBE_WITHIN_MS = 5000;

/** A burst gets one acknowledgement; the server turns to another tab after 5 s without one. */
export const ACK_AFTER_MS = 50;

/** The server ends a session for good after a larger one. */
const MESSAGE_BYTES_MAX = 8192;

const OPEN = 1;

/**
 * @typedef {object} Owner
 * @property {() => object} hello  made when the socket is open, so that its cursor is the newest
 * @property {(link: Link, message: Message) => void} onMessage
 * @property {(link: Link, ending: Ending) => void} onEnd
 */

/** @param {object} message */
export function fits(message) {
  return new TextEncoder().encode(JSON.stringify(message)).length <= MESSAGE_BYTES_MAX;
}

export class Link {
  #owner;
  #clock;
  /** @type {Socket} */
  #socket;
  #over = false;
  #welcomed = false;
  #probing = false;
  #silenceMs = WELCOME_WITHIN_MS;
  /** @type {unknown} */
  #deadline = null;
  /** @type {string | null} */
  #ackDue = null;
  /** @type {unknown} */
  #ackTimer = null;

  /** The server has said that it will close this link. */
  leaving = false;

  /**
   * @param {Socket} socket  that has just been made
   * @param {Transport} transport
   * @param {Clock} clock
   * @param {Owner} owner
   */
  constructor(socket, transport, clock, owner) {
    this.transport = transport;
    this.#owner = owner;
    this.#clock = clock;
    this.#socket = socket;
    this.#socket.onopen = () => void this.#send(owner.hello());
    this.#socket.onmessage = (event) => this.#hear(event.data);
    this.#socket.onclose = (event) => this.end(endingOf(event.code));
    this.#watch(this.#silenceMs);
  }

  /**
   * @param {object} message
   * @returns {boolean} whether it was given to the socket
   */
  say(message) {
    return this.#welcomed && this.#send(message);
  }

  /**
   * Everything up to the cursor has been shown. Cursors cannot be compared: what came later on a link is further.
   * @param {string} cursor
   */
  acknowledge(cursor) {
    if (this.#over) return;
    this.#ackDue = cursor;
    this.#ackTimer ??= this.#clock.setTimeout(() => this.flush(), ACK_AFTER_MS);
  }

  /** Sends the acknowledgement that is due, before it is too late for it. */
  flush() {
    this.#clock.clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
    if (this.#ackDue !== null) this.#send({ op: "ack", cursor: this.#ackDue });
    this.#ackDue = null;
  }

  /** Asks whether anybody is there: sleep and changes of the network leave links that look open. */
  probe() {
    if (this.#probing || !this.say({ op: "ping" })) return;
    this.#probing = true;
    this.#watch(PROBE_WITHIN_MS);
  }

  /** Ends it without a word to the owner. */
  abandon() {
    if (this.#over) return;
    this.flush();
    this.#over = true;
    this.#clock.clearTimeout(this.#deadline);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    try {
      // On a dead link the browser waits for minutes for an answer; nobody here does.
      this.#socket.close(1000);
    } catch {
      // It is over all the same.
    }
  }

  /** @param {Ending} ending */
  end(ending) {
    if (this.#over) return;
    this.abandon();
    this.#owner.onEnd(this, ending);
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = read(data);
    if (message.op === "welcome") {
      this.#welcomed = true;
      this.#silenceMs = 2 * message.pingIntervalMs;
    }
    if (this.#welcomed) this.#watch(this.#silenceMs);
    this.#probing = false;
    if (message.op === "ping") this.#send({ op: "pong" });
    this.#owner.onMessage(this, message);
  }

  /** @param {number} ms */
  #watch(ms) {
    this.#clock.clearTimeout(this.#deadline);
    this.#deadline = this.#clock.setTimeout(() => this.end(SILENT), ms);
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket.readyState !== OPEN || !fits(message)) return false;
    try {
      this.#socket.send(JSON.stringify(message));
      return true;
    } catch {
      return false;
    }
  }
}
