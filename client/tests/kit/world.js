// A browser without one: virtual time, and everything that the client takes from outside.

import { FakeSocket } from "./socket.js";

/** Lets everything run that waits for no timer. */
export const settle = () => new Promise(setImmediate);

export class FakeClock {
  #now = 0;
  #timers = new Map();
  #last = 0;

  now = () => this.#now;

  setTimeout = (task, ms) => {
    // As browsers do it, so that a test sees what happens to times that they do not take.
    const wait = ms >= 2 ** 31 ? 0 : Math.max(0, ms);
    this.#timers.set(++this.#last, { at: this.#now + wait, task });
    return this.#last;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  get waiting() {
    return this.#timers.size;
  }

  async advance(ms) {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#earliest(until); next; next = this.#earliest(until)) {
      const [number, { at, task }] = next;
      this.#timers.delete(number);
      this.#now = at;
      task();
      await settle();
    }
    this.#now = until;
  }

  #earliest(until) {
    let best = null;
    for (const entry of this.#timers) {
      if (entry[1].at <= until && (!best || entry[1].at < best[1].at)) best = entry;
    }
    return best;
  }
}

export class FakeStorage {
  items = new Map();
  broken = false;

  getItem(name) {
    if (this.broken) throw new Error("forbidden");
    return this.items.get(name) ?? null;
  }

  setItem(name, text) {
    if (this.broken) throw new Error("full");
    this.items.set(name, text);
  }
}

/** Random numbers of a seed (mulberry32). */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class World {
  clock = new FakeClock();
  storage = new FakeStorage();
  events = new EventTarget();
  online = true;
  visible = true;
  /** Every socket that was ever made, the newest last. */
  sockets = [];
  reported = [];
  random = () => 0.5;

  get socket() {
    return this.sockets.at(-1);
  }

  environment() {
    const { sockets } = this;
    return {
      WebSocket: class extends FakeSocket {
        constructor(url, protocols) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      clock: this.clock,
      random: () => this.random(),
      storage: this.storage,
      events: this.events,
      isOnline: () => this.online,
      isVisible: () => this.visible,
      base: "https://monitoring.example/page/",
      report: (error) => this.reported.push(error),
    };
  }

  setOnline(online) {
    this.online = online;
    this.events.dispatchEvent(new Event(online ? "online" : "offline"));
  }

  setVisible(visible) {
    this.visible = visible;
    this.events.dispatchEvent(new Event("visibilitychange"));
  }
}
