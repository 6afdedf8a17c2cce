// The connection of a browser to Bellwire: as one link follows another, every notification is shown once and in order.

/** @import * as Api from "./bellwire.js" */
/** @import { Ending } from "./codes.js" */
/** @import { Message } from "./message.js" */
/** @import { Transport } from "./ways.js" */

import { addressOf, eventsAddressOf, isLoopback } from "./address.js";
import { Backoff } from "./backoff.js";
import { browserId } from "./browser.js";
import { Emitter } from "./emitter.js";
import { Gaps } from "./gaps.js";
import { Kept } from "./kept.js";
import { KeyedSocket } from "./keys.js";
import { Link } from "./link.js";
import { CURSOR_LENGTH_MAX, isToken } from "./message.js";
import { Seen, seenName } from "./seen.js";
import { Serial } from "./serial.js";
import { show, words } from "./show.js";
import { EventStream } from "./stream.js";
import { Ways } from "./ways.js";

/** Received and not shown yet: more than a server holds for a user. A page that is further behind gets the rest when it has
 * caught up. */
export const QUEUE_MAX = 16_384;

/** All tabs of a node that goes are told at about the same time. */
const DRAIN_SPREAD_MAX_MS = 500;

/** All browsers behind one switch have the network again at the same time. */
export const ONLINE_SPREAD_MS = 1000;

/** What browsers take for the network may be another one, that of a virtual machine for example. */
export const OFFLINE_EVERY_MS = 60_000;

/** Between two looks whether a page has caught up. */
export const BEHIND_EVERY_MS = 1000;

/** @type {Ending} */
const BEHIND = { advice: "later", reason: "behind" };

/** How long an event stream serves before a WebSocket is tried beside it; doubled after each that fails. */
export const BETTER_FIRST_MS = 60_000;
const BETTER_MAX_MS = 600_000;

/**
 * @typedef {Pick<Api.Info, "transport" | "session" | "version" | "connectedAt" | "heardAt" | "pings">} Facts
 * @typedef {Pick<Api.Options, "url" | "eventsUrl" | "user" | "browser"> & { key: string | null }} Settings  `key`: null if it is asked for
 * @typedef {Omit<Api.Events, "info"> & { facts: Facts }} Events
 */

export class Connection {
  #key;
  #askKey;
  #env;
  #address;
  #eventsAddress;
  #user;
  #browser;
  #kept;
  #gaps = new Gaps();
  #queue = new Serial(QUEUE_MAX);
  #backoff;
  #ways = new Ways();
  /** @type {Emitter<Events & Record<string, unknown>>} */
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
  #retryAt = 0;
  /** @type {unknown} */
  #better = null;
  #betterMs = BETTER_FIRST_MS;
  #over = false;
  #closed = false;
  /** @type {Facts} */
  #facts = { transport: null, session: null, version: null, connectedAt: null, heardAt: null, pings: 0 };

  /**
   * @param {Settings} settings
   * @param {Api.Environment} environment
   * @param {Api.Options["onNotification"]} onNotification
   * @param {() => Promise<string>} askKey  for each attempt, where the settings have no key
   * @throws {TypeError} if `url` is no address of a WebSocket
   */
  constructor({ url, eventsUrl, user, key, browser }, environment, onNotification, askKey) {
    this.#env = environment;
    this.#address = addressOf(url, this.#env.base);
    this.#eventsAddress = eventsAddressOf(eventsUrl, this.#address, this.#env.base);
    this.#key = key;
    this.#askKey = askKey;
    this.#user = String(user);
    this.#kept = new Kept(this.#env.storage);
    this.#browser = browser ?? browserId(this.#kept, this.#env.random);
    this.#backoff = new Backoff(this.#env.random);
    this.#emitter = new Emitter(this.#env.report);
    this.#showing = {
      handler: onNotification,
      seen: new Seen(this.#kept, seenName(this.#user)),
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

  get browser() {
    return this.#browser;
  }

  get facts() {
    return this.#facts;
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(event: Events[Name]) => void} listener
   */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  /**
   * @param {object} message  of the protocol
   * @returns {boolean} whether it could be said now
   */
  say(message) {
    return this.#current?.say(message) ?? false;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.clear();
    this.#finish("closed");
  }

  // --- coming and going of links ---

  /** @param {boolean} anyway  though the browser says that it is offline */
  #attempt(anyway = false) {
    if (!anyway && this.#isOffline()) return this.#rest();
    this.#clearRetry();
    // What waits here would come again.
    const isBehind = this.#why === BEHIND.reason ? !this.#queue.idle : this.#queue.full;
    if (isBehind) return this.#later(BEHIND);
    try {
      this.#open(this.#env.fetch ? this.#ways.next() : "websocket");
    } catch (cause) {
      return this.#refusedByBrowser(cause);
    }
    this.#tellDown();
  }

  /** @param {Transport} transport */
  #open(transport) {
    const { WebSocket, clock } = this.#env;
    const make = (/** @type {string} */ key) =>
      transport === "websocket"
        ? new WebSocket(this.#address.href, ["bellwire.v1", key])
        : new EventStream(this.#eventsAddress, key, this.#env);
    const socket = this.#key === null ? new KeyedSocket(this.#askKey, make, this.#noKey) : make(this.#key);
    this.#next = new Link(socket, transport, clock, {
      hello: () => this.#hello(),
      onMessage: (link, message) => this.#onMessage(link, message),
      onEnd: (link, ending) => this.#onEnd(link, ending),
    });
  }

  /** An event stream costs a call for each answer and may be buffered on the way: a WebSocket is better. */
  #planBetter() {
    this.#env.clock.clearTimeout(this.#better);
    this.#better = this.#env.clock.setTimeout(() => {
      if (this.#next || this.#retry !== null || this.#current?.transport !== "events") return;
      this.#betterMs = Math.min(2 * this.#betterMs, BETTER_MAX_MS);
      this.#open("websocket");
    }, this.#betterMs);
  }

  /** @param {unknown} cause */
  #refusedByBrowser(cause) {
    this.#finish("unusable");
    const message = "the browser refuses the key (letters, digits and !#$%&'*+-.^_`|~ only) or the address";
    this.#emitter.emit("error", { code: "unusable", message, cause });
  }

  /** @param {unknown} cause */
  #noKey = (cause) => this.#emitter.emit("error", { code: "no_key", message: words(cause) });

  #hello() {
    const cursor = this.#kept.read(this.#cursorName());
    // A damaged cursor could make a message that ends the session for good.
    const usable = isToken(cursor, CURSOR_LENGTH_MAX) ? { cursor } : {};
    return { op: "hello", user: this.#user, browser: this.#browser, ...usable };
  }

  /**
   * @param {Link} link
   * @param {Pick<Facts, "session" | "version">} welcome
   */
  #onWelcome(link, { session, version }) {
    if (link === this.#current) this.#tellFacts({ session, version });
    if (link !== this.#next) return;
    this.#next = null;
    // Nothing is lost with the old link: what it still brings comes again by this one.
    this.#current?.abandon();
    this.#current = link;
    this.#backoff.welcomed(this.#env.clock.now());
    this.#ways.welcomed(link.transport);
    if (link.transport === "events") this.#planBetter();
    else this.#betterMs = BETTER_FIRST_MS;
    const now = this.#env.date();
    this.#tellFacts({ transport: link.transport, session, version, connectedAt: now, heardAt: now, pings: 0 });
    this.#tell({ state: "connected", reason: null, retryInMs: null });
  }

  /**
   * @param {Link} link
   * @param {Ending} ending
   */
  #onEnd(link, ending) {
    const isLast = ending.advice === "never" || (ending.advice === "renew" && this.#key !== null);
    if (isLast) return this.#finish(ending.reason);
    if (link === this.#current) {
      this.#current = null;
      this.#tellFacts({ transport: null, session: null, connectedAt: null });
    } else {
      this.#next = null;
      if (this.#current && !this.#current.leaving) return this.#planBetter();
      // A code of the server has come through: that way is open.
      if (["lost", "silent"].includes(ending.reason)) this.#ways.failed();
    }
    // Another one is on its way already, because this one was leaving.
    if (this.#next || this.#retry !== null) {
      this.#why = ending.reason;
      return this.#tellDown();
    }
    this.#later(ending);
  }

  /** @param {Ending} ending */
  #later({ advice, reason }) {
    this.#why = reason;
    if (this.#isOffline()) return this.#rest();
    // It is no failure of the way, and no use before the page has caught up.
    if (reason === BEHIND.reason) return this.#retryIn(BEHIND_EVERY_MS);
    const now = this.#env.clock.now();
    this.#retryIn(this.#backoff.next(advice === "later" ? "later" : "at_once", now));
  }

  /** Until the browser says that it is online. */
  #rest() {
    if (this.#retry === null) this.#plan(OFFLINE_EVERY_MS, true);
    this.#tellDown();
  }

  /** @param {number} ms */
  #retryIn(ms) {
    this.#plan(ms, false);
    this.#tellDown();
  }

  /**
   * @param {number} ms
   * @param {boolean} anyway
   */
  #plan(ms, anyway) {
    this.#clearRetry();
    this.#retryAt = this.#env.clock.now() + ms;
    this.#retry = this.#env.clock.setTimeout(() => {
      this.#retry = null;
      this.#attempt(anyway);
    }, ms);
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
    this.#env.clock.clearTimeout(this.#better);
    this.#listen("removeEventListener");
    this.#next?.abandon();
    this.#current?.abandon();
    this.#next = this.#current = null;
    this.#tellFacts({ transport: null, session: null, connectedAt: null });
    this.#tell({ state: "disconnected", reason, retryInMs: null });
  }

  // --- what the server says ---

  /**
   * @param {Link} link
   * @param {Message} message
   */
  #onMessage(link, message) {
    if (link === this.#current) this.#facts = { ...this.#facts, heardAt: this.#env.date() };
    switch (message.op) {
      case "welcome":
        return this.#onWelcome(link, message);
      case "ping":
        return link === this.#current ? this.#tellFacts({ pings: this.#facts.pings + 1 }) : undefined;
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
    if (!this.#closed && !this.#showing.seen.has(notification.id)) this.#emitter.emit("notification", notification);
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
    this.#env.events[how]("online", this.#onOnline);
    this.#env.events[how]("offline", this.#onOffline);
    this.#env.events[how]("visibilitychange", this.#onVisibility);
    this.#env.events[how]("pagehide", this.#onHide);
  }

  #onWake = () => {
    if (this.#current && !this.#current.leaving) return this.#current.probe();
    if (!this.#next) this.#attempt();
  };

  #onOnline = () => {
    if (this.#current && !this.#current.leaving) return this.#current.probe();
    // Each tab says it.
    const isSoon = this.#retry !== null && this.#retryAt - this.#env.clock.now() < ONLINE_SPREAD_MS;
    if (!this.#next && !isSoon) this.#retryIn(this.#env.random() * ONLINE_SPREAD_MS);
  };

  #onOffline = () => {
    if (this.#isOffline()) this.#clearRetry();
    if (this.#current) this.#current.probe();
    else if (!this.#next && this.#isOffline()) this.#rest();
  };

  #onVisibility = () => (this.#env.isVisible() ? this.#onWake() : this.#onHide());

  /** A page that is left or frozen may never come back to say it. */
  #onHide = () => this.#current?.flush();

  #isOffline() {
    return !this.#env.isOnline() && !isLoopback(this.#address);
  }

  // --- what the page is told ---

  #tellDown() {
    // While the old link serves, the page need not know that another one is made.
    if (this.#current) return;
    if (this.#isOffline()) return this.#tell({ state: "disconnected", reason: "offline", retryInMs: null });
    const retryInMs = this.#retry === null ? null : Math.max(0, this.#retryAt - this.#env.clock.now());
    this.#tell({ state: "connecting", reason: this.#why, retryInMs });
  }

  /** @param {Partial<Facts>} news */
  #tellFacts(news) {
    this.#facts = { ...this.#facts, ...news };
    this.#emitter.emit("facts", this.#facts);
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
