// The key of each attempt, where the page has a function for it: a token that ends soon is asked for anew each time. A
// function cannot go to the hub, so the hub asks the tabs.

/** @import { Clock, Socket } from "./bellwire.js" */
/** @import { FromHub } from "./port.js" */

import { NO_KEY } from "./codes.js";

/** How long a tab may take before the next one is asked. */
export const KEY_WITHIN_MS = 10_000;

const [CONNECTING, CLOSED] = [0, 3];

/** @typedef {{ key: string } | { words: string }} Answer */

/**
 * The hub's side: asks one tab after the other.
 * @template {{ post: (message: FromHub) => void }} Member
 */
export class Keys {
  #clock;
  #members;
  #last = 0;
  /** @type {Promise<string> | null} */
  #running = null;
  /** @type {{ member: Member, id: number, resolve: (answer: Answer) => void } | null} */
  #waiting = null;
  /** @type {unknown} */
  #timer = null;

  /**
   * @param {Clock} clock
   * @param {() => Member[]} members  those that may be asked, the best first
   */
  constructor(clock, members) {
    this.#clock = clock;
    this.#members = members;
  }

  /**
   * Attempts that follow each other fast get the same answer.
   * @returns {Promise<string>}
   */
  ask() {
    this.#running ??= this.#askAll().finally(() => (this.#running = null));
    return this.#running;
  }

  /**
   * @param {Member} member
   * @param {{ id: number } & Answer} answer
   */
  hear(member, { id, ...answer }) {
    if (this.#waiting?.member === member && this.#waiting.id === id) this.#answer(answer);
  }

  /** @param {Member} member */
  gone(member) {
    if (this.#waiting?.member === member) this.#answer({ words: "the tab that was asked is gone" });
  }

  close() {
    this.#clock.clearTimeout(this.#timer);
    this.#waiting = null;
  }

  async #askAll() {
    /** @type {Set<Member>} */
    const asked = new Set();
    let why = "there is no tab";
    for (;;) {
      const next = this.#members().find((member) => !asked.has(member));
      if (!next) throw why;
      asked.add(next);
      const answer = await this.#askOne(next);
      if ("key" in answer) return answer.key;
      why = answer.words;
    }
  }

  /**
   * @param {Member} member
   * @returns {Promise<Answer>}
   */
  #askOne(member) {
    const id = ++this.#last;
    return new Promise((resolve) => {
      this.#waiting = { member, id, resolve };
      this.#timer = this.#clock.setTimeout(() => this.#answer({ words: "no answer in time" }), KEY_WITHIN_MS);
      member.post({ op: "key", id });
    });
  }

  /** @param {Answer} answer */
  #answer(answer) {
    const waiting = this.#waiting;
    this.close();
    waiting?.resolve(answer);
  }
}

/**
 * A socket that is made when its key is there; until then it is one that connects.
 * @implements {Socket}
 */
export class KeyedSocket {
  #over = false;
  /** @type {Socket | null} */
  #socket = null;
  /** @type {Socket["onopen"]} */
  onopen = null;
  /** @type {Socket["onmessage"]} */
  onmessage = null;
  /** @type {Socket["onclose"]} */
  onclose = null;

  /**
   * @param {() => Promise<string>} ask
   * @param {(key: string) => Socket} make
   * @param {(cause: unknown) => void} onFail  there is no key, or none that the browser takes
   */
  constructor(ask, make, onFail) {
    void this.#start(ask, make, onFail);
  }

  get readyState() {
    if (this.#over) return CLOSED;
    return this.#socket?.readyState ?? CONNECTING;
  }

  /** @param {string} text */
  send(text) {
    this.#socket?.send(text);
  }

  /** @param {number} [code] */
  close(code) {
    this.#over = true;
    this.#socket?.close(code);
  }

  /**
   * @param {() => Promise<string>} ask
   * @param {(key: string) => Socket} make
   * @param {(cause: unknown) => void} onFail
   */
  async #start(ask, make, onFail) {
    try {
      const key = await ask();
      if (this.#over) return;
      const socket = make(key);
      socket.onopen = (event) => this.onopen?.(event);
      socket.onmessage = (event) => this.onmessage?.(event);
      socket.onclose = (event) => this.onclose?.(event);
      this.#socket = socket;
    } catch (cause) {
      if (this.#over) return;
      this.#over = true;
      onFail(cause);
      this.onclose?.({ code: NO_KEY });
    }
  }
}
