// Where there is no SharedWorker: the tab that holds a lock has the hub, and the others reach it by a channel.

/** @import { Channel, Locks } from "./bellwire.js" */
/** @import { FromHub, FromTab, HubPort, TabPort } from "./port.js" */
/** @import { Seeker, Way } from "./share.js" */

import { Hub } from "./hub.js";
import { ignore, pair } from "./port.js";

/** Several tabs may find the leader hanging at the same time. */
const STEAL_SPREAD_MS = 500;

const HUB = "hub";
const ALL = "all";
const FOLLOWERS = "followers";

/**
 * `term` names the leadership: one that was hanging and wakes must not be taken for its successor.
 * @typedef {{ to: string, from: string, message: FromTab }} ToHub
 * @typedef {{ to: string, term: string, message: FromHub }} ToTab
 */

/** @implements {Way} */
export class Leader {
  /** @type {"leader"} */
  sharing = "leader";
  #seeker;
  #Channel;
  #locks;
  /** @type {Channel | null} */
  #channel = null;
  /** @type {AbortController | null} */
  #waiting = null;
  /** @type {unknown} */
  #stealing = null;
  /** Ends the leadership of this tab. @type {(() => void) | null} */
  #resign = null;
  /** @type {Hub | null} */
  #hub = null;
  #terms = 0;
  /** Whom this tab follows. @type {string | null} */
  #term = null;
  /** @type {Map<string, HubPort>} */
  #ports = new Map();
  /** The end of this tab. @type {TabPort | null} */
  #port = null;

  /**
   * @param {Seeker} seeker
   * @param {new (name: string) => Channel} Channel
   * @param {Locks} locks
   */
  constructor(seeker, Channel, locks) {
    this.#seeker = seeker;
    this.#Channel = Channel;
    this.#locks = locks;
  }

  open() {
    try {
      this.#channel = new this.#Channel(this.#seeker.name);
    } catch {
      return this.#seeker.onFail();
    }
    this.#channel.onmessage = (event) => this.#hear(event.data);
    this.#stand(false);
    this.#follow();
  }

  renew() {
    if (this.#hub) return;
    this.#follow();
    // Whoever leads may only have forgotten this tab; then it answers before the lock is taken from it.
    this.#stealing ??= this.#seeker.environment.clock.setTimeout(
      () => this.#stand(true),
      STEAL_SPREAD_MS * (1 + this.#seeker.environment.random()),
    );
  }

  close() {
    this.#waiting?.abort();
    this.#waiting = null;
    this.#calm();
    this.#resign?.();
    if (this.#channel) this.#channel.onmessage = null;
    this.#channel?.close();
    this.#channel = null;
  }

  // --- who leads ---

  /** @param {boolean} steal */
  #stand(steal) {
    this.#stealing = null;
    this.#waiting?.abort();
    const waiting = new AbortController();
    this.#waiting = waiting;
    const options = steal ? { steal } : { signal: waiting.signal };
    const lock = `${this.#seeker.name}:leader`;
    new Promise((resolve) => resolve(this.#locks.request(lock, options, () => this.#lead(waiting)))).catch((error) => {
      if (this.#waiting !== waiting) return;
      // It may have been granted and taken away again while this tab was hanging.
      if (this.#hub || error?.name === "AbortError") this.#deposed();
      else this.#seeker.onFail();
    });
  }

  /** @param {AbortController} waiting */
  #lead(waiting) {
    if (this.#waiting !== waiting) return;
    this.#calm();
    const [tab, hub] = pair();
    // A tab that was hanging while it led finds notifications waiting, and the loss of its lock behind them: an answer
    // of the locks comes after that.
    this.#hub = new Hub(this.#seeker.environment, null, () => this.#locks.query().catch(ignore));
    this.#hub.connect(hub);
    this.#term = `${this.#seeker.id}:${++this.#terms}`;
    this.#port = tab;
    this.#seeker.onPort(tab);
    this.#say({ to: ALL, term: this.#term, message: { op: "again" } });
    return new Promise((resolve) => {
      this.#resign = () => {
        this.#resign = null;
        this.#hub?.close();
        this.#hub = null;
        this.#ports.clear();
        resolve(null);
      };
    });
  }

  /** Another tab has taken the lock, because this one was hanging. */
  #deposed() {
    const term = this.#term;
    this.#resign?.();
    if (term) this.#say({ to: FOLLOWERS, term, message: { op: "again" } });
    this.#stand(false);
    this.#follow();
  }

  #follow() {
    this.#term = null;
    this.#port = {
      local: false,
      post: (message) => this.#say({ to: HUB, from: this.#seeker.id, message: withoutKey(message) }),
      onmessage: ignore,
      close: ignore,
    };
    this.#seeker.onPort(this.#port);
  }

  #calm() {
    this.#seeker.environment.clock.clearTimeout(this.#stealing);
    this.#stealing = null;
  }

  // --- the channel ---

  /** @param {ToHub | ToTab} data */
  #hear(data) {
    if ("from" in data) {
      if (this.#hub) this.#portTo(data.from, this.#hub).onmessage(data.message);
    } else if (!this.#hub && this.#isForMe(data)) {
      this.#calm();
      this.#port?.onmessage(data.message);
    }
  }

  /** @param {ToTab} data */
  #isForMe({ to, term }) {
    if (to === ALL) return true;
    if (to === this.#seeker.id) this.#term ??= term;
    return this.#term === term && (to === this.#seeker.id || to === FOLLOWERS);
  }

  /**
   * @param {string} to
   * @param {Hub} hub
   */
  #portTo(to, hub) {
    const known = this.#ports.get(to);
    if (known) return known;
    const term = String(this.#term);
    const close = () => void this.#ports.delete(to);
    /** @type {HubPort} */
    const port = {
      local: false,
      post: (message) => {
        this.#say({ to, term, message });
        if (message.op === "again" || message.op === "refused") close();
      },
      onmessage: ignore,
      close,
    };
    this.#ports.set(to, port);
    hub.connect(port);
    return port;
  }

  /** @param {ToHub | ToTab} data */
  #say(data) {
    this.#channel?.postMessage(data);
  }
}

/**
 * The leader has it, and every script of the origin hears the channel.
 * @param {FromTab} message
 * @returns {FromTab}
 */
function withoutKey(message) {
  if (message.op !== "join") return message;
  const { settings, ...rest } = message;
  return rest;
}
