// What came lately in this browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IDBDatabase as FDBDatabase, IDBFactory, IDBKeyRange } from "fake-indexeddb";

import { AGE_MAX_MS, History, LENGTH_MAX, OPEN_WITHIN_MS } from "../history.js";
import { CATCH_UP_EVERY_MS } from "../tab.js";
import { SILENCE_MAX_MS } from "../hub.js";
import { Browser } from "./kit/tabs.js";
import { FakeClock } from "./kit/world.js";

globalThis.IDBKeyRange = IDBKeyRange;

const notification = (n) => ({ id: `n${n}`, timestamp: 1, kind: "message", state: 0, title: `t${n}` });
const historyOf = (indexedDB, user, date, clock = new FakeClock()) =>
  new History({ indexedDB, date, clock, BroadcastChannel: null }, user);
const ids = async (history) => (await history.recent()).map(({ id }) => id);

test("the newest first, once each, and only the user's", async () => {
  const factory = new IDBFactory();
  const [mine, theirs] = ["7", "8"].map((user) => historyOf(factory, user, () => 1000));
  for (const n of [1, 2, 3, 2]) await mine.add(notification(n));
  await theirs.add(notification(1));
  assert.deepEqual(await ids(mine), ["n3", "n2", "n1"]);
  assert.deepEqual(await ids(historyOf(factory, "8", () => 1000)), ["n1"]);
  assert.deepEqual((await mine.recent())[0], notification(3));
});

test("nothing older than a day, on disk neither", async () => {
  const factory = new IDBFactory();
  let now = 1000;
  const history = historyOf(factory, "7", () => now);
  await history.add(notification(1));
  now += AGE_MAX_MS;
  assert.deepEqual(await ids(history), []);
  for (let n = 2; n <= 110; n++) await history.add(notification(n));
  assert.equal((await ids(history)).length, 109);
  assert.equal(await count(factory), 109);
});

test("at most so many, on disk nearly so", async () => {
  const factory = new IDBFactory();
  const history = historyOf(factory, "7", () => 1000);
  for (let n = 1; n <= LENGTH_MAX + 250; n++) await history.add(notification(n));
  const all = await ids(history);
  assert.deepEqual([all.length, all[0], all.at(-1)], [LENGTH_MAX, `n${LENGTH_MAX + 250}`, "n251"]);
  assert.ok((await count(factory)) <= LENGTH_MAX + 100);
});

test("without a database, or with one that fails, it knows what came since it began", async () => {
  const broken = new IDBFactory();
  broken.open = () => {
    throw new DOMException("forbidden", "SecurityError");
  };
  for (const factory of [null, broken]) {
    const history = historyOf(factory, "7", () => 1000);
    for (let n = 1; n <= LENGTH_MAX + 1; n++) {
      await history.add(notification(n));
      await history.heard(notification(n));
    }
    const all = await ids(history);
    assert.deepEqual([all.length, all[0]], [LENGTH_MAX, `n${LENGTH_MAX + 1}`]);
  }
});

test("a page that is opened later lists what came before, whoever shows it", async () => {
  for (const options of [{}, { without: ["SharedWorker"] }, { without: ["SharedWorker", "locks"] }]) {
    const browser = new Browser(options);
    browser.more = { indexedDB: new IDBFactory() };
    await browser.connected(2);
    for (let n = 1; n <= 50; n++) browser.socket.notify(n);
    await browser.clock.advance(1000);
    const late = await browser.tab();
    for (let n = 0; n < 1000 && (await late.connection.recent()).length < 50; n++) await browser.clock.advance(0);
    assert.deepEqual((await late.connection.recent()).map(({ id }) => id), Array.from({ length: 50 }, (_, i) => `n${50 - i}`));
    for (const tab of browser.tabs) tab.die();
    const [again] = [await browser.tab()];
    assert.equal((await again.connection.recent()).length, 50);
  }
});

test("a tab that was away lists what came meanwhile", async () => {
  for (const options of [{}, { without: ["SharedWorker"] }]) {
    const browser = new Browser(options);
    browser.more = { indexedDB: new IDBFactory() };
    const [, tab] = await browser.connected(2);
    browser.socket.notify(1);
    await browser.clock.advance(100);
    tab.happens("pagehide", { persisted: true });
    for (const n of [2, 3]) browser.socket.notify(n);
    await browser.clock.advance(60_000);
    tab.happens("pageshow", { persisted: true });
    // The database answers when it does, not by the clock of the test.
    for (let n = 0; n < 1000 && tab.told.length < 3; n++) await browser.clock.advance(0);
    assert.deepEqual(tab.told, ["n1", "n2", "n3"]);
  }
});

/** The database answers when it does, not by the clock of the test. */
async function until(browser, isTrue) {
  for (let n = 0; n < 1000 && !isTrue(); n++) await browser.clock.advance(0);
}

test("a tab that was frozen and dropped lists what came meanwhile", async () => {
  const browser = new Browser({ without: ["locks", "BroadcastChannel"] });
  browser.more = { indexedDB: new IDBFactory() };
  const [first, tab] = await browser.connected(2);
  browser.socket.welcome({ ping_interval_ms: 3_600_000 });
  browser.socket.notify(1);
  await until(browser, () => tab.told.length === 1);
  tab.process.hang();
  await browser.clock.advance(2 * SILENCE_MAX_MS);
  browser.socket.notify(2);
  await browser.clock.advance(60_000);
  assert.deepEqual([first.told, first.connection.info.tabs], [["n1", "n2"], 1]);
  await tab.process.wake();
  await browser.clock.advance(60_000);
  await until(browser, () => tab.told.length === 2);
  assert.deepEqual(tab.told, ["n1", "n2"]);
});

test("tabs of two hubs list all, though the server tells one of them only", async () => {
  for (const options of [{}, { without: ["SharedWorker"] }]) {
    const browser = new Browser(options);
    browser.more = { indexedDB: new IDBFactory() };
    const [old] = await browser.connected(1);
    const socket = browser.socket;
    // As with another path of the client: another name.
    const other = await browser.tab({ eventsUrl: "elsewhere" });
    assert.equal(browser.sockets.length, 2);
    browser.socket.welcome();
    await other.connection.recent();
    for (const n of [1, 2]) socket.notify(n);
    await until(browser, () => old.told.length === 2);
    for (let n = 0; n < 20; n++) await browser.clock.advance(CATCH_UP_EVERY_MS / 10);
    await until(browser, () => other.told.length === 2);
    assert.deepEqual([old.told, other.told, other.shown], [["n1", "n2"], ["n1", "n2"], []]);
    other.connection.close();
    socket.notify(3);
    await until(browser, () => old.told.length === 3);
    await browser.clock.advance(2 * CATCH_UP_EVERY_MS);
    assert.deepEqual(other.told, ["n1", "n2"]);
  }
});

test("the page's data is cleared: it goes on with a new database, and loses nothing that comes then", async () => {
  const factory = new IDBFactory();
  const [hub, tab] = [1, 2].map(() => historyOf(factory, "7", () => 1000));
  await tab.news();
  for (const n of [1, 2]) await hub.add(notification(n));
  assert.deepEqual((await tab.news()).map(({ id }) => id), ["n1", "n2"]);
  await new Promise((resolve) => (factory.deleteDatabase("bellwire").onsuccess = resolve));
  assert.deepEqual(await ids(tab), []);
  await hub.add(notification(3));
  assert.deepEqual([await ids(tab), (await tab.news()).map(({ id }) => id)], [["n3"], ["n3"]]);
  assert.deepEqual(await tab.news(), []);
});

test("a database that never opens is none", async () => {
  const clock = new FakeClock();
  const history = historyOf({ open: () => ({}) }, "7", () => 1000, clock);
  const heard = history.heard(notification(1));
  await clock.advance(OPEN_WITHIN_MS);
  await heard;
  assert.deepEqual(await ids(history), ["n1"]);
});

test("what comes while a transaction is under way shares the next one", async () => {
  const factory = new IDBFactory();
  const history = historyOf(factory, "7", () => 1000);
  await history.add(notification(0));
  const { transaction } = FDBDatabase.prototype;
  let transactions = 0;
  FDBDatabase.prototype.transaction = function (...args) {
    transactions += 1;
    return transaction.apply(this, args);
  };
  await Promise.all(Array.from({ length: 500 }, (_, n) => history.add(notification(n + 1))));
  FDBDatabase.prototype.transaction = transaction;
  assert.ok(transactions <= 2, `${transactions}`);
  assert.equal((await ids(history)).length, 501);
});

test("without a database each tab knows what came while it was open", async () => {
  const browser = new Browser();
  const [first] = await browser.connected(1);
  browser.socket.notify(1);
  await browser.clock.advance(0);
  const second = await browser.tab();
  browser.socket.notify(2);
  await browser.clock.advance(0);
  const of = async (tab) => (await tab.connection.recent()).map(({ id }) => id);
  assert.deepEqual([await of(first), await of(second)], [["n2", "n1"], ["n2"]]);
});

function count(factory) {
  return new Promise((resolve, reject) => {
    const opening = factory.open("bellwire");
    opening.onerror = reject;
    opening.onsuccess = () => {
      const counting = opening.result.transaction("recent").objectStore("recent").count();
      counting.onsuccess = () => resolve(counting.result);
    };
  });
}
