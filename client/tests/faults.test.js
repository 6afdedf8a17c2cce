// Whatever happens to links, page and server: every notification is shown exactly once, in order, and acknowledged,
// and none is acknowledged before it is shown. `SEED=n` runs one schedule, `SEEDS=n` so many.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Page } from "./kit/page.js";
import { FakeServer } from "./kit/server.js";
import { World, seeded } from "./kit/world.js";

const STEPS = 150;
const STEP_MAX_MS = 4000;
const FAILURES_MAX = 3;

/** A browser in which one page follows another; those that are gone do nothing any more. */
class Browser {
  world = new World();
  shown = [];
  failures = new Map();
  faulty = true;
  errors = new Set();

  constructor(seed) {
    this.random = seeded(seed);
    this.world.random = this.random;
    this.server = new FakeServer(this.world, (id) => this.shown.includes(id));
    this.load();
  }

  load() {
    const alive = { is: true };
    this.alive = alive;
    const world = Object.assign(Object.create(this.world), { events: new EventTarget(), sockets: [] });
    const plain = world.environment();
    const { server } = this;
    this.events = world.events;
    this.page = new Page(world, {
      onNotification: (notification) => this.show(notification, alive),
      environment: {
        ...plain,
        WebSocket: class extends plain.WebSocket {
          constructor(url, protocols) {
            super(url, protocols);
            server.accept(this);
          }
        },
        clock: { ...world.clock, setTimeout: (task, ms) => world.clock.setTimeout(() => alive.is && task(), ms) },
      },
    });
    this.sockets = world.sockets;
    this.page.connection.on("error", ({ code }) => this.errors.add(code));
  }

  /** Without a word: a tab may die at any moment. */
  reload() {
    this.alive.is = false;
    for (const socket of this.sockets) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(1001);
    }
    this.load();
  }

  async show({ id }, alive) {
    const failed = this.failures.get(id) ?? 0;
    if (this.random() < 0.5) {
      await new Promise((resolve) => this.world.clock.setTimeout(() => alive.is && resolve(), this.random() * 300));
    }
    if (this.faulty && failed < FAILURES_MAX && this.random() < 0.1) {
      this.failures.set(id, failed + 1);
      throw new Error("handler");
    }
    this.shown.push(id);
  }

  happens() {
    const { world, server, random } = this;
    const session = server.sessions[Math.floor(random() * server.sessions.length)];
    const code = [1001, 1006, 4000, 4001, 4100, 4999][Math.floor(random() * 6)];
    const faults = [
      () => session?.close(code),
      () => session?.close(1006, true),
      () => session?.drain(),
      () => session && (session.dead = true),
      () => server.crash(0),
      () => server.crash(Math.floor(random() * 20)),
      () => this.reload(),
      () => this.network(random() < 0.5),
      () => this.look(random() < 0.5),
      () => session?.down(() => session.socket.raw(["?", "{}", '{"op":"later"}', "[]"][Math.floor(random() * 4)])),
      () => server.sessions.forEach((one) => one.drain()),
      () => server.publishAgain(Math.floor(random() * 100)),
    ];
    faults[Math.floor(random() * faults.length)]();
    for (let n = Math.floor(random() * 8); n > 0; n--) server.publish();
    return world.clock.advance(random() ** 3 * STEP_MAX_MS);
  }

  network(online) {
    this.world.online = online;
    this.events.dispatchEvent(new Event(online ? "online" : "offline"));
  }

  look(visible) {
    this.world.visible = visible;
    this.events.dispatchEvent(new Event("visibilitychange"));
  }
}

async function run(seed) {
  const browser = new Browser(seed);
  for (let step = 0; step < STEPS; step++) await browser.happens();
  browser.faulty = false;
  browser.network(true);
  await browser.world.clock.advance(300_000);
  assert.deepEqual(browser.shown, [...new Set(browser.server.ids)]);
  assert.equal(browser.server.confirmed, browser.server.ids.length, "all are acknowledged");
  assert.equal(browser.page.state, "connected");
  assert.equal(browser.server.sessions.length, 1, "no link is left over");
  assert.deepEqual(browser.world.reported, []);
  assert.ok(!browser.errors.has("handler_gave_up"));
}

test("every notification is shown once, in order and acknowledged, whatever happens", async () => {
  const only = process.env.SEED;
  const seeds = only ? [Number(only)] : Array.from({ length: Number(process.env.SEEDS ?? 40) }, (_, i) => i + 1);
  for (const seed of seeds) {
    await run(seed).catch((error) => {
      error.message = `SEED=${seed}: ${error.message}`;
      throw error;
    });
  }
});
