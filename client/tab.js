// A tab's part of the browser's connection: it brings what the tab knows to the hub, shows what it is asked to, and
// tells the page what the hub says.

/** @import * as Api from "./bellwire.js" */
/** @import { Settings } from "./connection.js" */
/** @import { FromHub, TabPort } from "./port.js" */
/** @import { Way } from "./share.js" */

import { addressOf, eventsAddressOf } from "./address.js";
import { browserId, browserName, isBrowserId, uuid } from "./browser.js";
import { Emitter } from "./emitter.js";
import { environment } from "./environment.js";
import { History } from "./history.js";
import { Kept } from "./kept.js";
import { fits } from "./link.js";
import { isToken, testMessage } from "./message.js";
import { Seen, seenName } from "./seen.js";
import { hubName, waysOf } from "./share.js";
import { words } from "./show.js";

/** A hub that does not answer a tab that joins is none; a worker may have to wait long for its script. */
export const JOINED_WITHIN_MS = { worker: 15_000, leader: 3000, alone: 0 };

/** A tab that leads may hang; a worker runs nothing that could. */
export const BEAT_MS = { worker: 15_000, leader: 5000, alone: 0 };

/** So many beats without an answer: timers of a tab that was frozen fire before it hears what was said meanwhile. */
const UNANSWERED_MAX = 2;

/** Of notifications that the page was told of: more than the history has. */
const TOLD_MAX = 16_384;

/** Of tokens, as the server has it. */
const KEY_LENGTH_MAX = 4096;

/** Between two looks at what another hub has kept. */
export const CATCH_UP_EVERY_MS = 1000;

/**
 * Connects, and stays connected until `close()` or until the server says that it is no use.
 * @param {Api.Options} options
 * @returns {Api.Connection}
 * @throws {TypeError} if `url` is no address of a WebSocket
 */
export function connect(options) {
  return new Tab(options);
}

/** @implements {Api.Connection} */
class Tab {
  #env;
  /** @type {Settings} */
  #settings;
  #handler;
  #askKey;
  #id;
  #kept;
  #seen;
  #cursorName;
  #history;
  #shared;
  /** @type {Emitter<Api.Events & Record<string, unknown>>} */
  #emitter;

  /** @type {Api.Status} */
  #status = { state: "connecting", reason: "start", retryInMs: null };
  /** @type {Api.Info} */
  #info;
  /** @type {Way[]} */
  #ways = [];
  /** @type {TabPort | null} */
  #port = null;
  #joined = false;
  /** @type {unknown} */
  #catching = null;
  /** @type {unknown} */
  #deadline = null;
  /** @type {unknown} */
  #beat = null;
  #unanswered = 0;
  /** @type {Promise<string | null> | null} */
  #lock = null;
  #unlock = () => {};
  /** What is being shown, by id. @type {Map<string, Promise<void>>} */
  #running = new Map();
  /** @type {{ id: string, cause: unknown } | null} */
  #failed = null;
  /** @type {Set<string>} */
  #told = new Set();
  #closed = false;

  /** @param {Api.Options} options */
  constructor({ url, eventsUrl, user, key, browser, onNotification, shared, environment: given }) {
    const env = environment(given ?? null);
    const address = addressOf(url, env.base);
    const events = eventsAddressOf(eventsUrl, address, env.base).href;
    this.#env = env;
    const text = typeof key === "function" ? null : key;
    this.#settings = { url: address.href, eventsUrl: events, user: String(user), key: text, ...(browser && { browser }) };
    this.#askKey = typeof key === "function" ? key : null;
    this.#handler = onNotification;
    this.#id = uuid(env.random);
    this.#kept = new Kept(env.storage);
    this.#seen = new Seen(this.#kept, seenName(String(user)));
    this.#cursorName = `bellwireCursor:${user}`;
    this.#history = new History(env, String(user));
    this.#shared = shared ?? true;
    this.#emitter = new Emitter(env.report);
    this.#info = { ...NOTHING, user: String(user), browser: browser ?? "" };
    for (const name of CAUSES) env.events.addEventListener(name, this.#onLook);
    env.events.addEventListener("pagehide", this.#onHide);
    env.events.addEventListener("pageshow", this.#onShow);
    void this.#history.news();
    this.#open();
  }

  get status() {
    return this.#status;
  }

  get info() {
    return this.#info;
  }

  /** @type {Api.Connection["on"]} */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  /** @type {Api.Connection["test"]} */
  test(request = {}) {
    const message = testMessage(request);
    if (this.#status.state !== "connected" || !fits(message)) return false;
    this.#port?.post({ op: "test", message });
    return true;
  }

  /** @type {Api.Connection["recent"]} */
  recent() {
    return this.#history.recent();
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const name of CAUSES) this.#env.events.removeEventListener(name, this.#onLook);
    this.#env.events.removeEventListener("pagehide", this.#onHide);
    this.#env.events.removeEventListener("pageshow", this.#onShow);
    this.#leave(this.#running.size > 0);
    this.#tell({ state: "disconnected", reason: "closed", retryInMs: null });
  }

  // --- finding the hub ---

  #open() {
    const { id, environment: env, name } = { id: this.#id, environment: this.#env, name: hubName(this.#settings) };
    const ways = waysOf(
      {
        id,
        environment: env,
        name,
        onPort: (port) => this.#onPort(port),
        onFail: () => !this.#joined && this.#ways === ways && this.#openNext(),
      },
      this.#shared,
    );
    this.#ways = ways;
    this.#history.listen(this.#onMore);
    this.#way?.open();
  }

  get #way() {
    return this.#ways[0];
  }

  #openNext() {
    // A worker that was only slow still gets the `join`, and would have a connection for nobody.
    this.#port?.post({ op: "leave", busy: false });
    this.#way?.close();
    this.#ways.shift();
    this.#way?.open();
  }

  /** @param {TabPort} port */
  #onPort(port) {
    this.#port = port;
    this.#joined = false;
    port.onmessage = (message) => port === this.#port && this.#hear(message);
    this.#env.clock.clearTimeout(this.#deadline);
    this.#env.clock.clearTimeout(this.#beat);
    if (port.local) return this.#join(port, null);
    const within = JOINED_WITHIN_MS[this.#way?.sharing ?? "alone"];
    this.#deadline = this.#env.clock.setTimeout(() => this.#notJoined(), within);
    // The hub waits for this lock: it must be held before the hub knows its name.
    this.#lock ??= this.#holdLock();
    void this.#lock.then((lock) => port === this.#port && this.#join(port, lock));
  }

  /**
   * @param {TabPort} port
   * @param {string | null} lock
   */
  #join(port, lock) {
    // Made here, where all tabs see it: two hubs would each make their own.
    if (!this.#settings.browser) browserId(this.#kept, this.#env.random);
    /** @type {Record<string, string>} */
    const kept = {};
    for (const name of [this.#cursorName, seenName(this.#info.user), browserName]) {
      const text = this.#kept.read(name);
      if (text !== null) kept[name] = text;
    }
    port.post({ op: "join", settings: this.#settings, kept, lock, running: [...this.#running.keys()], ...this.#looks() });
  }

  #notJoined() {
    if (this.#way?.sharing === "worker") this.#openNext();
    else this.#way?.renew();
  }

  /** @returns {Promise<string | null>} */
  #holdLock() {
    const { locks } = this.#env;
    const name = `bellwire:tab:${this.#id}`;
    // It may be granted when this tab has left already.
    const left = new Promise((release) => (this.#unlock = () => release(null)));
    return new Promise((resolve) => {
      if (!locks) return resolve(null);
      const held = () => (resolve(name), left);
      new Promise((done) => done(locks.request(name, {}, held))).catch(() => resolve(null));
    });
  }

  /** @param {boolean} busy */
  #leave(busy) {
    this.#port?.post({ op: "leave", busy });
    this.#env.clock.clearTimeout(this.#deadline);
    this.#env.clock.clearTimeout(this.#beat);
    this.#env.clock.clearTimeout(this.#catching);
    this.#catching = null;
    this.#history.close();
    const way = this.#way;
    this.#ways = [];
    if (!busy) this.#port = null;
    if (!busy || this.#info.sharing === "alone") way?.close();
    else void Promise.allSettled(this.#running.values()).then(() => way?.close());
    this.#unlock();
    this.#lock = null;
  }

  /** As long as the hub answers; a worker may be killed and a tab that leads may hang. */
  #beatSoon() {
    const ms = BEAT_MS[this.#info.sharing];
    if (this.#port?.local || ms === 0) return;
    this.#env.clock.clearTimeout(this.#beat);
    this.#beat = this.#env.clock.setTimeout(() => {
      if (this.#unanswered >= UNANSWERED_MAX) return this.#renew();
      this.#unanswered += 1;
      this.#port?.post({ op: "ping" });
      this.#beatSoon();
    }, ms);
  }

  #renew() {
    this.#port?.post({ op: "leave", busy: this.#running.size > 0 });
    this.#way?.renew();
  }

  // --- what the hub says ---

  /** @param {FromHub} message */
  #hear(message) {
    this.#unanswered = 0;
    switch (message.op) {
      case "joined":
        return this.#onJoined(message);
      case "event":
        return this.#onEvent(message.name, message.event);
      case "info":
        return this.#tellInfo(message.info);
      case "show":
        return void this.#show(message);
      case "keep":
        return this.#keep(message.kept);
      case "key":
        return void this.#tellKey(message.id);
      case "ping":
        return this.#port?.post({ op: "pong" });
      case "again":
        return this.#renew();
      case "refused":
        while (this.#ways.length > 1) this.#openNext();
    }
  }

  /** @param {FromHub & { op: "joined" }} message */
  #onJoined({ status, info }) {
    this.#joined = true;
    this.#env.clock.clearTimeout(this.#deadline);
    void this.#catchUp();
    this.#tellInfo(info);
    this.#tell(status);
    this.#beatSoon();
  }

  /** @param {number} id */
  async #tellKey(id) {
    const port = this.#port;
    try {
      const key = await this.#askKey?.();
      if (!isToken(key, KEY_LENGTH_MAX)) throw new TypeError(`key must give a text of 1 to ${KEY_LENGTH_MAX} characters`);
      port?.post({ op: "key", id, key });
    } catch (cause) {
      this.#env.report(cause);
      port?.post({ op: "key", id, words: words(cause) });
    }
  }

  /** What came while this tab had no hub, or was no member, or came to another hub. */
  async #catchUp() {
    for (const notification of await this.#history.news()) if (!this.#closed) this.#tellOf(notification);
  }

  /** @param {unknown} ids  that any hub of this user has kept */
  #onMore = (ids) => {
    if (!Array.isArray(ids) || ids.every((id) => this.#told.has(id))) return;
    this.#catching ??= this.#env.clock.setTimeout(() => {
      this.#catching = null;
      void this.#catchUp();
    }, CATCH_UP_EVERY_MS);
  };

  /**
   * @param {(FromHub & { op: "event" })["name"]} name
   * @param {any} event
   */
  #onEvent(name, event) {
    if (name === "state") return this.#tell(event);
    if (name === "notification") return this.#tellOf(event);
    if (name === "error" && event.code === "handler_gave_up") this.#seen.add(event.notification.id);
    // Causes are of the tab where it failed, and may be what no other tab could be told.
    const own = name === "error" && event.notification && this.#failed?.id === event.notification.id;
    this.#emitter.emit(name, own ? { ...event, cause: this.#failed?.cause } : event);
  }

  /** @param {Api.Notification} notification */
  #tellOf(notification) {
    if (this.#told.has(notification.id)) return;
    this.#told.add(notification.id);
    for (const oldest of this.#told) {
      if (this.#told.size <= TOLD_MAX) break;
      this.#told.delete(oldest);
    }
    void this.#history.heard(notification);
    this.#emitter.emit("notification", notification);
  }

  /** @param {Record<string, string>} kept */
  #keep(kept) {
    for (const [name, text] of Object.entries(kept)) {
      if (name !== browserName || !isBrowserId(this.#kept.read(name))) this.#kept.write(name, text);
    }
  }

  // --- showing ---

  /** @param {FromHub & { op: "show" }} message */
  async #show({ notification, by }) {
    const { id } = notification;
    // To the hub that is there by then: it knows that this is being shown.
    const say = (/** @type {"shown" | "failed" | "late"} */ how, /** @type {string} */ why) =>
      this.#port?.post({ op: "shown", id, how, words: why });
    if (this.#seen.has(id)) return say("shown", "");
    if (this.#closed || (by !== null && this.#env.date() > by && !this.#running.has(id))) return say("late", "");
    const running = this.#running.get(id) ?? this.#run(notification);
    this.#running.set(id, running);
    try {
      await running;
      say("shown", "");
    } catch (cause) {
      this.#failed = { id, cause };
      say("failed", words(cause));
    }
    this.#running.delete(id);
  }

  /** @param {Api.Notification} notification */
  async #run(notification) {
    await this.#handler(notification);
    // On disk before the hub may acknowledge it: a crash between them would show it again.
    this.#seen.add(notification.id);
  }

  // --- what the browser says ---

  /** @param {Event} event */
  #onLook = ({ type }) => {
    if (this.#joined) this.#port?.post({ op: "look", cause: type, ...this.#looks() });
  };

  #onHide = () => {
    this.#joined = false;
    this.#leave(false);
  };

  /** @param {Event} event */
  #onShow = (event) => {
    if (/** @type {PageTransitionEvent} */ (event).persisted && this.#ways.length === 0) this.#open();
  };

  #looks() {
    return { visible: this.#env.isVisible(), online: this.#env.isOnline() };
  }

  // --- what the page is told ---

  /** @param {Omit<Api.Info, "sharing">} info */
  #tellInfo(info) {
    this.#info = { ...info, sharing: this.#way?.sharing ?? this.#info.sharing };
    this.#emitter.emit("info", this.#info);
  }

  /** @param {Api.Status} status */
  #tell(status) {
    const { state, reason, retryInMs } = this.#status;
    if (state === status.state && reason === status.reason && retryInMs === status.retryInMs) return;
    this.#status = status;
    this.#emitter.emit("state", status);
  }
}

const CAUSES = ["online", "offline", "visibilitychange"];

/** @type {Omit<Api.Info, "user" | "browser">} */
const NOTHING = {
  transport: null,
  sharing: "alone",
  tabs: 1,
  session: null,
  version: null,
  connectedAt: null,
  heardAt: null,
  pings: 0,
};
