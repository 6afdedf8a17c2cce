// A browser with tabs: one storage, SharedWorkers, Web Locks and channels, in virtual time. Tabs and workers may hang or
// die at any moment, as processes do.

import { connect } from "../../bellwire.js";
import { workerHubs } from "../../share.js";
import { FakeSocket } from "./socket.js";
import { World, seeded, settle } from "./world.js";

/** What runs in one process: nothing of it happens while it hangs, and never again once it is dead. */
class Process {
  alive = true;
  #hangs = false;
  #waiting = [];
  /** For what has to go with it. */
  atEnd = new Set();

  run(task) {
    if (!this.alive) return;
    if (this.#hangs || this.#waiting.length > 0) this.#waiting.push(task);
    else task();
  }

  /** A timer that is cleared does not run, even if its time came while this was hanging. */
  clock(clock) {
    const cleared = new Set();
    return {
      now: clock.now,
      setTimeout: (task, ms) => {
        const timer = clock.setTimeout(() => this.run(() => cleared.delete(timer) || task()), ms);
        return timer;
      },
      clearTimeout: (timer) => {
        clock.clearTimeout(timer);
        if (timer !== null) cleared.add(timer);
      },
    };
  }

  get hangs() {
    return this.#hangs;
  }

  hang() {
    this.#hangs = true;
  }

  async wake() {
    this.#hangs = false;
    while (this.alive && !this.#hangs && this.#waiting.length > 0) {
      this.#waiting[0]();
      await settle();
      this.#waiting.shift();
    }
  }

  die() {
    this.alive = false;
    for (const end of this.atEnd) end();
  }
}

class Port {
  onmessage = null;
  #open = true;

  constructor(process) {
    this.process = process;
  }

  postMessage(message) {
    const copy = structuredClone(message);
    const { other } = this;
    queueMicrotask(() => other.process.run(() => other.#open && other.onmessage?.({ data: copy })));
  }

  close() {
    this.#open = false;
  }
}

class Lock {
  held = null;
  queue = [];

  next() {
    if (this.held) return;
    const request = this.queue.shift();
    if (!request) return;
    this.held = request;
    request.process.run(() => this.#grant(request));
  }

  async #grant(request) {
    if (this.held !== request) return;
    try {
      request.resolve(await request.callback({}));
    } catch (error) {
      request.reject(error);
    }
    this.release(request);
  }

  release(request) {
    this.queue = this.queue.filter((other) => other !== request);
    if (this.held !== request) return;
    this.held = null;
    queueMicrotask(() => this.next());
  }
}

export class Browser {
  world = new World();
  tabs = [];
  /** What this browser has not got, by the names of the environment. */
  without = new Set();
  /** What happens to scripts of workers: "runs", "slow", "fails", "hangs" or "throws". */
  workers = "runs";
  processes = new Map();
  #channels = new Set();
  #locks = new Map();

  constructor({ without = [], workers = "runs", seed = 1 } = {}) {
    this.world.random = seeded(seed);
    this.without = new Set(without);
    this.workers = workers;
  }

  get clock() {
    return this.world.clock;
  }

  get sockets() {
    return this.world.sockets;
  }

  get socket() {
    return this.world.socket;
  }

  /** Those that are open on both sides. */
  get open() {
    return this.sockets.filter(({ readyState }) => readyState < 2);
  }

  channelNames() {
    return new Set([...this.#channels].map(({ name }) => name));
  }

  async tab(options) {
    const tab = new Tab(this, options);
    this.tabs.push(tab);
    await this.clock.advance(0);
    return tab;
  }

  /** So many tabs, of which the first is visible, and a link that serves them. */
  async connected(count, options) {
    const tabs = [];
    for (let n = 0; n < count; n++) tabs.push(await this.tab({ visible: n === 0, ...options }));
    this.socket.welcome();
    await this.clock.advance(0);
    return tabs;
  }

  environment(process, events, looks) {
    const { world } = this;
    const all = {
      SharedWorker: this.#sharedWorker(process),
      BroadcastChannel: this.#channel(process),
      locks: {
        request: (...args) => this.#request(process, ...args),
        query: () => new Promise((resolve) => queueMicrotask(() => process.run(() => resolve({})))),
      },
      indexedDB: null,
      fetch: null,
      WebSocket: this.#webSocket(process),
      clock: process.clock(world.clock),
      date: () => 1_700_000_000_000 + world.clock.now(),
      random: () => world.random(),
      storage: world.storage,
      events,
      isOnline: () => world.online,
      isVisible: () => looks.visible,
      base: "https://monitoring.example/page/",
      report: (error) => world.reported.push(error),
    };
    for (const name of this.without) all[name] = null;
    return { ...all, ...this.more };
  }

  #webSocket(process) {
    const { sockets } = this;
    const browser = this;
    return class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        sockets.push(this);
        process.atEnd.add(() => this.close(1001));
        browser.onSocket?.(this, process);
      }
      open() {
        process.run(() => super.open());
      }
      raw(data) {
        process.run(() => super.raw(data));
      }
      end(code) {
        process.run(() => super.end(code));
      }
    };
  }

  #sharedWorker(process) {
    const browser = this;
    return class {
      onerror = null;
      constructor(url, { name }) {
        if (browser.workers === "throws") throw new DOMException("not of this origin", "SecurityError");
        const [mine, other] = [new Port(process), new Port(new Process())];
        [mine.other, other.other] = [other, mine];
        this.port = mine;
        if (browser.workers === "fails") queueMicrotask(() => process.run(() => this.onerror?.({})));
        if (["runs", "slow"].includes(browser.workers)) browser.#startWorker(`${url} ${name}`, other);
      }
    };
  }

  #startWorker(key, port) {
    let worker = this.processes.get(key);
    if (!worker?.process.alive) {
      const process = new Process();
      if (this.workers === "slow") process.hang();
      const environment = { ...this.environment(process, new EventTarget(), { visible: true }), storage: null };
      worker = { process, connect: workerHubs({ ...environment, SharedWorker: null }) };
      this.processes.set(key, worker);
    }
    port.process = worker.process;
    worker.connect(port);
  }

  #channel(process) {
    const channels = this.#channels;
    return class {
      onmessage = null;
      constructor(name) {
        this.name = name;
        channels.add(this);
        process.atEnd.add(() => this.close());
      }
      postMessage(message) {
        for (const other of channels) {
          if (other === this || other.name !== this.name) continue;
          const copy = structuredClone(message);
          queueMicrotask(() => other.hear(copy));
        }
      }
      hear(data) {
        process.run(() => channels.has(this) && this.onmessage?.({ data }));
      }
      close() {
        channels.delete(this);
      }
    };
  }

  #request(process, name, { signal, steal }, callback) {
    const lock = this.#locks.get(name) ?? new Lock();
    this.#locks.set(name, lock);
    return new Promise((resolve, reject) => {
      const request = { process, callback, resolve, reject };
      process.atEnd.add(() => lock.release(request));
      const abort = () => process.run(() => reject(new DOMException("gone", "AbortError")));
      signal?.addEventListener("abort", () => {
        if (lock.held === request) return;
        lock.release(request);
        abort();
      });
      if (steal && lock.held) {
        const old = lock.held;
        lock.held = null;
        old.process.run(() => old.reject(new DOMException("stolen", "AbortError")));
      }
      if (steal) lock.queue.unshift(request);
      else lock.queue.push(request);
      queueMicrotask(() => lock.next());
    });
  }
}

class Tab {
  process = new Process();
  events = new EventTarget();
  shown = [];
  told = [];
  states = [];
  gaps = [];
  statuses = [];
  errors = [];
  handler = () => {};

  constructor(browser, { visible = false, ...options } = {}) {
    this.browser = browser;
    this.visible = visible;
    this.connection = connect({
      url: "wss://monitoring.example/bell",
      user: 7,
      key: "secret",
      environment: browser.environment(this.process, this.events, this),
      onNotification: async (notification) => {
        await this.handler(notification);
        this.shown.push(notification.id);
      },
      ...options,
    });
    this.connection.on("state", (status) => this.states.push(status));
    this.connection.on("notification", ({ id }) => this.told.push(id));
    this.connection.on("gap", ({ dropped }) => this.gaps.push(dropped));
    this.connection.on("status", (status) => this.statuses.push(status));
    this.connection.on("error", (failure) => this.errors.push(failure));
  }

  get state() {
    const { state, reason } = this.connection.status;
    return reason ? `${state} ${reason}` : state;
  }

  get sharing() {
    return this.connection.info.sharing;
  }

  look(visible) {
    this.visible = visible;
    this.happens("visibilitychange");
  }

  happens(name, more = {}) {
    this.process.run(() => this.events.dispatchEvent(Object.assign(new Event(name), more)));
  }

  /** As a browser does it: the page hears of it, then all is gone. */
  leave() {
    this.happens("pagehide");
    this.process.die();
  }

  /** Without a word. */
  die() {
    this.process.die();
  }
}

export const shownBy = (tabs) => tabs.map(({ shown }) => shown);
