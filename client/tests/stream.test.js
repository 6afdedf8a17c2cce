// The event stream, for networks that break WebSockets.

import assert from "node:assert/strict";
import { test } from "node:test";

import { STEADY_MS } from "../backoff.js";
import { BETTER_FIRST_MS } from "../connection.js";
import { Lines } from "../lines.js";
import { ACK_AFTER_MS, WELCOME_WITHIN_MS } from "../link.js";
import { REOPEN_EVERY_MS } from "../stream.js";
import { FAILURES_MAX, FIRST_FAILURES_MAX } from "../ways.js";
import { FakeEvents } from "./kit/events.js";
import { Page, connected } from "./kit/page.js";
import { World } from "./kit/world.js";

/** A page whose WebSockets fail until it has opened an event stream. */
async function fallen(options) {
  const world = new World();
  const events = new FakeEvents();
  const page = new Page(world, { environment: { ...world.environment(), fetch: events.fetch }, ...options });
  await fall(world, events);
  return { world, events, page };
}

async function fall(world, events) {
  for (let n = 0; n < FIRST_FAILURES_MAX; n++) {
    assert.equal(events.streams.length, 0, "WebSockets first");
    world.socket.end(1006);
    await world.clock.advance(15_000);
  }
}

async function served(options) {
  const all = await fallen(options);
  all.events.stream.welcome();
  await all.world.clock.advance(0);
  return all;
}

test("WebSockets that fail again and again: the event stream serves", async () => {
  const { world, events, page } = await fallen();
  assert.equal(page.state, "connecting lost");
  const { url, headers } = events.stream;
  assert.equal(url.href, "https://monitoring.example/events?user=7&browser=b1");
  assert.deepEqual(headers, { Accept: "text/event-stream", Authorization: "Bearer secret" });
  events.stream.welcome();
  await world.clock.advance(0);
  assert.equal(page.state, "connected");
  const { transport, session, version } = page.connection.info;
  assert.deepEqual({ transport, session, version }, { transport: "events", session: "e-0", version: "1" });
  for (const n of [1, 2]) events.stream.notify(n);
  events.stream.say({ op: "status", key: "k", value: 1 });
  await world.clock.advance(ACK_AFTER_MS);
  assert.deepEqual([page.shown, page.statuses], [["n1", "n2"], [{ key: "k", value: 1 }]]);
  assert.deepEqual(events.calls, [
    {
      headers: { "Content-Type": "application/json", Authorization: "Bearer secret" },
      session: "e-0", token: "t-0", say: { op: "ack", cursor: "log-0:2" },
    },
  ]);
  events.stream.say({ op: "ping" });
  await world.clock.advance(0);
  assert.equal(events.said("pong").length, 1);
  assert.equal(page.connection.info.pings, 1);
  assert.equal(page.connection.test({ title: "t" }), true);
  await world.clock.advance(0);
  assert.deepEqual(events.said("test"), [{ op: "test", title: "t" }]);
});

test("the stream's address can be told", async () => {
  const { events } = await fallen({ eventsUrl: "/other/stream?a=1" });
  assert.equal(events.stream.url.href, "https://monitoring.example/other/stream?a=1&user=7&browser=b1");
});

test("neither works: both are tried in turns, later and later", async () => {
  const world = new World();
  const tried = [];
  const plain = world.environment();
  class Socket extends plain.WebSocket {
    constructor(...args) {
      super(...args);
      tried.push("websocket");
      world.clock.setTimeout(() => this.end(1006), 0);
    }
  }
  const fetch = async () => {
    tried.push("events");
    throw new TypeError("failed to fetch");
  };
  const page = new Page(world, { environment: { ...plain, WebSocket: Socket, fetch } });
  await world.clock.advance(300_000);
  const turns = [...Array(5).fill(["websocket", "events"]).flat()];
  assert.deepEqual(tried.slice(0, turns.length), turns);
  assert.ok(tried.length < 20);
  assert.equal(page.state, "connecting lost");
});

test("where a WebSocket has served, one that fails is no reason for an event stream, and several are", async () => {
  const world = new World();
  const events = new FakeEvents();
  const environment = { ...world.environment(), fetch: events.fetch };
  await connected(world, { environment });
  for (let n = 1; n <= FAILURES_MAX; n++) {
    world.socket.end(1006);
    await world.clock.advance(15_000);
    assert.deepEqual([world.sockets.length, events.streams.length], [n + 1, 0]);
  }
  world.socket.end(1006);
  await world.clock.advance(60_000);
  assert.equal(events.streams.length, 1);
});

test("codes of the server show that WebSockets come through", async () => {
  const world = new World();
  const events = new FakeEvents();
  const page = new Page(world, { environment: { ...world.environment(), fetch: events.fetch } });
  for (let n = 0; n < 6; n++) {
    world.socket.end(4100);
    await world.clock.advance(page.connection.status.retryInMs);
  }
  assert.deepEqual([events.streams.length, world.sockets.length], [0, 7]);
});

test("while a stream serves, WebSockets are tried beside it, and take over when one is welcomed", async () => {
  const { world, events, page } = await served();
  const made = world.sockets.length;
  await keepAlive(world, events, BETTER_FIRST_MS);
  assert.equal(world.sockets.length, made + 1);
  world.socket.end(1006);
  await keepAlive(world, events, BETTER_FIRST_MS);
  assert.deepEqual([world.sockets.length, page.state], [made + 1, "connected"]);
  await keepAlive(world, events, BETTER_FIRST_MS);
  assert.equal(world.sockets.length, made + 2, "later and later");
  const before = page.states.length;
  world.socket.welcome();
  await world.clock.advance(0);
  assert.deepEqual([events.stream.aborted, page.state, page.connection.info.transport], [true, "connected", "websocket"]);
  assert.equal(page.states.length, before, "connected all the time");
  world.socket.end(1006);
  await world.clock.advance(15_000);
  assert.equal(world.sockets.length, made + 3, "WebSockets are what worked last");
});

async function keepAlive(world, events, ms) {
  for (let rest = ms; rest > 0; rest -= 20_000) {
    events.stream.say({ op: "ping" });
    await world.clock.advance(Math.min(rest, 20_000));
  }
}

test("a stream that ends is opened again with the cursor", async () => {
  const { world, events, page } = await served();
  events.stream.notify(1);
  await world.clock.advance(STEADY_MS);
  events.stream.say({ op: "close", code: 4000, reason: "drain" });
  await world.clock.advance(0);
  assert.equal(events.streams.length, 2);
  assert.equal(page.state, "connecting moved");
  assert.equal(events.stream.headers["Last-Event-ID"], "log-0:1");
  assert.equal(events.stream.cursor, "log-0:1");
  events.stream.welcome();
  await world.clock.advance(0);
  events.stream.end();
  await world.clock.advance(0);
  assert.equal(page.state, "connecting lost");
});

test("codes of streams mean what they mean for WebSockets", async () => {
  const { world, events, page } = await served();
  events.stream.say({ op: "close", code: 4300, reason: "bad_message" });
  await world.clock.advance(0);
  assert.equal(page.state, "disconnected incompatible");
});

test("a key that is not accepted is told, where WebSockets cannot tell it", async () => {
  const world = new World();
  const events = new FakeEvents();
  events.streamStatus = 401;
  const page = new Page(world, { environment: { ...world.environment(), fetch: events.fetch } });
  await fall(world, events);
  assert.equal(page.state, "disconnected refused");
  await world.clock.advance(600_000);
  assert.equal(world.clock.waiting, 0);
});

test("what answers as something else than a stream is none", async () => {
  const world = new World();
  const events = { fetch: async () => new Response("<h1>portal</h1>", { headers: { "Content-Type": "text/html" } }) };
  const page = new Page(world, { environment: { ...world.environment(), fetch: events.fetch } });
  for (let n = 0; n < FIRST_FAILURES_MAX; n++) {
    world.socket.end(1006);
    await world.clock.advance(15_000);
  }
  assert.equal(page.state, "connecting lost");
});

test("a proxy that keeps the stream back is left", async () => {
  const { world, events, page } = await fallen();
  const [stream] = events.streams;
  await world.clock.advance(WELCOME_WITHIN_MS);
  assert.deepEqual([stream.aborted, page.state], [true, "connecting silent"]);
});

test("an acknowledgement that reaches another node: a new stream says it, at most every 5 s", async () => {
  const { world, events, page } = await served();
  events.status = 404;
  await world.clock.advance(REOPEN_EVERY_MS);
  const states = page.states.length;
  events.stream.notify(1);
  await world.clock.advance(ACK_AFTER_MS);
  assert.equal(events.streams.length, 2);
  assert.deepEqual([events.streams[0].aborted, events.stream.cursor], [true, "log-0:1"]);
  events.stream.welcome();
  await world.clock.advance(0);
  events.stream.notify(2);
  page.connection.test({ title: "t" });
  await world.clock.advance(REOPEN_EVERY_MS - ACK_AFTER_MS);
  assert.equal(events.streams.length, 2);
  events.status = 204;
  await world.clock.advance(ACK_AFTER_MS);
  assert.deepEqual([events.streams.length, events.stream.cursor], [3, "log-0:2"]);
  events.stream.welcome();
  await world.clock.advance(0);
  assert.deepEqual(events.said("test").at(-1), { op: "test", title: "t" });
  assert.equal(events.calls.at(-1).session, "e-2");
  assert.equal(page.connection.info.session, "e-2");
  events.stream.notify(2);
  events.stream.notify(3);
  await world.clock.advance(100);
  assert.deepEqual([page.shown, events.said("ack").at(-1)], [["n1", "n2", "n3"], { op: "ack", cursor: "log-0:3" }]);
  assert.equal(page.states.length, states, "connected all the time");
});

test("a call that fails is made again, and then the stream is no good", async () => {
  const { world, events, page } = await served();
  events.status = 502;
  events.stream.notify(1);
  await world.clock.advance(ACK_AFTER_MS);
  events.status = 204;
  await world.clock.advance(1000);
  assert.deepEqual([events.said("ack").length, page.state], [2, "connected"]);
  events.status = 502;
  events.stream.notify(2);
  await world.clock.advance(3000);
  assert.equal(page.state, "connecting lost");
});

test("of what waits to be said only the last of each kind is", async () => {
  const { world, events } = await served();
  events.status = 503;
  events.stream.notify(1);
  await world.clock.advance(ACK_AFTER_MS);
  events.stream.notify(2);
  events.stream.say({ op: "ping" });
  events.stream.say({ op: "ping" });
  await world.clock.advance(ACK_AFTER_MS);
  events.status = 204;
  await world.clock.advance(1000);
  assert.deepEqual(events.calls.slice(-2).map(({ say }) => say), [{ op: "pong" }, { op: "ack", cursor: "log-0:2" }]);
});

test("a page that is left acknowledges by a call that outlives it", async () => {
  const { world, events } = await served();
  events.stream.notify(1);
  await world.clock.advance(0);
  world.events.dispatchEvent(new Event("pagehide"));
  await world.clock.advance(0);
  assert.deepEqual(events.said("ack"), [{ op: "ack", cursor: "log-0:1" }]);
  assert.equal(events.stream.aborted, true);
});

test("an event that is too long ends the stream", async () => {
  const { world, events, page } = await served();
  events.stream.write(`data: ${"x".repeat(3 * 1024 * 1024)}`);
  await world.clock.advance(0);
  assert.equal(page.state, "connecting lost");
});

test("lines of event streams, in any pieces", () => {
  const bytes = new TextEncoder().encode(
    '\u{feff}: comment\r\nid: 1\r\ndata: {"a":"ä€"}\r\n\r\ndata:two\rdata: lines\r\revent: x\n\ndata\ndata: {}\n\n',
  );
  for (let size = 1; size <= bytes.length; size++) {
    const lines = new Lines(1000);
    const got = [];
    for (let at = 0; at < bytes.length; at += size) got.push(...lines.take(bytes.slice(at, at + size)));
    assert.deepEqual(got, ['{"a":"ä€"}', "two\nlines", "{}"], `pieces of ${size}`);
  }
});
