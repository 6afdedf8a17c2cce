// Showing once, in order, and acknowledging.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BEHIND_EVERY_MS, QUEUE_MAX } from "../connection.js";
import { ACK_AFTER_MS } from "../link.js";
import { KEPT_MAX } from "../seen.js";
import { RETRY_FIRST_MS, TRIES_MAX } from "../show.js";
import { Page, acks, connected } from "./kit/page.js";
import { World } from "./kit/world.js";

const CURSOR = "bellwireCursor:7";
const SEEN = "bellwireSeen:7";

test("a burst gets one acknowledgement, of its last", async () => {
  const world = new World();
  const page = await connected(world);
  for (const n of [1, 2, 3]) world.socket.notify(n);
  await world.clock.advance(ACK_AFTER_MS - 1);
  assert.deepEqual([page.shown, acks(world.socket)], [["n1", "n2", "n3"], []]);
  await world.clock.advance(1);
  assert.deepEqual(acks(world.socket), ["log-0:3"]);
  world.socket.notify(4);
  await world.clock.advance(ACK_AFTER_MS);
  assert.deepEqual(acks(world.socket), ["log-0:3", "log-0:4"]);
});

test("a page that is left or hidden acknowledges at once", async () => {
  for (const leave of [(w) => w.setVisible(false), (w) => w.events.dispatchEvent(new Event("pagehide"))]) {
    const world = new World();
    await connected(world);
    world.socket.notify(1);
    await world.clock.advance(0);
    leave(world);
    assert.deepEqual(acks(world.socket), ["log-0:1"]);
  }
});

test("nothing is acknowledged before its handler is done", async () => {
  const world = new World();
  const page = await connected(world);
  const done = [];
  page.handler = () => new Promise((resolve) => done.push(resolve));
  world.socket.notify(1);
  world.socket.notify(2);
  await world.clock.advance(60);
  assert.deepEqual([done.length, acks(world.socket)], [1, []]);
  done[0]();
  await world.clock.advance(60);
  assert.deepEqual([page.shown, done.length, acks(world.socket)], [["n1"], 2, ["log-0:1"]]);
});

test("a ping is answered while a handler takes its time", async () => {
  const world = new World();
  const page = await connected(world);
  page.handler = () => new Promise(() => {});
  world.socket.notify(1);
  world.socket.say({ op: "ping" });
  assert.equal(world.socket.said("pong").length, 1);
});

test("a repeat is not shown, and acknowledged again", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.notify(1);
  await world.clock.advance(100);
  world.socket.notify(1, { cursor: "log-1:9" });
  await world.clock.advance(100);
  assert.deepEqual([page.shown, acks(world.socket)], [["n1"], ["log-0:1", "log-1:9"]]);
  assert.equal(world.storage.items.get(CURSOR), "log-1:9");
});

test("a repeat by the next link, while the first is still being shown, waits for it", async () => {
  const world = new World();
  const page = await connected(world);
  let done;
  page.handler = () => new Promise((resolve) => (done = resolve));
  world.socket.notify(1);
  world.socket.end(4000);
  await world.clock.advance(0);
  world.socket.welcome();
  world.socket.notify(1);
  await world.clock.advance(100);
  assert.deepEqual(acks(world.socket), []);
  done();
  await world.clock.advance(100);
  assert.deepEqual([page.shown, acks(world.socket)], [["n1"], ["log-0:1"]]);
});

test("what a lost link has brought is shown, and the next hello says so", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.notify(1);
  world.socket.notify(2);
  world.socket.end(1006);
  await world.clock.advance(3000);
  world.socket.open();
  assert.deepEqual(page.shown, ["n1", "n2"]);
  assert.equal(world.socket.said("hello")[0].cursor, "log-0:2");
});

test("a reload goes on at the cursor and knows what was shown", async () => {
  const world = new World();
  await connected(world);
  world.socket.notify(1);
  world.socket.notify(2);
  await world.clock.advance(0);
  const page = await connected(world);
  assert.equal(world.socket.said("hello")[0].cursor, "log-0:2");
  for (const n of [1, 2, 3]) world.socket.notify(n);
  await world.clock.advance(100);
  assert.deepEqual([page.shown, acks(world.socket)], [["n3"], ["log-0:3"]]);
});

test("what another tab has shown meanwhile is not shown by this one", async () => {
  const world = new World();
  const one = await connected(world);
  const [first] = world.sockets;
  const two = await connected(world);
  world.socket.notify(1);
  await world.clock.advance(0);
  first.notify(1);
  first.notify(2);
  await world.clock.advance(0);
  assert.deepEqual([one.shown, two.shown], [["n2"], ["n1"]]);
  assert.deepEqual(JSON.parse(world.storage.items.get(SEEN)), ["n1", "n2"]);
});

test("two users of one browser do not mix", async () => {
  const world = new World();
  await connected(world);
  world.socket.notify(1);
  await world.clock.advance(0);
  const page = await connected(world, { user: "8" });
  assert.equal(world.socket.said("hello")[0].cursor, undefined);
  world.socket.notify(1);
  await world.clock.advance(0);
  assert.deepEqual(page.shown, ["n1"]);
});

test("the storage gets a bounded list of ids", async () => {
  const world = new World();
  await connected(world);
  for (let n = 1; n <= KEPT_MAX + 10; n++) world.socket.notify(n);
  await world.clock.advance(0);
  const ids = JSON.parse(world.storage.items.get(SEEN));
  assert.deepEqual([ids.length, ids.at(-1)], [KEPT_MAX, `n${KEPT_MAX + 10}`]);
});

test("a storage that throws, or none, costs only what a reload would know", async () => {
  for (const storage of [Object.assign(new World().storage, { broken: true }), null]) {
    const world = new World();
    world.storage = storage;
    const page = await connected(world, { browser: undefined });
    const { browser } = world.socket.said("hello")[0];
    assert.match(browser, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    world.socket.notify(1);
    world.socket.notify(1);
    await world.clock.advance(0);
    world.socket.end(4000);
    await world.clock.advance(0);
    world.socket.open();
    assert.deepEqual(page.shown, ["n1"]);
    assert.deepEqual(world.socket.said("hello"), [{ op: "hello", user: "7", browser, cursor: "log-0:1" }]);
  }
});

test("a storage that begins to throw does not bring back what it had", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.notify(1);
  await world.clock.advance(0);
  world.storage.setItem = () => assert.fail("full");
  world.socket.notify(2);
  await world.clock.advance(0);
  world.socket.notify(2);
  world.socket.end(4000);
  await world.clock.advance(0);
  world.socket.open();
  assert.deepEqual([page.shown, world.socket.said("hello")[0].cursor], [["n1", "n2"], "log-0:2"]);
});

test("a damaged storage is as an empty one", async () => {
  for (const damage of ["", "{", "null", "7", '{"a":1}', "[1,null,{}]", "x".repeat(100_000)]) {
    const world = new World();
    for (const name of [CURSOR, SEEN, "browserUuid"]) world.storage.items.set(name, damage);
    const page = await connected(world, { browser: undefined });
    const [hello] = world.socket.said("hello");
    assert.ok(hello.browser.length > 0 && hello.browser.length <= 64);
    assert.ok((hello.cursor ?? "").length <= 256);
    world.socket.notify(1);
    await world.clock.advance(0);
    assert.deepEqual(page.shown, ["n1"], damage.slice(0, 20));
  }
});

test("the browser keeps its id", async () => {
  const world = new World();
  await connected(world, { browser: undefined });
  await connected(world, { browser: undefined });
  const [one, two] = world.sockets.map((socket) => socket.said("hello")[0].browser);
  assert.equal(one, two);
  assert.equal(world.storage.items.get("browserUuid"), one);
});

test("a handler that fails is called again, and nothing behind is shown or acknowledged before", async () => {
  for (const fail of [() => assert.fail("once"), () => Promise.reject(new Error("once"))]) {
    const world = new World();
    const page = await connected(world);
    let calls = 0;
    page.handler = () => (++calls === 1 ? fail() : undefined);
    world.socket.notify(1);
    world.socket.notify(2);
    await world.clock.advance(RETRY_FIRST_MS - 1);
    assert.deepEqual([page.shown, acks(world.socket), page.codes], [[], [], ["handler_failed"]]);
    assert.equal(page.errors[0].notification.id, "n1");
    await world.clock.advance(1 + ACK_AFTER_MS);
    assert.deepEqual([page.shown, acks(world.socket)], [["n1", "n2"], ["log-0:2"]]);
  }
});

test("a handler that always fails for one does not keep the others", async () => {
  const world = new World();
  const page = await connected(world);
  let calls = 0;
  page.handler = ({ id }) => {
    if (id === "n1" && ++calls > 0) throw { toString: () => assert.fail() };
  };
  world.socket.notify(1);
  world.socket.notify(2);
  await world.clock.advance(7500 + ACK_AFTER_MS);
  assert.deepEqual(page.codes, [...Array(TRIES_MAX - 1).fill("handler_failed"), "handler_gave_up"]);
  assert.deepEqual([calls, page.shown, acks(world.socket)], [TRIES_MAX, ["n2"], ["log-0:2"]]);
});

test("a page that is too far behind lets the link go and gets the rest later", async () => {
  const world = new World();
  const page = await connected(world);
  let done = null;
  page.handler = () => (done === true ? undefined : new Promise((resolve) => (done = resolve)));
  for (let n = 1; n <= QUEUE_MAX + 2; n++) world.socket.notify(n);
  assert.equal(page.state, "connecting behind");
  assert.equal(world.sockets[0].closedByPage, 1000);
  await world.clock.advance(60_000);
  done();
  await world.clock.advance(2 * BEHIND_EVERY_MS);
  assert.equal(world.sockets.length, 1, "one that is shown makes room for one");
  done();
  done = true;
  await world.clock.advance(BEHIND_EVERY_MS);
  assert.equal(world.sockets.length, 2, "as soon as it has caught up, however long that took");
  world.socket.welcome();
  for (let n = 1; n <= QUEUE_MAX; n++) world.socket.notify(n);
  await world.clock.advance(0);
  world.socket.notify(QUEUE_MAX + 1);
  world.socket.notify(QUEUE_MAX + 2);
  await world.clock.advance(0);
  assert.deepEqual(page.shown, Array.from({ length: QUEUE_MAX + 2 }, (_, i) => `n${i + 1}`));
});

test("close forgets what waits, and keeps that the last one was shown", async () => {
  const world = new World();
  const page = await connected(world);
  let done;
  page.handler = () => new Promise((resolve) => (done = resolve));
  world.socket.notify(1);
  world.socket.notify(2);
  page.connection.close();
  done();
  await world.clock.advance(1000);
  assert.deepEqual([page.shown, acks(world.socket)], [["n1"], []]);
  assert.equal(world.storage.items.get(CURSOR), "log-0:1");
});

test("a gap is told in its place, and once over all links", async () => {
  const world = new World();
  const page = await connected(world);
  const order = [];
  page.handler = ({ id }) => void order.push(id);
  page.connection.on("gap", ({ dropped }) => order.push(dropped));
  world.socket.notify(1);
  world.socket.say({ op: "gap", dropped: 3 });
  await world.clock.advance(0);
  world.socket.end(4000);
  await world.clock.advance(0);
  world.socket.welcome();
  world.socket.say({ op: "gap", dropped: 5 });
  world.socket.notify(7);
  world.socket.say({ op: "gap", dropped: 3 });
  world.socket.notify(8);
  await world.clock.advance(0);
  assert.deepEqual(order, ["n1", 3, 2, "n7", 3, "n8"]);
});

test("last values are handed on", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.say({ op: "status", key: "export_running", value: true });
  assert.deepEqual(page.statuses, [{ key: "export_running", value: true }]);
});

test("a notification comes with what the protocol knows", async () => {
  const world = new World();
  const got = [];
  await connected(world, { onNotification: (n) => got.push(n) });
  const whole = {
    id: "n1", timestamp: 17, kind: "service", type: "PROBLEM", state: 2, host: { id: "h1", name: "web1" },
    service: { id: "s1", name: "disk" }, title: "t", body: "b", icon: "/i", url: "/u",
    digested: true,
  };
  world.socket.say({ op: "notification", cursor: "log-0:1", ...whole, more: 1 });
  await world.clock.advance(0);
  assert.deepEqual(got, [whole]);
});
