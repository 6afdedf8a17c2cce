// What came lately in this browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";

import { AGE_MAX_MS, History, LENGTH_MAX } from "../history.js";
import { Browser } from "./kit/tabs.js";

globalThis.IDBKeyRange = IDBKeyRange;

const notification = (n) => ({ id: `n${n}`, timestamp: 1, kind: "message", state: 0, title: `t${n}` });
const ids = async (history) => (await history.recent()).map(({ id }) => id);

test("the newest first, once each, and only the user's", async () => {
  const factory = new IDBFactory();
  const [mine, theirs] = ["7", "8"].map((user) => new History(factory, user, () => 1000));
  for (const n of [1, 2, 3, 2]) await mine.add(notification(n));
  await theirs.add(notification(1));
  assert.deepEqual(await ids(mine), ["n3", "n2", "n1"]);
  assert.deepEqual(await ids(new History(factory, "8", () => 1000)), ["n1"]);
  assert.deepEqual((await mine.recent())[0], notification(3));
});

test("nothing older than a day, on disk neither", async () => {
  const factory = new IDBFactory();
  let now = 1000;
  const history = new History(factory, "7", () => now);
  await history.add(notification(1));
  now += AGE_MAX_MS;
  assert.deepEqual(await ids(history), []);
  for (let n = 2; n <= 110; n++) await history.add(notification(n));
  assert.equal((await ids(history)).length, 109);
  assert.equal(await count(factory), 109);
});

test("at most so many, on disk nearly so", async () => {
  const factory = new IDBFactory();
  const history = new History(factory, "7", () => 1000);
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
    const history = new History(factory, "7", () => 1000);
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
