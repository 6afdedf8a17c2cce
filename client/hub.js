// The one connection of a browser, for all its tabs: in a worker, or in the tab that leads.

/** @import { Environment, Notification } from "./bellwire.js" */
/** @import { FromHub, FromTab, HubInfo, HubPort, Join, Looks } from "./port.js" */

/** @import { Relay } from "./relay.js" */

import { Connection } from "./connection.js";
import { History } from "./history.js";
import { Keys } from "./keys.js";
import { ignore } from "./port.js";

/** How long a tab may take to show a notification before the next one is asked. */
export const ANSWER_WITHIN_MS = 5000;

/** And by when it must have begun, so that the next one does not begin too. */
const BEGIN_WITHIN_MS = 4000;

/** A tab without Web Locks pings; in the background browsers let it do so once a minute only. */
export const SILENCE_MAX_MS = 200_000;

export const MEMBERS_MAX = 256;

/** So much may wait in a tab that hangs before it is no member any more. */
export const UNHEARD_MAX = 16_384;

/** A tab that only listens is asked after so many messages whether it does. */
const ASK_EVERY = 1024;

/** Last values of the server, for tabs that come later. */
const VALUES_MAX = 64;

/** @typedef {"shown" | "failed" | "late"} How */

/** A tab. */
class Member {
  hangs = false;
  failed = false;
  /** What it shows already, asked by a hub before this one. @type {string[]} */
  running = [];
  /** Messages since it last said anything. */
  unheard = 0;
  heardAt = 0;
  /** When it was visible last, as places in a row. */
  visibleAt = 0;
  visible = false;
  lock = new AbortController();

  /** @param {HubPort} port */
  constructor(port) {
    this.port = port;
  }

  /** @param {FromHub} message */
  post(message) {
    this.port.post(message);
    if (++this.unheard % ASK_EVERY === 0) this.port.post({ op: "ping" });
  }
}

/**
 * @typedef {object} Showing
 * @property {Notification} notification
 * @property {Set<Member>} asked
 * @property {Member | null} waitsFor
 * @property {boolean} late  a tab was too late: clocks may differ, so it is not a matter of time any more
 * @property {(value: null) => void} resolve
 * @property {(words: string) => void} reject
 */

export class Hub {
  #env;
  #certain;
  #storage;
  #events = new EventTarget();
  /** @type {Set<Member>} */
  #members = new Set();
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Join["settings"] & { user: string } | null} */
  #settings = null;
  /** @type {History | null} */
  #history = null;
  #online = true;
  #looks = 0;
  /** @type {Keys<Member>} */
  #keys;
  /** @type {Showing | null} */
  #showing = null;
  /** @type {unknown} */
  #patience = null;
  /** @type {unknown} */
  #sweep = null;
  /** @type {Map<string, unknown>} */
  #values = new Map();

  over = false;

  /**
   * @param {Environment} environment
   * @param {Relay | null} relay  where the hub has no storage of its own
   * @param {(() => Promise<unknown>) | null} certain  fulfilled when this hub would have heard that it is deposed
   */
  constructor(environment, relay = null, certain = null) {
    this.#certain = certain;
    this.#storage = relay;
    this.#env = {
      ...environment,
      storage: relay ?? environment.storage,
      events: this.#events,
      isOnline: () => this.#online,
      isVisible: () => [...this.#members].some(({ visible }) => visible),
    };
    this.#keys = new Keys(environment.clock, () => this.#askable());
    if (relay) relay.onWrite = (kept) => this.#tell({ op: "keep", kept });
  }

  /** @param {HubPort} port */
  connect(port) {
    const member = new Member(port);
    port.onmessage = (message) => this.#hear(member, message);
  }

  /** Ends the connection, whoever is there. */
  close() {
    if (this.over) return;
    this.over = true;
    for (const clock of [this.#patience, this.#sweep]) this.#env.clock.clearTimeout(clock);
    for (const member of this.#members) member.lock.abort();
    // Those that are left find another hub; that this one ends is no news for them.
    this.#members.clear();
    this.#connection?.close();
    this.#keys.close();
    this.#history?.close();
    this.#storage?.close();
  }

  // --- coming and going of tabs ---

  /**
   * @param {Member} member
   * @param {Join} join
   */
  #join(member, join) {
    if (this.#members.size >= MEMBERS_MAX || !this.#isOurs(join.settings)) return member.post({ op: "refused" });
    member.running = join.running;
    this.#members.add(member);
    this.#watch(member, join.lock);
    this.#look(member, join);
    if (!this.#connection) this.#start(join);
    else this.#tell({ op: "info", info: this.#info() }, member);
    const connection = /** @type {Connection} */ (this.#connection);
    member.post({ op: "joined", status: connection.status, info: this.#info() });
    for (const [key, value] of this.#values) this.#sayEvent("status", { key, value }, member);
    const showing = this.#showing;
    if (showing && member.running.includes(showing.notification.id)) showing.asked.add(member);
    else if (showing && !showing.waitsFor) this.#ask(showing);
  }

  /** @param {Join} join */
  #start({ settings, kept }) {
    if (!settings) throw new TypeError("the first tab brings the settings");
    this.#settings = { ...settings, user: String(settings.user) };
    this.#storage?.fill(kept);
    this.#history = new History(this.#env, this.#settings.user);
    this.#history.listen(ignore);
    const connection = new Connection(settings, this.#env, (notification) => this.#show(notification), () => this.#keys.ask());
    this.#connection = connection;
    for (const name of /** @type {const} */ (["state", "gap", "error"])) {
      connection.on(name, (event) => this.#sayEvent(name, event));
    }
    connection.on("status", (event) => this.#onValue(event));
    connection.on("facts", () => this.#tell({ op: "info", info: this.#info() }));
    connection.on("notification", (notification) => {
      void this.#history?.add(notification);
      this.#sayEvent("notification", notification);
    });
  }

  /**
   * The names of workers and channels have a hash of this only.
   * @param {Join["settings"]} settings
   */
  #isOurs(settings) {
    const ours = this.#settings;
    return !settings || !ours || (settings.key === ours.key && String(settings.user) === ours.user);
  }

  /**
   * Notices when the tab is gone without a word.
   * @param {Member} member
   * @param {string | null} lock  that the tab holds while it lives
   */
  #watch(member, lock) {
    if (member.port.local) return;
    if (lock !== null && this.#env.locks) {
      const { signal } = member.lock;
      return void this.#env.locks.request(lock, { signal }, () => this.#gone(member)).catch(ignore);
    }
    this.#sweep ??= this.#env.clock.setTimeout(() => this.#sweepSilent(), SILENCE_MAX_MS / 2);
  }

  #sweepSilent() {
    const since = this.#env.clock.now() - SILENCE_MAX_MS;
    for (const member of this.#members) if (!member.port.local && member.heardAt < since) this.#gone(member);
    this.#sweep = this.over ? null : this.#env.clock.setTimeout(() => this.#sweepSilent(), SILENCE_MAX_MS / 2);
  }

  /**
   * @param {Member} member
   * @param {boolean} busy  it is still showing, and will say so
   */
  #gone(member, busy = false) {
    if (!this.#members.delete(member)) return;
    member.lock.abort();
    member.port.close();
    this.#keys.gone(member);
    if (this.#members.size === 0) return this.close();
    this.#tell({ op: "info", info: this.#info() });
    if (!busy) this.#pass(member);
  }

  // --- what tabs say ---

  /**
   * @param {Member} member
   * @param {FromTab} message
   */
  #hear(member, message) {
    member.unheard = 0;
    member.heardAt = this.#env.clock.now();
    // Its last answer may come when it has left.
    if (message.op === "shown") return this.#onShown(member, message.id, message.how, message.words);
    if (message.op === "leave") return this.#gone(member, message.busy);
    if (this.over) return member.port.post({ op: "again" });
    if (message.op === "join") return this.#members.has(member) ? undefined : this.#join(member, message);
    if (!this.#members.has(member)) return member.port.post({ op: "again" });
    switch (message.op) {
      case "look":
        return this.#onLook(member, message);
      case "test":
        if (!this.#connection?.say(message.message)) this.#sayEvent("error", NOT_NOW, member);
        return;
      case "key":
        return this.#keys.hear(member, message);
      case "ping":
        return member.post({ op: "pong" });
    }
  }

  /** A leader asks itself: every script of the origin would hear what another tab says. */
  #askable() {
    const own = [...this.#members].filter(({ port }) => port.local);
    return own.length > 0 ? own : [...this.#members].sort(byRank);
  }

  /**
   * @param {Member} member
   * @param {Looks & { cause: string }} look
   */
  #onLook(member, look) {
    this.#look(member, look);
    // One of two visible tabs that is hidden changes nothing for the connection.
    const isNews = look.cause !== "visibilitychange" || look.visible || !this.#env.isVisible();
    if (isNews) this.#events.dispatchEvent(new Event(look.cause));
  }

  /**
   * @param {Member} member
   * @param {Looks} looks
   */
  #look(member, { visible, online }) {
    if (visible || member.visible) member.visibleAt = ++this.#looks;
    member.visible = visible;
    this.#online = online;
  }

  // --- showing in one of them ---

  /** @param {Notification} notification */
  async #show(notification) {
    if (this.#certain) await this.#certain();
    return new Promise((resolve, reject) => {
      if (this.over) return;
      this.#ask((this.#showing = { notification, asked: new Set(), waitsFor: null, late: false, resolve, reject }));
    });
  }

  /** @param {Showing} showing */
  #ask(showing) {
    const { clock, date } = this.#env;
    clock.clearTimeout(this.#patience);
    const free = [...this.#members].filter((member) => !showing.asked.has(member)).sort(byRank);
    const next = free.find(({ running }) => running.includes(showing.notification.id)) ?? free[0];
    showing.waitsFor = next ?? null;
    // Who was asked may still answer, and who joins is asked.
    if (!next) return;
    showing.asked.add(next);
    this.#patience = clock.setTimeout(() => {
      next.hangs = true;
      this.#ask(showing);
    }, ANSWER_WITHIN_MS);
    const by = showing.late ? null : date() + BEGIN_WITHIN_MS;
    next.post({ op: "show", notification: showing.notification, by });
  }

  /**
   * @param {Member} member
   * @param {string} id
   * @param {How} how
   * @param {string} [words]
   */
  #onShown(member, id, how, words = "it failed") {
    member.hangs = false;
    const showing = this.#showing;
    if (showing?.notification.id !== id || !showing.asked.has(member)) return;
    if (how === "late") {
      showing.late = true;
      return this.#pass(member);
    }
    this.#showing = null;
    this.#env.clock.clearTimeout(this.#patience);
    member.failed = how === "failed";
    if (how === "failed") showing.reject(words);
    else showing.resolve(null);
  }

  /**
   * It will not show what it was asked to.
   * @param {Member} member
   */
  #pass(member) {
    const showing = this.#showing;
    if (!showing?.asked.delete(member)) return;
    if (!showing.waitsFor || showing.waitsFor === member) this.#ask(showing);
  }

  // --- what tabs are told ---

  /**
   * @param {FromHub} message
   * @param {Member} [but]
   */
  #tell(message, but) {
    for (const member of [...this.#members]) {
      if (member === but) continue;
      if (member.unheard > UNHEARD_MAX && !member.port.local) this.#gone(member);
      else member.post(message);
    }
  }

  /**
   * @param {"state" | "gap" | "status" | "error" | "notification"} name
   * @param {unknown} event
   * @param {Member} [only]
   */
  #sayEvent(name, event, only) {
    const message = /** @type {const} */ ({ op: "event", name, event });
    if (only) only.post(message);
    else this.#tell(message);
  }

  /** @param {{ key: string, value: unknown }} event */
  #onValue({ key, value }) {
    if (this.#values.has(key) || this.#values.size < VALUES_MAX) this.#values.set(key, value);
    this.#sayEvent("status", { key, value });
  }

  /** @returns {HubInfo} */
  #info() {
    const connection = /** @type {Connection} */ (this.#connection);
    const { user } = /** @type {{ user: string }} */ (this.#settings);
    return { user, browser: connection.browser, tabs: this.#members.size, ...connection.facts };
  }
}

const NOT_NOW = { code: "unavailable", message: "not connected, or the test is too large" };

/**
 * Who is asked first: a tab that answers, that did not fail just now, that is visible or was so last.
 * @param {Member} a
 * @param {Member} b
 */
function byRank(a, b) {
  return (
    Number(a.hangs) - Number(b.hangs) ||
    Number(a.failed) - Number(b.failed) ||
    Number(b.visible) - Number(a.visible) ||
    b.visibleAt - a.visibleAt
  );
}
