// Connecting, staying connected, and coming back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OFFLINE_EVERY_MS, ONLINE_SPREAD_MS } from "../connection.js";
import { PROBE_WITHIN_MS, WELCOME_WITHIN_MS } from "../link.js";
import { Page, acks, connected } from "./kit/page.js";
import { World } from "./kit/world.js";

test("says hello with the subprotocol and the key, and is connected by the welcome", async () => {
  const world = new World();
  const page = new Page(world);
  assert.equal(page.state, "connecting start");
  assert.deepEqual(world.socket.protocols, ["bellwire.v1", "secret"]);
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ op: "hello", user: "7", browser: "b1" }]);
  assert.equal(page.state, "connecting start");
  world.socket.welcome();
  assert.equal(page.state, "connected");
  assert.deepEqual(page.states, [{ state: "connected", reason: null, retryInMs: null }]);
});

test("addresses of pages become those of sockets, relative to the page", () => {
  for (const [url, address] of [
    ["../bell?x=1#y", "wss://monitoring.example/bell?x=1"],
    ["http://h:1/a", "ws://h:1/a"],
    [new URL("ws://h/"), "ws://h/"],
  ]) {
    const world = new World();
    new Page(world, { url });
    assert.equal(world.socket.url, address);
  }
  assert.throws(() => new Page(new World(), { url: "ftp://h/" }), TypeError);
});

test("a link that ends is followed by another, with the reason meanwhile", async () => {
  for (const [code, reason, waits] of [
    [4000, "moved", 0],
    [4001, "moved", 0],
    [4100, "unavailable", 3000],
    [1006, "lost", 3000],
    [4999, "lost", 3000],
  ]) {
    const world = new World();
    const page = await connected(world);
    world.socket.end(code);
    assert.deepEqual(page.connection.status, { state: "connecting", reason, retryInMs: waits });
    if (waits > 0) await world.clock.advance(waits - 1);
    assert.equal(world.sockets.length, 1);
    await world.clock.advance(waits > 0 ? 1 : 0);
    assert.equal(world.sockets.length, 2);
    assert.deepEqual(page.connection.status, { state: "connecting", reason, retryInMs: null });
    world.socket.welcome();
    assert.equal(page.state, "connected");
  }
});

test("a refused handshake is tried again, later and later", async () => {
  const world = new World();
  const page = new Page(world);
  const waits = [];
  for (let i = 0; i < 6; i++) {
    world.socket.end(1006);
    waits.push(page.connection.status.retryInMs);
    await world.clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [3000, 5500, 10_500, 20_500, 30_500, 30_500]);
  assert.equal(page.state, "connecting lost");
});

test("a server that greets and sends away is not stormed", async () => {
  const world = new World();
  const page = await connected(world);
  const waits = [];
  for (let i = 0; i < 3; i++) {
    world.socket.welcome();
    world.socket.end(4000);
    waits.push(page.connection.status.retryInMs);
    await world.clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [0, 3000, 5500]);
});

test("refused and incompatible are for good, and leave nothing behind", async () => {
  for (const [code, reason] of [[4200, "refused"], [4201, "refused"], [4210, "expired"], [4300, "incompatible"], [4399, "incompatible"]]) {
    const world = new World();
    const page = await connected(world);
    world.socket.end(code);
    assert.equal(page.state, `disconnected ${reason}`);
    world.setOnline(true);
    world.setVisible(true);
    await world.clock.advance(600_000);
    assert.equal(world.sockets.length, 1);
    assert.equal(world.clock.waiting, 0);
  }
});

test("a key that no browser sends is told and not tried again", async () => {
  const world = new World();
  const page = new Page(world, { key: "with space" });
  assert.equal(page.state, "disconnected unusable");
  await world.clock.advance(600_000);
  assert.equal(world.clock.waiting, 0);
});

test("pings are answered", async () => {
  const world = new World();
  await connected(world);
  world.socket.say({ op: "ping" });
  assert.deepEqual(world.socket.said("pong"), [{ op: "pong" }]);
});

test("nothing for twice the ping interval: the link is dead, and another one is made at once", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.welcome({ ping_interval_ms: 4000 });
  await world.clock.advance(7000);
  world.socket.say({ op: "ping" });
  await world.clock.advance(7999);
  assert.equal(page.state, "connected");
  await world.clock.advance(1);
  assert.equal(page.state, "connecting silent");
  assert.equal(world.sockets[0].closedByPage, 1000);
  await world.clock.advance(0);
  assert.equal(world.sockets.length, 2);
});

test("what a dead link says later is not heard", async () => {
  const world = new World();
  const page = await connected(world);
  await world.clock.advance(50_000);
  world.sockets[0].notify(1);
  world.sockets[0].welcome();
  world.sockets[0].end(4200);
  await world.clock.advance(0);
  assert.deepEqual(page.shown, []);
  assert.equal(page.state, "connecting silent");
});

test("intervals that no server means do no harm", async () => {
  for (const interval of [0, -1, 1e300, null, "x", undefined]) {
    const world = new World();
    const page = await connected(world);
    world.socket.welcome({ ping_interval_ms: interval });
    await world.clock.advance(1000);
    assert.equal(page.state, "connected", String(interval));
  }
});

test("a server that takes the connection and never welcomes is left", async () => {
  const world = new World();
  const page = new Page(world);
  world.socket.open();
  await world.clock.advance(WELCOME_WITHIN_MS - 1);
  world.socket.say({ op: "ping" });
  await world.clock.advance(1);
  assert.equal(page.state, "connecting silent");
});

test("a drain hint: the next link is made before the old one ends, and the page sees nothing of it", async () => {
  const world = new World();
  const page = await connected(world);
  const [old] = world.sockets;
  old.notify(1);
  await world.clock.advance(0);
  old.say({ op: "drain", after_ms: 1500 });
  old.say({ op: "drain", after_ms: 1500 });
  await world.clock.advance(500);
  assert.equal(world.sockets.length, 2);
  old.notify(2);
  await world.clock.advance(0);
  assert.equal(old.closedByPage, null);
  world.socket.welcome();
  // What was shown last is acknowledged where it came from before that link is gone.
  assert.deepEqual(acks(old), ["log-0:1", "log-0:2"]);
  assert.equal(old.closedByPage, 1000);
  old.notify(3);
  world.socket.notify(2);
  world.socket.notify(3);
  old.end(4000);
  await world.clock.advance(100);
  assert.deepEqual(page.shown, ["n1", "n2", "n3"]);
  assert.equal(page.states.length, 1, "connected all the time");
  await world.clock.advance(10_000);
  assert.equal(world.sockets.length, 2);
});

test("a drained link that ends too early: the attempt that is under way goes on", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.say({ op: "drain" });
  await world.clock.advance(0);
  world.sockets[0].end(4000);
  assert.equal(page.state, "connecting moved");
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 2);
  world.socket.welcome();
  assert.equal(page.state, "connected");
});

test("a drained link serves on while the next one cannot be made", async () => {
  const world = new World();
  const page = await connected(world);
  const [old] = world.sockets;
  old.say({ op: "drain", after_ms: 60_000 });
  await world.clock.advance(500);
  world.socket.end(1006);
  old.notify(1);
  await world.clock.advance(0);
  assert.deepEqual([page.state, page.shown], ["connected", ["n1"]]);
  await world.clock.advance(3000);
  assert.equal(world.sockets.length, 3);
  world.socket.welcome();
  assert.equal(old.closedByPage, 1000);
});

test("offline: an attempt each minute, for browsers that are wrong; online: within a second", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.end(1006);
  world.setOnline(false);
  assert.equal(page.state, "disconnected offline");
  for (let n = 2; n < 5; n++) {
    await world.clock.advance(OFFLINE_EVERY_MS - 1);
    world.setVisible(true);
    assert.equal(world.sockets.length, n - 1);
    await world.clock.advance(1);
    assert.equal(world.sockets.length, n);
    world.socket.end(1006);
    assert.equal(page.state, "disconnected offline");
  }
  await world.clock.advance(OFFLINE_EVERY_MS);
  assert.equal(page.state, "disconnected offline");
  world.socket.welcome();
  assert.equal(page.state, "connected");
  world.socket.end(1006);
  world.setOnline(true);
  assert.equal(page.state, "connecting lost");
  world.setOnline(true);
  const { retryInMs } = page.connection.status;
  assert.equal(retryInMs, 0.5 * ONLINE_SPREAD_MS);
  await world.clock.advance(retryInMs);
  assert.equal(world.sockets.length, 6);
});

test("offline at the start, and while an attempt is under way", async () => {
  const world = new World();
  world.online = false;
  const page = new Page(world);
  assert.deepEqual([page.state, world.sockets.length], ["disconnected offline", 0]);
  world.setOnline(true);
  assert.equal(page.state, "connecting start");
  await world.clock.advance(ONLINE_SPREAD_MS);
  world.setOnline(false);
  world.socket.end(1006);
  assert.equal(page.state, "disconnected offline");
  assert.equal(world.clock.waiting, 1);
});

test("offline with a link: it is asked, and stays if it answers", async () => {
  const world = new World();
  const page = await connected(world);
  world.setOnline(false);
  assert.deepEqual(world.socket.said("ping"), [{ op: "ping" }]);
  world.socket.say({ op: "pong" });
  await world.clock.advance(PROBE_WITHIN_MS);
  assert.equal(page.state, "connected");
  world.setOnline(false);
  await world.clock.advance(PROBE_WITHIN_MS);
  assert.equal(page.state, "disconnected offline");
});

test("a server on this machine needs no network", async () => {
  for (const host of ["localhost:8080", "127.0.0.1", "[::1]"]) {
    const world = new World();
    world.online = false;
    const page = await connected(world, { url: `ws://${host}/` });
    assert.equal(page.state, "connected");
    world.socket.end(1006);
    world.setOnline(false);
    assert.equal(page.state, "connecting lost");
  }
});

test("a link that ends while the next one is planned: the page can count down to that", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.say({ op: "drain", after_ms: 60_000 });
  await world.clock.advance(100);
  world.socket.end(1006);
  assert.deepEqual(page.connection.status, { state: "connecting", reason: "lost", retryInMs: 150 });
});

test("visible again while waiting: at once", async () => {
  const world = new World();
  await connected(world);
  world.socket.end(1006);
  world.setVisible(false);
  assert.equal(world.sockets.length, 1);
  world.setVisible(true);
  assert.equal(world.sockets.length, 2);
  world.setVisible(true);
  assert.equal(world.sockets.length, 2, "one attempt at a time");
  await world.clock.advance(10_000);
  assert.equal(world.sockets.length, 2, "the planned attempt is not made as well");
});

test("visible or online again with a link that is dead: found out within seconds", async () => {
  for (const wake of [(world) => world.setVisible(true), (world) => world.setOnline(true)]) {
    const world = new World();
    const page = await connected(world);
    wake(world);
    wake(world);
    assert.equal(world.socket.said("ping").length, 1);
    await world.clock.advance(PROBE_WITHIN_MS);
    assert.equal(page.state, "connecting silent");
    assert.equal(world.sockets.length, 2);
  }
});

test("close is for good and leaves nothing behind", async () => {
  const world = new World();
  const page = await connected(world);
  world.socket.notify(1);
  await world.clock.advance(0);
  page.connection.close();
  page.connection.close();
  assert.deepEqual(acks(world.socket), ["log-0:1"]);
  assert.equal(world.socket.closedByPage, 1000);
  world.socket.end(1000);
  world.setOnline(true);
  assert.equal(page.connection.test(), false);
  await world.clock.advance(600_000);
  assert.deepEqual(page.states.at(-1), { state: "disconnected", reason: "closed", retryInMs: null });
  assert.deepEqual([world.sockets.length, world.clock.waiting], [1, 0]);
});

test("close in the middle of anything", async () => {
  for (const how of ["state", "gap", "status", "error", "shown"]) {
    const world = new World();
    const page = new Page(world);
    page.connection.on(how, () => page.connection.close());
    if (how === "shown") page.handler = () => page.connection.close();
    world.socket.welcome();
    world.socket.say({ op: "gap", dropped: 1 });
    world.socket.say({ op: "status", key: "k", value: 1 });
    world.socket.raw("?");
    world.socket.notify(1);
    world.socket.notify(2);
    await world.clock.advance(600_000);
    assert.equal(page.state, "disconnected closed", how);
    assert.deepEqual([world.sockets.length, world.clock.waiting], [1, 0], how);
    assert.deepEqual(world.reported, []);
  }
});

test("a test is asked for with what the protocol knows, and only while connected", async () => {
  const world = new World();
  const page = new Page(world);
  assert.equal(page.connection.test(), false);
  world.socket.open();
  assert.equal(page.connection.test(), false, "before the welcome");
  world.socket.welcome();
  assert.equal(page.connection.test({ title: "Disk full", state: 2, op: "x", more: 1 }), true);
  assert.equal(page.connection.test(), true);
  assert.deepEqual(world.socket.said("test"), [{ op: "test", title: "Disk full", state: 2 }, { op: "test" }]);
  world.socket.say({ op: "error", code: "rate", message: "at most one test a second" });
  assert.deepEqual(page.errors, [{ code: "rate", message: "at most one test a second" }]);
});

test("a test that would end the session for its size is not sent", async () => {
  const world = new World();
  const page = await connected(world);
  assert.equal(page.connection.test({ title: "\u{1f514}".repeat(2100) }), false);
  assert.equal(world.socket.said("test").length, 0);
});
