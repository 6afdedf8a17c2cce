// Keys that a page's function gives: tokens that end.

import assert from "node:assert/strict";
import { test } from "node:test";

import { LATER_FIRST_MS, LATER_MAX_MS, STEADY_MS } from "../backoff.js";
import { KEY_WITHIN_MS } from "../keys.js";
import { WELCOME_WITHIN_MS } from "../link.js";
import { FakeEvents } from "./kit/events.js";
import { Page } from "./kit/page.js";
import { Browser, shownBy } from "./kit/tabs.js";
import { World, settle } from "./kit/world.js";

/** Gives t1, t2, ...: as a site does whose tokens end. */
function counter() {
  const key = async () => `t${++key.calls}`;
  key.calls = 0;
  return key;
}

const keyOf = (socket) => socket.protocols[1];
const keysOf = ({ sockets }) => sockets.map(keyOf);

async function connected(key) {
  const world = new World();
  const page = new Page(world, { key });
  await settle();
  world.socket.welcome();
  await world.clock.advance(0);
  return { world, page };
}

test("a function is asked for each new connection", async () => {
  const { world, page } = await connected(counter());
  assert.equal(page.state, "connected");
  for (const code of [4000, 1006]) {
    await world.clock.advance(STEADY_MS);
    world.socket.end(code);
    await world.clock.advance(LATER_FIRST_MS);
    world.socket.welcome();
    await world.clock.advance(0);
    assert.equal(page.state, "connected");
  }
  assert.deepEqual(keysOf(world), ["t1", "t2", "t3"]);
});

test("what a function gives at once will do", async () => {
  const { world, page } = await connected(() => "t1");
  assert.equal(page.state, "connected");
  assert.deepEqual(world.socket.sent, [{ op: "hello", user: "7", browser: "b1" }]);
});

test("a token that ends is followed by the next one at once", async () => {
  const { world, page } = await connected(counter());
  await world.clock.advance(STEADY_MS);
  for (const n of [2, 3]) {
    world.socket.end(4210);
    assert.deepEqual(page.connection.status, { state: "connecting", reason: "expired", retryInMs: 0 });
    await world.clock.advance(0);
    assert.equal(world.sockets.length, n);
    world.socket.welcome();
    await world.clock.advance(STEADY_MS);
    assert.equal(page.state, "connected");
  }
  assert.deepEqual(keysOf(world), ["t1", "t2", "t3"]);
});

test("tokens that are refused one after the other are tried ever more seldom", async () => {
  const { world, page } = await connected(counter());
  await world.clock.advance(STEADY_MS);
  const waits = [];
  for (let n = 0; n < 7; n++) {
    world.socket.end(4200);
    const { state, reason, retryInMs } = page.connection.status;
    assert.deepEqual([state, reason], ["connecting", "refused"]);
    waits.push(retryInMs);
    await world.clock.advance(retryInMs);
  }
  assert.deepEqual(waits, [0, 3000, 5500, 10_500, 20_500, 30_500, 30_500]);
  assert.ok(Math.max(...waits) <= LATER_MAX_MS);
});

test("user and browser are refused for good, whatever the token", async () => {
  const { world, page } = await connected(counter());
  world.socket.end(4201);
  await world.clock.advance(2 * LATER_MAX_MS);
  assert.deepEqual([page.state, world.sockets.length, world.clock.waiting], ["disconnected refused", 1, 0]);
});

test("a function that fails, or gives what is no key, is asked again later", async () => {
  for (const [bad, why] of [
    [() => Promise.reject(new Error("not logged in")), /not logged in/],
    [() => { throw new Error("at once"); }, /at once/],
    [async () => undefined, /must give a text/],
    [async () => "", /must give a text/],
    [async () => 7, /must give a text/],
    [async () => "x".repeat(4097), /must give a text of 1 to 4096/],
    [async () => "with space", /invalid characters/],
  ]) {
    const world = new World();
    let calls = 0;
    const page = new Page(world, { key: () => (++calls > 2 ? "good" : bad()) });
    await settle();
    assert.equal(page.state, "connecting no_key");
    assert.deepEqual(page.codes, ["no_key"]);
    assert.match(page.errors[0].message, why);
    await world.clock.advance(page.connection.status.retryInMs);
    assert.equal(page.state, "connecting no_key");
    await world.clock.advance(page.connection.status.retryInMs);
    assert.equal(world.sockets.length, 1);
    world.socket.welcome();
    await world.clock.advance(0);
    assert.deepEqual([page.state, keyOf(world.socket), calls], ["connected", "good", 3]);
  }
});

test("the page learns what its function threw", async () => {
  const world = new World();
  const cause = new Error("not logged in");
  new Page(world, { key: () => Promise.reject(cause) });
  await settle();
  assert.deepEqual(world.reported, [cause]);
});

test("a function that never answers is given up, and asked again", async () => {
  const world = new World();
  let calls = 0;
  const page = new Page(world, { key: () => (++calls === 1 ? new Promise(() => {}) : "t2") });
  await world.clock.advance(KEY_WITHIN_MS - 1);
  assert.equal(page.state, "connecting start");
  await world.clock.advance(1);
  assert.equal(page.state, "connecting no_key");
  await world.clock.advance(page.connection.status.retryInMs);
  assert.deepEqual(keysOf(world), ["t2"]);
});

test("a page that closes while it is asked opens nothing", async () => {
  const world = new World();
  let answer = null;
  const page = new Page(world, { key: () => new Promise((resolve) => (answer = resolve)) });
  await settle();
  page.connection.close();
  answer("late");
  await world.clock.advance(2 * WELCOME_WITHIN_MS);
  assert.deepEqual([page.state, world.sockets.length, world.clock.waiting], ["disconnected closed", 0, 0]);
  assert.deepEqual(page.errors, []);
});

test("the event stream has the token in a header", async () => {
  const world = new World();
  const events = new FakeEvents();
  const key = counter();
  const page = new Page(world, { key, environment: { ...world.environment(), fetch: events.fetch } });
  await settle();
  world.socket.end(1006);
  await world.clock.advance(LATER_FIRST_MS);
  assert.equal(events.stream.headers.Authorization, "Bearer t2");
  assert.ok(!events.stream.url.href.includes("t2"), "it is not in the address");
  events.stream.welcome();
  await world.clock.advance(STEADY_MS);
  assert.equal(page.state, "connected");
  events.stream.say({ op: "close", code: 4210, reason: "token_expired" });
  await world.clock.advance(0);
  events.stream.welcome();
  await world.clock.advance(0);
  assert.equal(events.stream.headers.Authorization, "Bearer t3");
  assert.equal(page.state, "connected");
  events.stream.notify(1);
  events.status = 401;
  await world.clock.advance(STEADY_MS);
  assert.equal(events.stream.headers.Authorization, "Bearer t4", "a call that is refused is a token that has ended");
});

// --- one connection for all tabs ---

const WAYS = { worker: {}, leader: { without: ["SharedWorker"] }, "worker without locks": { without: ["locks"] } };

/** Each way in which tabs share, with tabs that have a function each. */
function each(name, check, ways = WAYS) {
  for (const [way, options] of Object.entries(ways)) {
    test(`${name} (${way})`, async () => {
      const browser = new Browser(options);
      const keys = [];
      browser.withKey = (more = {}) => {
        const n = keys.length;
        const key = async () => `tab${n}-${++keys[n].calls}`;
        keys.push({ calls: 0 });
        return browser.tab({ key, visible: n === 0, ...more });
      };
      await check(browser, way, keys);
    });
  }
}

each("tabs with functions share a connection, and one of them is asked", async (browser, way, keys) => {
  const tabs = [await browser.withKey(), await browser.withKey(), await browser.withKey()];
  browser.socket.welcome();
  await browser.clock.advance(STEADY_MS);
  assert.deepEqual(tabs.map(({ state }) => state), Array(3).fill("connected"));
  assert.deepEqual(tabs.map(({ sharing }) => sharing), Array(3).fill(way.split(" ")[0]));
  assert.deepEqual(keysOf(browser), ["tab0-1"]);
  browser.socket.end(4210);
  await browser.clock.advance(0);
  browser.socket.welcome();
  browser.socket.notify(1);
  await browser.clock.advance(0);
  assert.deepEqual(keysOf(browser), ["tab0-1", "tab0-2"]);
  assert.deepEqual(keys.map(({ calls }) => calls), [2, 0, 0]);
  assert.deepEqual(shownBy(tabs), [["n1"], [], []]);
});

each("when the tab that was asked is gone, another one is", async (browser) => {
  const tabs = [await browser.withKey(), await browser.withKey()];
  browser.socket.welcome();
  await browser.clock.advance(STEADY_MS);
  tabs[0].leave();
  await browser.clock.advance(0);
  browser.open.at(-1)?.end(4210);
  await browser.clock.advance(LATER_FIRST_MS);
  assert.match(keyOf(browser.socket), /^tab1-/);
});

each("in a worker, a tab that hangs or fails is passed over", async (browser) => {
  const tabs = [await browser.withKey(), await browser.withKey()];
  browser.socket.welcome();
  await browser.clock.advance(STEADY_MS);
  tabs[0].process.hang();
  browser.socket.end(4210);
  await browser.clock.advance(KEY_WITHIN_MS - 1);
  assert.equal(browser.sockets.length, 1);
  await browser.clock.advance(1);
  assert.equal(keyOf(browser.socket), "tab1-1");
  browser.socket.welcome();
  await browser.clock.advance(0);
  assert.equal(tabs[1].state, "connected");
  await tabs[0].process.wake();
  await browser.clock.advance(0);
  assert.equal(browser.sockets.length, 2, "its late answer counts no more");
}, { worker: {} });

each("in a worker, a tab that has no token leaves it to another one", async (browser) => {
  const key = () => Promise.reject(new Error("not logged in"));
  const tabs = [await browser.tab({ key, visible: true }), await browser.withKey()];
  await browser.clock.advance(LATER_FIRST_MS);
  browser.socket.welcome();
  await browser.clock.advance(0);
  assert.equal(keyOf(browser.socket), "tab0-1");
  assert.deepEqual(tabs.map(({ state }) => state), ["connected", "connected"]);
}, { worker: {} });

each("no token goes over the channel that every script of the origin hears", async (browser) => {
  const tabs = [await browser.withKey({ visible: false }), await browser.withKey()];
  const said = [];
  const Channel = browser.environment(tabs[0].process, null, {}).BroadcastChannel;
  for (const name of browser.channelNames()) new Channel(name).onmessage = ({ data }) => said.push(JSON.stringify(data));
  browser.socket.welcome();
  tabs[1].look(true);
  await browser.clock.advance(STEADY_MS);
  browser.socket.end(4210);
  await browser.clock.advance(0);
  browser.socket.welcome();
  await browser.clock.advance(0);
  assert.deepEqual(keysOf(browser), ["tab0-1", "tab0-2"]);
  assert.ok(said.length > 0);
  assert.deepEqual(said.filter((text) => /tab\d-\d/.test(text)), []);
}, { leader: WAYS.leader });

each("tabs with other texts, or with a text and a function, do not share", async (browser) => {
  await browser.tab({ key: "a" });
  await browser.tab({ key: "b" });
  await browser.tab({ key: "null" });
  await browser.withKey();
  assert.deepEqual(keysOf(browser), ["a", "b", "null", "tab0-1"]);
});
