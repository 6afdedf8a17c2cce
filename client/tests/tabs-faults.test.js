// Whatever happens to tabs, workers, links and the server: every notification is shown exactly once in one of the tabs,
// in order, and acknowledged after that. `SEED=n` runs one schedule, `SEEDS=n` so many.

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeServer } from "./kit/server.js";
import { Browser } from "./kit/tabs.js";

const STEPS = 120;
const STEP_MAX_MS = 4000;
const FAILURES_MAX = 3;
const TABS_MAX = 5;

const WAYS = {
  worker: {},
  "worker without locks": { without: ["locks"] },
  leader: { without: ["SharedWorker"] },
  "a worker that fails": { workers: "fails" },
};

class Schedule {
  shown = [];
  failures = new Map();
  faulty = true;
  errors = new Set();
  /** Tabs with a handler at work: what it shows can not be taken back if it wakes too late. */
  busy = new Map();

  constructor(options, seed) {
    /** Every other time the key is a function's, and tokens end. */
    this.tokens = seed % 2 === 0;
    this.browser = new Browser({ ...options, seed });
    this.world = this.browser.world;
    this.random = this.world.random;
    this.server = new FakeServer(this.world, (id) => this.shown.includes(id));
    this.browser.onSocket = (socket) => this.server.accept(socket);
    this.tabs = [];
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  async open() {
    if (this.tabs.length >= TABS_MAX) return;
    const tab = await this.browser.tab({
      visible: this.random() < 0.5,
      ...(this.tokens && { key: () => this.token(() => tab) }),
      onNotification: ({ id }) => this.show(tab, id),
    });
    tab.connection.on("error", ({ code }) => this.errors.add(code));
    this.tabs.push(tab);
  }

  /** Some answer at once, some late, some never. */
  async token(tab) {
    // The tab is not there yet when it is asked for the first time.
    const ms = this.faulty ? this.pick([0, 300, 20_000]) : 0;
    if (ms > 0) await new Promise((resolve) => this.world.clock.setTimeout(() => tab().process.run(resolve), ms));
    return "token";
  }

  async show(tab, id) {
    const failed = this.failures.get(id) ?? 0;
    this.busy.set(tab, (this.busy.get(tab) ?? 0) + 1);
    if (this.random() < 0.5) {
      await new Promise((resolve) => {
        this.world.clock.setTimeout(() => tab.process.run(resolve), this.random() * 300);
      });
    }
    this.busy.set(tab, this.busy.get(tab) - 1);
    if (this.faulty && failed < FAILURES_MAX && this.random() < 0.1) {
      this.failures.set(id, failed + 1);
      throw new Error("handler");
    }
    this.shown.push(id);
  }

  forget(tab) {
    this.tabs = this.tabs.filter((other) => other !== tab);
  }

  async happens() {
    const { world, server, random } = this;
    const session = this.pick(server.sessions);
    const tab = this.pick(this.tabs);
    const idle = this.pick(this.tabs.filter((one) => !this.busy.get(one)));
    const faults = [
      () => session?.close(this.pick([1001, 1006, 4000, 4001, 4100, 4999, ...(this.tokens ? [4200, 4210] : [])])),
      () => session?.close(1006, true),
      () => session?.drain(),
      () => session && (session.dead = true),
      () => server.crash(Math.floor(random() * 20)),
      () => server.publishAgain(Math.floor(random() * 100)),
      () => this.open(),
      () => this.open(),
      () => this.open(),
      () => tab && (tab.leave(), this.forget(tab)),
      () => tab && (tab.die(), this.forget(tab)),
      () => idle && !idle.process.hangs && (idle.connection.close(), this.forget(idle)),
      () => idle?.process.hang(),
      () => tab?.process.wake(),
      () => tab?.process.wake(),
      () => tab?.look(random() < 0.5),
      () => idle && this.cache(idle),
      () => this.network(random() < 0.3),
      () => this.pick([...this.browser.processes.values()])?.process.die(),
    ];
    await this.pick(faults)();
    for (let n = Math.floor(random() * 8); n > 0; n--) server.publish();
    return world.clock.advance(random() ** 3 * STEP_MAX_MS * this.pick([1, 1, 10]));
  }

  async cache(tab) {
    tab.happens("pagehide", { persisted: true });
    await this.world.clock.advance(this.random() * 10_000);
    tab.happens("pageshow", { persisted: true });
  }

  network(offline) {
    this.world.online = !offline;
    for (const tab of this.tabs) tab.happens(offline ? "offline" : "online");
  }

  async end() {
    this.faulty = false;
    await this.open();
    for (const tab of this.tabs) await tab.process.wake();
    this.network(false);
    await this.world.clock.advance(400_000);
  }
}

async function run(options, seed) {
  const schedule = new Schedule(options, seed);
  for (let step = 0; step < STEPS; step++) await schedule.happens();
  await schedule.end();
  const { server, shown, tabs, world } = schedule;
  assert.deepEqual(shown, [...new Set(server.ids)]);
  assert.equal(server.confirmed, server.ids.length, "all are acknowledged");
  assert.deepEqual(tabs.map(({ state }) => state), tabs.map(() => "connected"));
  assert.deepEqual(new Set(tabs.map(({ connection }) => connection.info.tabs)), new Set([tabs.length]));
  assert.equal(server.sessions.length, 1, "one connection");
  for (const tab of tabs) assert.equal(new Set(tab.told).size, tab.told.length, "told once");
  assert.deepEqual(world.reported, []);
  assert.ok(!schedule.errors.has("handler_gave_up"));
}

for (const [way, options] of Object.entries(WAYS)) {
  test(`shown once by one of the tabs, in order and acknowledged, whatever happens (${way})`, async () => {
    const only = process.env.SEED;
    const seeds = only ? [Number(only)] : Array.from({ length: Number(process.env.SEEDS ?? 15) }, (_, i) => i + 1);
    for (const seed of seeds) {
      await run(options, seed).catch((error) => {
        error.message = `SEED=${seed}: ${error.message}`;
        throw error;
      });
    }
  });
}
