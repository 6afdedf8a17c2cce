import assert from "node:assert/strict";
import { test } from "node:test";

import { wordsOf } from "../language.js";
import { Times, msOf } from "../panel/clock.js";
import { ALL, ITEMS_MAX, Items, matcher, worstOf } from "../panel/items.js";

const service = (id, state, more = {}) => ({
  id,
  timestamp: 100,
  kind: "service",
  type: "PROBLEM",
  state,
  title: `t ${id}`,
  ...more,
});
const ids = ({ rows }) => rows.map(({ id }) => id);
const all = (items, filter = {}) => ids(items.select({ ...ALL, ...filter }, 0, 1000));

test("the newest is first, and nothing is there twice", () => {
  const items = new Items();
  assert.equal(items.add(service("a", 2)), true);
  assert.equal(items.add(service("b", 2)), true);
  assert.equal(items.add(service("a", 0)), false);
  assert.deepEqual(all(items), ["b", "a"]);
});

test("what others were told before comes in at its time", () => {
  const items = new Items();
  items.add(service("c", 2, { timestamp: 30 }));
  items.merge([
    service("d", 2, { timestamp: 40 }),
    service("c", 2, { timestamp: 30 }),
    service("b", 2, { timestamp: 20 }),
    service("a", 2, { timestamp: 20 }),
  ]);
  assert.deepEqual(all(items), ["d", "c", "b", "a"]);
  assert.equal(items.add(service("a", 2)), false);
});

test("the oldest gives way, and may come again", () => {
  const items = new Items();
  for (let n = 0; n <= ITEMS_MAX; n++) items.add(service(String(n), 2));
  assert.equal(items.size, ITEMS_MAX);
  assert.equal(items.add(service("1", 2)), false);
  assert.equal(items.add(service("0", 2)), true);
});

test("every one can be reached through a window of rows", () => {
  const items = new Items();
  for (let n = 0; n < 1000; n++) items.add(service(String(n), n % 2));
  const seen = [];
  for (let first = 0; first < 500; first += 200) {
    const { total, rows } = items.select({ ...ALL, problems: true }, first, 200);
    assert.equal(total, 500);
    assert.ok(rows.length <= 200);
    seen.push(...rows.map(({ id }) => Number(id)));
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 500 }, (_, n) => 999 - 2 * n),
  );
});

test("filters", () => {
  const items = new Items();
  const host = { id: "h", name: "Web1" };
  items.add(service("critical", 2, { host, service: { id: "s", name: "disk" }, body: "95 % used" }));
  items.add(service("recovered", 0, { host }));
  items.add(service("acknowledged", 2, { type: "ACKNOWLEDGEMENT" }));
  items.add({ ...service("down", 1), kind: "host", host });
  items.add({ ...service("hello", 0), kind: "message", title: "Hello", type: undefined });
  assert.deepEqual(all(items, { kind: "host" }), ["down"]);
  assert.deepEqual(all(items, { state: "critical" }), ["acknowledged", "critical"]);
  assert.deepEqual(all(items, { state: "message" }), ["hello"]);
  assert.deepEqual(all(items, { problems: true }), ["down", "critical"]);
  assert.deepEqual(all(items, { text: "  WEB1  " }), ["down", "recovered", "critical"]);
  assert.deepEqual(all(items, { text: "used web1 disk" }), ["critical"]);
  assert.deepEqual(all(items, { text: "(.*" }), []);
  assert.equal(matcher(ALL)(service("odd", 99)), true);
});

test("the worst of many", () => {
  assert.equal(worstOf([service("a", 0), service("b", 1), service("c", 3), service("d", 1)]), "unknown");
  assert.equal(worstOf([service("a", 0)]), "ok");
});

test("times, as people say them", () => {
  const times = new Times("en");
  const now = Date.UTC(2026, 0, 2, 12);
  const ago = (seconds) => times.ago(now - seconds * 1000, now);
  assert.deepEqual([-3600, 0, 9, 42, 60, 3599, 3600, 200_000].map(ago), [
    "now",
    "now",
    "now",
    "42 sec. ago",
    "1 min. ago",
    "59 min. ago",
    "1 hr. ago",
    "55 hr. ago",
  ]);
  assert.equal(new Times("de").ago(now - 120_000, now), "vor 2 Min.");
  assert.doesNotMatch(times.at(now, now), /\//);
  assert.match(times.at(now - 2 * 86_400_000, now), /12\/31\/25/);
});

test("times that no calendar has", () => {
  for (const seconds of [-1e300, -1, 0, 1e300]) assert.ok(new Date(msOf(seconds)).toISOString());
});

test("every language says all that the panel says", () => {
  const shape = (value) =>
    typeof value === "object"
      ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
      : typeof value;
  assert.deepEqual(shape(wordsOf("de").panel), shape(wordsOf("en").panel));
  for (const name of ["range", "news", "came"]) assert.match(wordsOf("de").panel[name]("1", "2", "3"), /1.*2/);
});
