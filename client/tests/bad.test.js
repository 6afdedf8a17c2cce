// A server that says what it should not, and listeners that throw.

import assert from "node:assert/strict";
import { test } from "node:test";

import { TEXT_LENGTH_MAX } from "../message.js";
import { acks, connected } from "./kit/page.js";
import { World, seeded } from "./kit/world.js";

const UNREADABLE = [
  "", "?", "null", "7", '"x"', "[]", '[{"op":"ping"}]', "{", '{"op":', "{}", '{"op":7}', '{"op":null}',
  '{"op":"notification"}', '{"op":"notification","id":"a"}', '{"op":"notification","cursor":"c"}',
  '{"op":"notification","id":7,"cursor":"c"}', '{"op":"notification","id":"","cursor":"c"}',
  JSON.stringify({ op: "notification", id: "a", cursor: "c".repeat(257) }),
  JSON.stringify({ op: "notification", id: "a".repeat(257), cursor: "c" }),
  '{"op":"gap"}', '{"op":"gap","dropped":"3"}', '{"op":"gap","dropped":-1}', '{"op":"gap","dropped":0.5}',
  '{"op":"status"}', '{"op":"status","key":7}', "[".repeat(200_000), " ".repeat(TEXT_LENGTH_MAX + 1),
  new ArrayBuffer(8), undefined, null, {},
];

const IGNORED = [
  '{"op":"later"}', '{"op":"__proto__"}', '{"op":"constructor"}', '{"op":"toString"}', '{"op":"pong"}',
  '{"op":"ping","__proto__":{"a":1}}', '{"op":"x","op":"pong"}',
];

async function stillServes(world, page) {
  world.socket.notify(1);
  await world.clock.advance(100);
  assert.deepEqual([page.state, page.shown.at(-1), acks(world.socket).at(-1)], ["connected", "n1", "log-0:1"]);
  assert.equal(world.sockets.length, 1);
}

test("what cannot be read is told and changes nothing", async () => {
  for (const data of UNREADABLE) {
    const world = new World();
    const page = await connected(world);
    assert.doesNotThrow(() => world.socket.raw(data));
    assert.deepEqual(page.codes, ["unreadable"], String(data).slice(0, 60));
    assert.ok(page.errors[0].message.length < 100);
    await stillServes(world, page);
  }
});

test("what is not known is ignored", async () => {
  for (const data of IGNORED) {
    const world = new World();
    const page = await connected(world);
    world.socket.raw(data);
    assert.deepEqual(page.codes, [], data);
    await stillServes(world, page);
  }
});

test("a notification with damaged fields is shown without them", async () => {
  const world = new World();
  const got = [];
  await connected(world, { onNotification: (n) => got.push(n) });
  const damaged = { timestamp: "x", kind: "planet", state: null, title: 7, body: {}, icon: [], url: 1, type: 2, digested: 1 };
  world.socket.notify(1, { ...damaged, host: "h", service: { id: 1 } });
  await world.clock.advance(0);
  assert.deepEqual(got, [{ id: "n1", timestamp: 0, kind: "message", state: 0, title: "" }]);
});

test("an error without words has some", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.say({ op: "error" });
  assert.equal(page.errors[0].code, "unknown");
  assert.ok(page.errors[0].message);
});

test("damaged messages of all kinds never throw and never stop the client", async () => {
  const random = seeded(7);
  const world = new World();
  const page = await connected(world);
  const whole = [
    { op: "gap", dropped: 1 }, { op: "status", key: "k", value: [1] }, { op: "error", code: "rate", message: "m" },
    { op: "notification", id: "x", cursor: "log-0:0", timestamp: 1, kind: "host", state: 1, title: "t" },
    { op: "notification", id: "y", cursor: "log-0:0", title: "t", host: { id: "a", name: "b" } },
    { op: "welcome", session: "s", user: "7", browser: "b", cursor: "log-0:0", version: "0", ping_interval_ms: 25_000 },
  ].map((message) => JSON.stringify(message));
  for (let i = 0; i < 3000; i++) {
    const text = whole[Math.floor(random() * whole.length)];
    const at = Math.floor(random() * text.length);
    const cut = Math.floor(random() * 4);
    const put = ['"', "}", "0", "null", ",", "\\", "-", "é", ""][Math.floor(random() * 9)];
    assert.doesNotThrow(() => world.socket.raw(text.slice(0, at) + put + text.slice(at + cut)));
  }
  await world.clock.advance(100);
  page.connection.test();
  await stillServes(world, page);
});

test("a listener that throws is reported and stops nothing", async () => {
  const world = new World();
  const page = await connected(world);
  const heard = [];
  for (const name of ["state", "gap", "status", "error"]) {
    page.connection.on(name, () => assert.fail(name));
    page.connection.on(name, () => heard.push(name));
  }
  world.socket.say({ op: "gap", dropped: 1 });
  world.socket.say({ op: "status", key: "k", value: 1 });
  world.socket.raw("?");
  await stillServes(world, page);
  world.socket.end(1006);
  assert.deepEqual(heard.sort(), ["error", "gap", "state", "status"]);
  assert.equal(world.reported.length, 4);
});

test("a listener can be taken away, by itself too", async () => {
  const world = new World();
  const page = await connected(world);
  let heard = 0;
  const off = page.connection.on("status", () => {
    heard += 1;
    off();
  });
  for (let i = 0; i < 2; i++) world.socket.say({ op: "status", key: "k", value: 1 });
  off();
  assert.equal(heard, 1);
});

test("without a browser around it the defaults hold", async () => {
  const { environment } = await import("../environment.js");
  const defaults = environment({});
  const timer = defaults.clock.setTimeout(() => assert.fail("it was cleared"), 0);
  defaults.clock.clearTimeout(timer);
  assert.ok(defaults.random() >= 0 && defaults.random() < 1);
  assert.equal(defaults.isOnline() && defaults.isVisible(), true);
  assert.ok(defaults.clock.now() > 0);
  defaults.events.addEventListener("online", () => {});
});

test("a browser that forbids its storage by throwing is one without", async () => {
  Object.defineProperty(globalThis, "localStorage", { configurable: true, get: () => assert.fail("SecurityError") });
  const { environment } = await import("../environment.js");
  assert.equal(environment({}).storage, null);
  delete globalThis.localStorage;
});
