import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, LATER_MAX_MS, STEADY_MS } from "../backoff.js";
import { endingOf } from "../codes.js";

const least = () => 0;
const most = () => 1 - 2 ** -32;

test("at once is at once the first time, and later after that", () => {
  const backoff = new Backoff(least);
  assert.deepEqual([backoff.next("at_once", 0), backoff.next("at_once", 0)], [0, 1000]);
});

test("later is 1 to 5 s, then doubles up to a minute", () => {
  const backoff = new Backoff(most);
  const waits = Array.from({ length: 6 }, () => Math.round(backoff.next("later", 0)));
  assert.deepEqual(waits, [5000, 10_000, 20_000, 40_000, LATER_MAX_MS, LATER_MAX_MS]);
  const soonest = new Backoff(least);
  assert.deepEqual(Array.from({ length: 6 }, () => soonest.next("later", 0)), Array(6).fill(1000));
});

test("an at once that failed is followed by the shortest later", () => {
  const backoff = new Backoff(most);
  backoff.next("at_once", 0);
  assert.equal(Math.round(backoff.next("later", 0)), 5000);
});

test("only a link that held gives the first attempts back", () => {
  const backoff = new Backoff(least);
  for (const [held, wait] of [[STEADY_MS - 1, 1000], [STEADY_MS, 0]]) {
    backoff.next("at_once", 0);
    backoff.welcomed(0);
    assert.equal(backoff.next("at_once", held), wait);
  }
});

test("a link that held counts once", () => {
  const backoff = new Backoff(most);
  backoff.welcomed(0);
  const waits = Array.from({ length: 3 }, (_, i) => Math.round(backoff.next("later", STEADY_MS + i)));
  assert.deepEqual(waits, [5000, 10_000, 20_000]);
});

test("a link that held counts also where the next one was there before its end", () => {
  const backoff = new Backoff(least);
  backoff.next("later", 0);
  backoff.welcomed(0);
  backoff.welcomed(STEADY_MS);
  assert.equal(backoff.next("at_once", STEADY_MS + 1), 0);
});

test("the hundred of a close code says what to do, also of codes that are not known", () => {
  const told = (code) => Object.values(endingOf(code)).join(" ");
  for (const code of [4000, 4001, 4002, 4099]) assert.equal(told(code), "at_once moved");
  for (const code of [4100, 4104, 4199]) assert.equal(told(code), "later unavailable");
  for (const code of [4200, 4202, 4299]) assert.equal(told(code), "renew refused");
  assert.equal(told(4201), "never refused");
  assert.equal(told(4210), "renew expired");
  for (const code of [4300, 4302, 4399]) assert.equal(told(code), "never incompatible");
  for (const code of [1000, 1001, 1006, 1009, 3999, 4400, 4999, undefined]) assert.equal(told(code), "later lost");
});
