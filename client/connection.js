// The connection of a page to Bellwire: as one link follows another, every notification is shown once and in order.

/** @import * as Api from "./bellwire.js" */
/** @import { Ending } from "./codes.js" */
/** @import { Message } from "./message.js" */

import { addressOf, isLoopback } from "./address.js";
import { Backoff } from "./backoff.js";
import { browserId } from "./browser.js";
import { Emitter } from "./emitter.js";
import { environment } from "./environment.js";
import { Gaps } from "./gaps.js";
import { Kept } from "./kept.js";
import { Link } from "./link.js";
import { CURSOR_LENGTH_MAX, isToken, testMessage } from "./message.js";
import { Seen } from "./seen.js";
import { Serial } from "./serial.js";
import { show } from "./show.js";

/** Received and not shown yet. A page that is further behind gets the rest from the server when it has caught up. */
export const QUEUE_MAX = 1024;

/** All tabs of a node that goes are told at about the same time. */
const DRAIN_SPREAD_MAX_MS = 500;

/** @type {Ending} */
const BEHIND = { advice: "later", reason: "behind" };

/**
 * Connects, and stays connected until `close()` or until the server says that it is no use.
 * @param {Api.Options} options
 * @returns {Api.Connection}
 * @throws {TypeError} if `url` is no address of a WebSocket
 */
export function connect(options) {
  return new Connection(options);
}

/** @implements {Api.Connection} */
class Connection {
  #key;
  #env;
  #address;
  #user;
  #browser;
  #kept;
  #gaps = new Gaps();
  #queue = new Serial(QUEUE_MAX);
  #backoff;
  /** @type {Emitter<Api.Events & Record<string, unknown>>} */
  #emitter;
  #showing;

  /** @type {Api.Status} */
  #status = { state: "connecting", reason: "start", retryInMs: null };
  /** Why there is no link, the network aside. @type {Api.Reason} */
  #why = "start";
  /** The link that serves. @type {Link | null} */
  #current = null;
  /** The link that is to serve next. @type {Link | null} */
  #next = null;
  /** @type {unknown} */
  #retry = null;
  #over = false;
  #closed = false;

  /** @param {Api.Options} options */
  constructor({ url, user, key, browser, onNotification, environment: given }) {
    this.#env = environment(given ?? {});
    this.#address = addressOf(url, this.#env.base);
    this.#key = key;
    this.#user = String(user);
    this.#kept = new Kept(this.#env.storage);
    this.#browser = browser ?? browserId(this.#kept, this.#env.random);
    this.#backoff = new Backoff(this.#env.random);
    this.#emitter = new Emitter(this.#env.report);
    this.#showing = {
      handler: onNotification,
      seen: new Seen(this.#kept, `bellwireSeen:${this.#user}`),
      clock: this.#env.clock,
      isClosed: () => this.#closed,
      onError: (/** @type {Api.Failure} */ failure) => this.#emitter.emit("error", failure),
    };
    this.#listen("addEventListener");
    this.#attempt();
  }

  get status() {
    return this.#status;
  }

  /** @type {Api.Connection["on"]} */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  /** @type {Api.Connection["test"]} */
  test(request = {}) {
    return this.#current?.say(testMessage(request)) ?? false;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.clear();
    this.#finish("closed");
  }

  // --- coming and going of links ---

  #attempt() {
    this.#clearRetry();
    if (this.#mayNotTry()) return this.#tellDown("disconnected", "offline");
    if (this.#queue.full) return this.#later(BEHIND);
    try {
      this.#next = new Link(this.#address, this.#key, this.#env, {
        hello: () => this.#hello(),
        onMessage: (link, message) => this.#onMessage(link, message),
        onEnd: (link, ending) => this.#onEnd(link, ending),
      });
    } catch (cause) {
      return this.#refusedByBrowser(cause);
    }
    this.#tellDown("connecting", this.#why);
  }

  /** @param {unknown} cause */
  #refusedByBrowser(cause) {
    this.#finish("unusable");
    const message = "the browser refuses the key (letters, digits and !#$%&'*+-.^_`|~ only) or the address";
    this.#emitter.emit("error", { code: "unusable", message, cause });
  }

  #hello() {
    const cursor = this.#kept.read(this.#cursorName());
    // A damaged cursor could make a message that ends the session for good.
    const usable = isToken(cursor, CURSOR_LENGTH_MAX) ? { cursor } : {};
    return { op: "hello", user: this.#user, browser: this.#browser, ...usable };
  }

  /** @param {Link} link */
  #onWelcome(link) {
    if (link !== this.#next) return;
    this.#next = null;
    // Nothing is lost with the old link: what it still brings comes again by this one.
    this.#current?.abandon();
    this.#current = link;
    this.#backoff.welcomed(this.#env.clock.now());
    this.#tell({ state: "connected", reason: null, retryInMs: null });
  }

  /**
   * @param {Link} link
   * @param {Ending} ending
   */
  #onEnd(link, ending) {
    if (ending.advice === "never") return this.#finish(ending.reason);
    const wasNext = link === this.#next;
    if (wasNext) this.#next = null;
    else this.#current = null;
    // Another one is on its way already, because this one was leaving.
    if (this.#next || this.#retry !== null) {
      this.#why = ending.reason;
      return this.#tellDown("connecting", this.#why);
    }
    this.#later(ending);
  }

  /** @param {Ending} ending */
  #later({ advice, reason }) {
    this.#why = reason;
    if (this.#mayNotTry()) return this.#tellDown("disconnected", "offline");
    const now = this.#env.clock.now();
    this.#retryIn(this.#backoff.next(advice === "at_once" ? "at_once" : "later", now));
  }

  /** @param {number} ms */
  #retryIn(ms) {
    this.#clearRetry();
    this.#retry = this.#env.clock.setTimeout(() => this.#attempt(), ms);
    this.#tellDown("connecting", this.#why, ms);
  }

  #clearRetry() {
    if (this.#retry !== null) this.#env.clock.clearTimeout(this.#retry);
    this.#retry = null;
  }

  /** @param {Api.Reason} reason */
  #finish(reason) {
    if (this.#over) return;
    this.#over = true;
    this.#clearRetry();
    this.#listen("removeEventListener");
    this.#next?.abandon();
    this.#current?.abandon();
    this.#next = this.#current = null;
    this.#tell({ state: "disconnected", reason, retryInMs: null });
  }

  // --- what the server says ---

  /**
   * @param {Link} link
   * @param {Message} message
   */
  #onMessage(link, message) {
    switch (message.op) {
      case "welcome":
        return this.#onWelcome(link);
      case "notification":
        return this.#enqueue(link, () => this.#show(link, message.cursor, message.notification));
      case "gap":
        return this.#enqueue(link, async () => this.#tellGap(message.dropped));
      case "drain":
        return this.#onDrain(link, message.afterMs);
      case "status":
        return this.#emitter.emit("status", { key: message.key, value: message.value });
      case "error":
        return this.#emitter.emit("error", { code: message.code, message: message.message });
      case "unreadable":
        return this.#emitter.emit("error", { code: "unreadable", message: message.why });
    }
  }

  /**
   * @param {Link} link
   * @param {() => Promise<void>} task
   */
  #enqueue(link, task) {
    if (this.#queue.full) return link.end(BEHIND);
    this.#queue.add(task);
  }

  /**
   * @param {Link} link
   * @param {number} afterMs
   */
  #onDrain(link, afterMs) {
    if (link.leaving) return;
    link.leaving = true;
    if (link !== this.#current || this.#next || this.#retry !== null) return;
    this.#retryIn(this.#env.random() * Math.min(DRAIN_SPREAD_MAX_MS, afterMs / 3));
  }

  /**
   * @param {Link} link
   * @param {string} cursor
   * @param {Api.Notification} notification
   */
  async #show(link, cursor, notification) {
    const how = await show(notification, this.#showing);
    if (how === "closed") return;
    if (how === "shown") this.#gaps.passed();
    // Acknowledged or not: the next hello may say it, and after a repeat too, whose log may be a new one.
    this.#kept.write(this.#cursorName(), cursor);
    link.acknowledge(cursor);
  }

  /** @param {number} dropped */
  #tellGap(dropped) {
    const news = this.#closed ? 0 : this.#gaps.news(dropped);
    if (news > 0) this.#emitter.emit("gap", { dropped: news });
  }

  // --- what the browser says ---

  /** @param {"addEventListener" | "removeEventListener"} how */
  #listen(how) {
    this.#env.events[how]("online", this.#onWake);
    this.#env.events[how]("offline", this.#onOffline);
    this.#env.events[how]("visibilitychange", this.#onVisibility);
    this.#env.events[how]("pagehide", this.#onHide);
  }

  #onWake = () => {
    if (this.#current && !this.#current.leaving) return this.#current.probe();
    if (!this.#next) this.#attempt();
  };

  #onOffline = () => {
    if (this.#mayNotTry()) this.#clearRetry();
    if (this.#current) this.#current.probe();
    else if (!this.#next && this.#mayNotTry()) this.#tellDown("disconnected", "offline");
  };

  #onVisibility = () => (this.#env.isVisible() ? this.#onWake() : this.#onHide());

  /** A page that is left or frozen may never come back to say it. */
  #onHide = () => this.#current?.flush();

  #mayNotTry() {
    return !this.#env.isOnline() && !isLoopback(this.#address);
  }

  // --- what the page is told ---

  /**
   * @param {"connecting" | "disconnected"} state
   * @param {Api.Reason} reason
   * @param {number | null} retryInMs
   */
  #tellDown(state, reason, retryInMs = null) {
    // While the old link serves, the page need not know that another one is made.
    if (!this.#current) this.#tell({ state, reason, retryInMs });
  }

  /** @param {Api.Status} status */
  #tell(status) {
    const { state, reason, retryInMs } = this.#status;
    if (state === status.state && reason === status.reason && retryInMs === status.retryInMs) return;
    this.#status = status;
    this.#emitter.emit("state", status);
  }

  #cursorName() {
    return `bellwireCursor:${this.#user}`;
  }
}
