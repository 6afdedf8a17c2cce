// One connection for all tabs of a browser, by whichever way it has.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ONLINE_SPREAD_MS } from "../connection.js";
import { ANSWER_WITHIN_MS, MEMBERS_MAX, SILENCE_MAX_MS, UNHEARD_MAX } from "../hub.js";
import { ACK_AFTER_MS } from "../link.js";
import { RETRY_FIRST_MS, TRIES_MAX } from "../show.js";
import { BEAT_MS, JOINED_WITHIN_MS } from "../tab.js";
import { acks } from "./kit/page.js";
import { Browser, shownBy } from "./kit/tabs.js";

const CURSOR = "bellwireCursor:7";
const SEEN = "bellwireSeen:7";

const WORKER = {};
const LEADER = { without: ["SharedWorker"] };
/** Plain http. */
const NO_LOCKS = { without: ["locks"] };

/** Each way in which tabs share. */
function each(name, check, ways = { worker: WORKER, leader: LEADER, "worker without locks": NO_LOCKS }) {
  for (const [way, options] of Object.entries(ways)) test(`${name} (${way})`, () => check(new Browser(options), way));
}

each("five tabs have one socket, and each notification is shown in the one that is visible", async (browser, way) => {
  const tabs = await browser.connected(5);
  assert.equal(browser.sockets.length, 1);
  assert.deepEqual(tabs.map(({ state }) => state), Array(5).fill("connected"));
  for (const n of [1, 2]) browser.socket.notify(n);
  await browser.clock.advance(ACK_AFTER_MS);
  assert.deepEqual(shownBy(tabs), [["n1", "n2"], [], [], [], []]);
  for (const { told } of tabs) assert.deepEqual(told, ["n1", "n2"]);
  assert.deepEqual(acks(browser.socket), ["log-0:2"]);
  const { browser: id, ...info } = tabs[3].connection.info;
  assert.match(id, /^[0-9a-f-]{36}$/);
  const at = 1_700_000_000_000;
  assert.deepEqual(info, {
    user: "7", transport: "websocket", sharing: way.split(" ")[0], tabs: 5, session: "a-1", version: "0",
    connectedAt: at, heardAt: at, pings: 0,
  });
});

each("the tab that was visible last shows, where none is visible", async (browser) => {
  const tabs = await browser.connected(3);
  tabs[0].look(false);
  tabs[2].look(true);
  await browser.clock.advance(0);
  browser.socket.notify(1);
  await browser.clock.advance(0);
  tabs[2].look(false);
  await browser.clock.advance(0);
  browser.socket.notify(2);
  await browser.clock.advance(0);
  tabs[2].leave();
  await browser.clock.advance(0);
  browser.sockets.at(-1).notify(3);
  await browser.clock.advance(0);
  assert.deepEqual(shownBy(tabs), [["n3"], [], ["n1", "n2"]]);
});

each("one is shown after the other, whichever tabs show them", async (browser) => {
  const tabs = await browser.connected(2);
  const done = [];
  for (const tab of tabs) tab.handler = ({ id }) => new Promise((resolve) => done.push([id, resolve]));
  browser.socket.notify(1);
  browser.socket.notify(2);
  await browser.clock.advance(0);
  tabs[0].look(false);
  tabs[1].look(true);
  await browser.clock.advance(100);
  assert.deepEqual([done.map(([id]) => id), acks(browser.socket)], [["n1"], []]);
  done[0][1]();
  await browser.clock.advance(100);
  assert.deepEqual([done.map(([id]) => id), acks(browser.socket)], [["n1", "n2"], ["log-0:1"]]);
  done[1][1]();
  await browser.clock.advance(100);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[["n1"], ["n2"]], ["log-0:1", "log-0:2"]]);
});

each("a tab that hangs is passed over, and does not show late what another has shown", async (browser) => {
  const tabs = await browser.connected(3, {});
  tabs[2].look(true);
  await browser.clock.advance(0);
  tabs[2].process.hang();
  browser.socket.notify(1);
  await browser.clock.advance(ANSWER_WITHIN_MS - 1);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[[], [], []], []]);
  await browser.clock.advance(1 + ACK_AFTER_MS);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[["n1"], [], []], ["log-0:1"]]);
  browser.socket.notify(2);
  await browser.clock.advance(0);
  assert.deepEqual(shownBy(tabs), [["n1", "n2"], [], []], "it is asked last while it hangs");
  // Its own storage may not know yet what another process has written.
  browser.world.storage.items.delete(SEEN);
  await tabs[2].process.wake();
  await browser.clock.advance(100);
  assert.deepEqual([tabs[2].shown, tabs[2].told], [[], ["n1", "n2"]]);
  browser.socket.notify(3);
  await browser.clock.advance(0);
  assert.deepEqual(tabs[2].shown, ["n3"], "it answers again");
});

each("a tab alone that hangs shows when it wakes", async (browser) => {
  const [tab] = await browser.connected(1);
  tab.process.hang();
  browser.socket.notify(1);
  await browser.clock.advance(3 * ANSWER_WITHIN_MS);
  await tab.process.wake();
  await browser.clock.advance(100);
  assert.deepEqual([tab.shown, acks(browser.sockets[0])], [["n1"], ["log-0:1"]]);
});

each("a handler that takes too long is waited for where no other tab is", async (browser) => {
  const [tab] = await browser.connected(1);
  let done;
  tab.handler = () => new Promise((resolve) => (done = resolve));
  browser.socket.notify(1);
  await browser.clock.advance(3 * ANSWER_WITHIN_MS);
  done();
  await browser.clock.advance(100);
  assert.deepEqual([tab.shown, acks(browser.socket)], [["n1"], ["log-0:1"]]);
});

each("a tab that joins is asked where all others hang", async (browser) => {
  const [tab] = await browser.connected(1);
  tab.handler = () => new Promise(() => {});
  browser.socket.notify(1);
  await browser.clock.advance(2 * ANSWER_WITHIN_MS);
  const other = await browser.tab();
  await browser.clock.advance(ACK_AFTER_MS);
  assert.deepEqual([other.shown, acks(browser.socket)], [["n1"], ["log-0:1"]]);
});

each("a tab that is gone in the middle hands over at once", async (browser) => {
  const tabs = await browser.connected(3);
  tabs[2].look(true);
  await browser.clock.advance(0);
  tabs[2].handler = () => new Promise(() => {});
  browser.socket.notify(1);
  await browser.clock.advance(0);
  tabs[2].leave();
  await browser.clock.advance(0);
  assert.deepEqual(shownBy(tabs), [["n1"], [], []]);
  assert.equal(tabs[0].connection.info.tabs, 2);
});

each("a tab that dies without a word is noticed by its lock", async (browser) => {
  const tabs = await browser.connected(3);
  tabs[1].look(true);
  await browser.clock.advance(0);
  tabs[1].die();
  await browser.clock.advance(0);
  assert.equal(tabs[0].connection.info.tabs, 2);
  browser.socket.notify(1);
  await browser.clock.advance(0);
  assert.deepEqual(shownBy(tabs), [["n1"], [], []]);
}, { worker: WORKER, leader: LEADER });

each("without locks it is noticed by its silence, and one that was only frozen is back at once", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.welcome({ ping_interval_ms: 3_600_000 });
  const third = await browser.tab();
  third.die();
  tabs[1].process.hang();
  await browser.clock.advance(2 * SILENCE_MAX_MS);
  assert.equal(tabs[0].connection.info.tabs, 1);
  await tabs[1].process.wake();
  await browser.clock.advance(2 * BEAT_MS.worker);
  assert.deepEqual([tabs[0].connection.info.tabs, tabs[1].state], [2, "connected"]);
  assert.equal(browser.open.length, 1);
}, { worker: NO_LOCKS });

each("a handler that fails may be called in another tab, and every tab hears of it", async (browser) => {
  const tabs = await browser.connected(2);
  const cause = new Error("no permission");
  tabs[0].handler = () => Promise.reject(cause);
  browser.socket.notify(1);
  browser.socket.notify(2);
  await browser.clock.advance(0);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[[], []], []]);
  for (const tab of tabs) {
    assert.deepEqual(tab.errors.map(({ code, message }) => [code, message]),
      [["handler_failed", "the handler failed: Error: no permission"]]);
  }
  assert.equal(tabs[0].errors[0].cause, cause);
  await browser.clock.advance(RETRY_FIRST_MS + ACK_AFTER_MS);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[[], ["n1", "n2"]], ["log-0:2"]]);
});

each("a handler that fails everywhere does not keep the others", async (browser) => {
  const tabs = await browser.connected(2);
  for (const tab of tabs) tab.handler = ({ id }) => id === "n1" && assert.fail("never");
  browser.socket.notify(1);
  browser.socket.notify(2);
  await browser.clock.advance(7500 + 2 * ACK_AFTER_MS);
  assert.equal(tabs[1].errors.length, TRIES_MAX);
  assert.equal(tabs[1].errors.at(-1).code, "handler_gave_up");
  assert.deepEqual(acks(browser.socket), ["log-0:2"]);
  assert.deepEqual(JSON.parse(browser.world.storage.items.get(SEEN)).sort(), ["n1", "n2"]);
});

each("what was shown is on disk before it is acknowledged", async (browser) => {
  await browser.connected(2);
  browser.socket.onSend = ({ op }) => op === "ack" && order.push(browser.world.storage.items.get(SEEN));
  const order = [];
  browser.socket.notify(1);
  await browser.clock.advance(ACK_AFTER_MS);
  assert.deepEqual(order, ['["n1"]']);
});

each("all tabs gone and back: goes on at the cursor, and repeats are not shown", async (browser) => {
  const tabs = await browser.connected(3);
  browser.socket.notify(1);
  browser.socket.notify(2);
  await browser.clock.advance(ACK_AFTER_MS + 100);
  for (const tab of tabs) tab.leave();
  await browser.clock.advance(0);
  assert.equal(browser.open.length, 0, "the last one ends the connection");
  const again = await browser.connected(2);
  assert.equal(browser.sockets.length, 2);
  assert.equal(browser.socket.said("hello")[0].cursor, "log-0:2");
  assert.equal(browser.socket.said("hello")[0].browser, browser.sockets[0].said("hello")[0].browser);
  for (const n of [1, 2, 3]) browser.socket.notify(n);
  await browser.clock.advance(ACK_AFTER_MS);
  assert.deepEqual([shownBy(again), again[1].told], [[["n3"], []], ["n3"]]);
  assert.deepEqual(acks(browser.socket), ["log-0:3"]);
});

each("a crash of everything right after showing repeats nothing", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.notify(1);
  await browser.clock.advance(0);
  for (const tab of tabs) tab.die();
  for (const { process } of browser.processes.values()) process.die();
  const [again] = await browser.connected(1);
  browser.socket.notify(1);
  browser.socket.notify(2);
  await browser.clock.advance(ACK_AFTER_MS);
  assert.deepEqual([again.shown, acks(browser.socket)], [["n2"], ["log-0:2"]]);
});

each("two tabs of a new browser that start together are one browser", async (browser) => {
  const tabs = await Promise.all([browser.tab(), browser.tab(), browser.tab()]);
  browser.socket.welcome();
  await browser.clock.advance(100);
  assert.equal(browser.sockets.length, 1);
  const [{ browser: id }] = browser.socket.said("hello");
  assert.equal(browser.world.storage.items.get("browserUuid"), id);
  assert.deepEqual(tabs.map(({ connection }) => connection.info.browser), [id, id, id]);
});

each("the id that openITCOCKPIT's front end has made meanwhile stays", async (browser) => {
  await browser.tab();
  browser.world.storage.items.set("browserUuid", "theirs");
  browser.socket.welcome();
  await browser.clock.advance(1000);
  assert.equal(browser.world.storage.items.get("browserUuid"), "theirs");
}, { worker: WORKER });

each("other users, keys and addresses have other connections", async (browser) => {
  await browser.tab();
  await browser.tab({ user: 8 });
  await browser.tab({ key: "other" });
  await browser.tab({ url: "wss://monitoring.example/other" });
  await browser.tab({ shared: false });
  assert.equal(browser.sockets.length, 5);
  await browser.tab();
  await browser.tab({ user: "7" });
  assert.equal(browser.sockets.length, 5);
  for (const key of browser.processes.keys()) assert.ok(!/secret|other/.test(key.split(" ")[1]), key);
});

each("a tab that joins later hears what is", async (browser) => {
  await browser.connected(1);
  browser.socket.say({ op: "status", key: "export_running", value: true });
  browser.socket.say({ op: "ping" });
  await browser.clock.advance(0);
  const tab = await browser.tab();
  assert.equal(tab.state, "connected");
  assert.deepEqual(tab.statuses, [{ key: "export_running", value: true }]);
  assert.deepEqual([tab.connection.info.tabs, tab.connection.info.pings], [2, 1]);
});

each("events of the connection come in every tab", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.say({ op: "gap", dropped: 3 });
  browser.socket.say({ op: "status", key: "k", value: 1 });
  browser.socket.raw("?");
  browser.socket.end(4100);
  await browser.clock.advance(0);
  for (const tab of tabs) {
    assert.deepEqual([tab.gaps, tab.statuses, tab.errors.map(({ code }) => code)], [[3], [{ key: "k", value: 1 }], ["unreadable"]]);
    assert.equal(tab.state, "connecting unavailable");
    assert.equal(tab.connection.info.transport, null);
  }
});

each("a test can be asked for in any tab", async (browser) => {
  const tabs = await browser.connected(2);
  assert.equal(tabs[1].connection.test({ title: "Disk full", state: 2 }), true);
  assert.equal(tabs[1].connection.test({ title: "x".repeat(9000) }), false);
  await browser.clock.advance(0);
  assert.deepEqual(browser.socket.said("test"), [{ op: "test", title: "Disk full", state: 2 }]);
  browser.socket.end(1006);
  assert.equal(tabs[1].connection.test(), tabs[1].state === "connected");
  await browser.clock.advance(0);
  assert.equal(tabs[1].connection.test(), false);
  assert.equal(browser.socket.said("test").length, 1);
});

each("close leaves, and only the last one ends the connection", async (browser) => {
  const tabs = await browser.connected(3);
  tabs[1].connection.close();
  await browser.clock.advance(0);
  assert.deepEqual([tabs[1].state, tabs[0].state, tabs[0].connection.info.tabs], ["disconnected closed", "connected", 2]);
  tabs[2].connection.close();
  await browser.clock.advance(0);
  assert.equal(browser.open.length, 1);
  tabs[0].connection.close();
  await browser.clock.advance(0);
  assert.equal(browser.open.length, 0);
  await browser.clock.advance(600_000);
  assert.deepEqual([browser.sockets.length, browser.clock.waiting], [1, 0]);
});

each("close while its handler runs: nobody else shows it too", async (browser) => {
  const tabs = await browser.connected(2);
  let done;
  tabs[0].handler = () => new Promise((resolve) => (done = resolve));
  browser.socket.notify(1);
  await browser.clock.advance(0);
  tabs[0].connection.close();
  await browser.clock.advance(1000);
  done();
  await browser.clock.advance(10_000);
  if (browser.sockets.length > 1) browser.socket.welcome();
  browser.socket.notify(1);
  await browser.clock.advance(100);
  assert.deepEqual(shownBy(tabs), [["n1"], []]);
  assert.ok(acks(browser.socket).includes("log-0:1"));
});

each("a page in the back-forward cache is no member, and comes back", async (browser) => {
  const tabs = await browser.connected(2);
  tabs[1].happens("pagehide", { persisted: true });
  await browser.clock.advance(0);
  assert.equal(tabs[0].connection.info.tabs, 1);
  tabs[1].happens("pageshow", { persisted: true });
  await browser.clock.advance(0);
  assert.deepEqual([tabs[0].connection.info.tabs, tabs[1].state], [2, "connected"]);
  tabs[1].happens("pageshow", { persisted: true });
  tabs[1].connection.close();
  tabs[1].happens("pageshow", { persisted: true });
  await browser.clock.advance(0);
  assert.deepEqual([tabs[0].connection.info.tabs, tabs[1].state], [1, "disconnected closed"]);
});

each("the network goes and comes: tabs tell it", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.end(1006);
  await browser.clock.advance(0);
  browser.world.online = false;
  for (const tab of tabs) tab.happens("offline");
  await browser.clock.advance(0);
  assert.deepEqual(tabs.map(({ state }) => state), Array(2).fill("disconnected offline"));
  await browser.clock.advance(30_000);
  assert.equal(browser.sockets.length, 1);
  browser.world.online = true;
  for (const tab of tabs) tab.happens("online");
  await browser.clock.advance(ONLINE_SPREAD_MS);
  assert.equal(browser.sockets.length, 2);
  browser.socket.welcome();
  await browser.clock.advance(0);
  assert.deepEqual(tabs.map(({ state }) => state), Array(2).fill("connected"));
});

each("a tab that is looked at again has its connection at once, one that is hidden beside a visible one does nothing", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.end(1006);
  await browser.clock.advance(0);
  tabs[1].look(false);
  await browser.clock.advance(0);
  assert.equal(browser.sockets.length, 1);
  tabs[1].look(true);
  await browser.clock.advance(0);
  assert.equal(browser.sockets.length, 2);
});

each("refused is told to all, and nothing is left", async (browser) => {
  const tabs = await browser.connected(2);
  browser.socket.end(4200);
  await browser.clock.advance(0);
  assert.deepEqual(tabs.map(({ state }) => state), Array(2).fill("disconnected refused"));
  assert.equal((await browser.tab()).state, "disconnected refused");
  await browser.clock.advance(600_000);
  assert.equal(browser.sockets.length, 1);
});

test("the tab that leads is closed: the next one leads at once and goes on at the cursor", async () => {
  for (const how of ["leave", "die", "close"]) {
    const browser = new Browser(LEADER);
    const tabs = await browser.connected(3);
    browser.socket.notify(1);
    await browser.clock.advance(ACK_AFTER_MS);
    if (how === "close") tabs[0].connection.close();
    else tabs[0][how]();
    await browser.clock.advance(0);
    assert.deepEqual([browser.sockets.length, browser.open.length], [2, 1], how);
    browser.socket.welcome();
    assert.equal(browser.socket.said("hello")[0].cursor, "log-0:1");
    browser.socket.notify(1);
    browser.socket.notify(2);
    await browser.clock.advance(ACK_AFTER_MS);
    const others = tabs.slice(1);
    assert.deepEqual(others.map(({ state, sharing }) => [state, sharing]), Array(2).fill(["connected", "leader"]));
    assert.deepEqual(others[0].connection.info.tabs, 2);
    const states = others[1].states.map(({ state, reason }) => reason ?? state);
    assert.deepEqual(states, ["connected", "start", "connected"]);
    assert.deepEqual(others.flatMap(({ shown }) => shown), ["n2"], how);
    assert.deepEqual(others.map(({ told }) => told), Array(2).fill(["n1", "n2"]));
  }
});

test("the tab that leads hangs: another one takes over, and the old one follows when it wakes", async () => {
  const browser = new Browser(LEADER);
  const tabs = await browser.connected(3);
  tabs[0].process.hang();
  await browser.clock.advance(4 * BEAT_MS.leader);
  assert.equal(browser.sockets.length, 2);
  browser.socket.welcome();
  browser.socket.notify(1);
  browser.sockets[0].notify(1);
  await browser.clock.advance(100);
  assert.deepEqual(tabs.slice(1).flatMap(({ shown }) => shown), ["n1"]);
  assert.deepEqual(tabs.slice(1).map(({ connection }) => connection.info.tabs), [2, 2]);
  await tabs[0].process.wake();
  await browser.clock.advance(1000);
  assert.deepEqual(tabs.map(({ connection }) => connection.info.tabs), [3, 3, 3]);
  assert.deepEqual(tabs.flatMap(({ shown }) => shown), ["n1"]);
  assert.deepEqual(browser.open, [browser.socket]);
});

test("a tab that hangs when it is to lead follows when it wakes", async () => {
  const browser = new Browser(LEADER);
  const tabs = await browser.connected(3);
  tabs[1].process.hang();
  tabs[0].leave();
  await browser.clock.advance(5 * BEAT_MS.leader);
  browser.socket.welcome();
  await tabs[1].process.wake();
  await browser.clock.advance(1000);
  assert.deepEqual(tabs.slice(1).map(({ state, sharing, connection }) => [state, sharing, connection.info.tabs]),
    Array(2).fill(["connected", "leader", 2]));
  assert.equal(browser.open.length, 1);
});

test("names of the hub that are the same by chance do not mix keys", async () => {
  const browser = new Browser();
  const [first] = await browser.connected(1);
  const environment = browser.environment(first.process, first.events, first);
  const { SharedWorker } = environment;
  let name;
  class Same extends SharedWorker {
    constructor(url, options) {
      super(url, { ...options, name: (name ??= [...browser.processes.keys()][0].split(" ")[1]) });
    }
  }
  const other = await browser.tab({ key: "other", environment: { ...environment, SharedWorker: Same } });
  assert.deepEqual([other.sharing, browser.socket.protocols[1], browser.sockets.length], ["alone", "other", 2]);
});

test("a tab that does not listen is let go before too much waits for it, and is back when it does", async () => {
  const browser = new Browser(WORKER);
  const tabs = await browser.connected(2);
  browser.socket.welcome({ ping_interval_ms: 3_600_000 });
  tabs[1].process.hang();
  for (let n = 0; n <= UNHEARD_MAX; n++) {
    browser.socket.say({ op: "status", key: "k", value: n });
    if (n % 1000 === 0) await browser.clock.advance(0);
  }
  await browser.clock.advance(0);
  assert.equal(tabs[0].connection.info.tabs, 1);
  await tabs[1].process.wake();
  await browser.clock.advance(2 * BEAT_MS.worker);
  assert.deepEqual([tabs[0].connection.info.tabs, tabs[1].state], [2, "connected"]);
});

test("the tab that leads is closed while another one shows: that one is not shown again", async () => {
  const browser = new Browser(LEADER);
  const tabs = await browser.connected(3);
  tabs[2].look(true);
  let done;
  tabs[2].handler = () => new Promise((resolve) => (done = resolve));
  await browser.clock.advance(0);
  browser.socket.notify(1);
  await browser.clock.advance(0);
  tabs[2].look(false);
  tabs[1].look(true);
  tabs[0].leave();
  await browser.clock.advance(0);
  browser.socket.welcome();
  browser.socket.notify(1);
  await browser.clock.advance(100);
  done();
  await browser.clock.advance(100);
  assert.deepEqual([shownBy(tabs), acks(browser.socket)], [[[], [], ["n1"]], ["log-0:1"]]);
});

test("a worker that fails, hangs or is refused: one of the tabs leads", async () => {
  for (const workers of ["fails", "hangs", "throws"]) {
    const browser = new Browser({ workers });
    const tabs = [await browser.tab(), await browser.tab()];
    await browser.clock.advance(workers === "hangs" ? JOINED_WITHIN_MS.worker : 0);
    assert.equal(browser.sockets.length, 1, workers);
    browser.socket.welcome();
    await browser.clock.advance(0);
    assert.deepEqual(tabs.map(({ state, sharing }) => [state, sharing]), Array(2).fill(["connected", "leader"]));
  }
});

test("a worker that starts too late gets no connection for a tab that has gone on", async () => {
  const browser = new Browser({ workers: "slow" });
  const tabs = [await browser.tab(), await browser.tab()];
  await browser.clock.advance(JOINED_WITHIN_MS.worker - 1);
  assert.equal(browser.sockets.length, 0);
  await browser.clock.advance(1);
  for (const { process } of browser.processes.values()) await process.wake();
  await browser.clock.advance(1000);
  assert.deepEqual(tabs.map(({ sharing, connection }) => [sharing, connection.info.tabs]), Array(2).fill(["leader", 2]));
  assert.equal(browser.open.length, 1);
});

test("two hubs of a browser that is new are the same browser", async () => {
  const browser = new Browser();
  for (const eventsUrl of ["here", "elsewhere"]) await browser.tab({ eventsUrl });
  assert.equal(browser.sockets.length, 2);
  for (const socket of browser.sockets) socket.welcome();
  const [one, two] = browser.sockets.map((socket) => socket.said("hello")[0].browser);
  assert.equal(one, two);
  assert.equal(one, browser.world.storage.items.get("browserUuid"));
});

test("neither worker nor locks: each tab has its own connection", async () => {
  for (const options of [{ without: ["SharedWorker", "locks"] }, { without: ["locks"], workers: "fails" }]) {
    const browser = new Browser(options);
    const tabs = [await browser.tab(), await browser.tab()];
    for (const socket of browser.sockets) socket.welcome();
    await browser.clock.advance(0);
    assert.deepEqual(tabs.map(({ state, sharing }) => [state, sharing]), Array(2).fill(["connected", "alone"]));
    assert.equal(browser.sockets.length, 2);
    browser.sockets[1].notify(1);
    await browser.clock.advance(100);
    browser.sockets[0].notify(1);
    await browser.clock.advance(100);
    assert.deepEqual([shownBy(tabs), tabs.map(({ told }) => told)], [[[], ["n1"]], [[], ["n1"]]]);
  }
});

test("a worker that is killed is started again", async () => {
  const browser = new Browser(WORKER);
  const tabs = await browser.connected(2);
  browser.socket.notify(1);
  await browser.clock.advance(100);
  for (const { process } of browser.processes.values()) process.die();
  await browser.clock.advance(4 * BEAT_MS.worker);
  assert.equal(browser.sockets.length, 2);
  browser.socket.welcome();
  await browser.clock.advance(0);
  assert.equal(browser.socket.said("hello")[0].cursor, "log-0:1");
  assert.deepEqual(tabs.map(({ state, connection }) => [state, connection.info.tabs]), Array(2).fill(["connected", 2]));
});

test("no more tabs than there can be share; what is beyond is alone", async () => {
  const browser = new Browser(WORKER);
  for (let n = 0; n < MEMBERS_MAX; n++) await browser.tab();
  assert.equal(browser.sockets.length, 1);
  const tab = await browser.tab();
  assert.deepEqual([tab.sharing, browser.sockets.length], ["alone", 2]);
});
