// What has come, newest first: a window of rows over all that this browser knows.

/** @import { Notification } from "../bellwire.js" */
/** @import { Parts } from "./parts.js" */

import { h, say } from "./dom.js";
import { filterView } from "./filter.js";
import { ALL, Items, matcher, worstOf } from "./items.js";
import { rowOf } from "./row.js";

const ROWS_FIRST = 50;
export const ROWS_MAX = 200;

/** In a storm the list is drawn so often. */
const DRAW_EVERY_MS = 250;

/** Screen readers are told so often at most: they would read for ever. */
const SAY_EVERY_MS = 5000;

/** @param {Parts} parts */
export function listView(parts) {
  const { connection, words, lang, until, every } = parts;
  const items = new Items();
  let filter = { ...ALL };
  let first = 0;
  let count = ROWS_FIRST;
  /** @type {Map<string, ReturnType<typeof rowOf>>} */
  let rows = new Map();

  const heading = h("h2", { tabindex: -1 }, words.list);
  const range = h("span.range");
  const newest = h("button.newest", { type: "button", onclick: () => go(0, ROWS_FIRST) }, words.newest);
  const more = h("button.more", { type: "button", onclick: () => goOn() }, words.more);
  const list = h("ol.list", { role: "list" });
  const nothing = h("p.nothing");
  const filters = filterView(words, (chosen) => {
    filter = chosen;
    go(0, ROWS_FIRST);
  });

  /** @param {number} from @param {number} rowsMax */
  const go = (from, rowsMax) => {
    first = from;
    count = rowsMax;
    draw();
  };
  const goOn = () => {
    if (count < ROWS_MAX) return go(first, count + ROWS_FIRST);
    go(first + ROWS_MAX, ROWS_MAX);
    heading.focus();
    heading.scrollIntoView();
  };
  const n = (/** @type {number} */ count) => count.toLocaleString(lang);
  const draw = () => {
    const { total, rows: wanted } = items.select(filter, first, count);
    place(wanted);
    const to = first + wanted.length;
    say(range, total > 0 ? words.range(n(first + 1), n(to), n(total)) : "");
    newest.hidden = first === 0;
    more.hidden = to >= total;
    list.hidden = total === 0;
    nothing.hidden = total > 0;
    say(nothing, items.size > 0 ? words.nothingMatches : words.nothing);
  };
  /** Leaves alone what stays: nobody loses the row under the pointer or the focus. @param {Notification[]} wanted */
  const place = (wanted) => {
    const next = new Map(wanted.map((n) => [n.id, rows.get(n.id) ?? rowOf(n, parts)]));
    for (const [id, { root }] of rows) if (!next.has(id)) root.remove();
    let at = list.firstElementChild;
    for (const { root, tick } of next.values()) {
      if (root === at) at = at.nextElementSibling;
      else list.insertBefore(root, at);
      tick();
    }
    rows = next;
  };

  const said = h("p.hidden.news", { role: "status" });
  /** @type {Notification[]} */
  let unsaid = [];
  const tell = () => {
    const [one] = unsaid;
    if (one)
      say(said, unsaid.length === 1 ? one.title : words.news(unsaid.length, words.states[worstOf(unsaid)] ?? ""));
    unsaid = [];
  };
  const drawSoon = soon(draw, DRAW_EVERY_MS, until);
  const tellSoon = soon(tell, SAY_EVERY_MS, until);
  /** @param {Notification} n */
  const onNotification = (n) => {
    if (!items.add(n)) return;
    // Who looks at older ones goes on seeing the same.
    if (first > 0 && matcher(filter)(n)) first++;
    unsaid.push(n);
    drawSoon();
    tellSoon();
  };
  const load = async () => {
    items.merge(await connection.recent());
    draw();
  };
  until(connection.on("notification", onNotification));
  // What came while this tab slept was told to others only.
  until(connection.on("state", ({ state }) => state === "connected" && load()));
  every(10_000, () => rows.forEach(({ tick }) => tick()));
  draw();
  void load();
  return h(
    "section.main",
    { "aria-label": words.list },
    h("div.head", {}, heading, range, filters.clear, newest),
    filters.root,
    nothing,
    list,
    more,
    said,
  );
}

/**
 * At once, and from then on at most once in so many milliseconds.
 * @param {() => void} task
 * @param {number} ms
 * @param {Parts["until"]} until
 */
function soon(task, ms, until) {
  let lastAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  until(() => clearTimeout(timer));
  return () => {
    timer ??= setTimeout(
      () => {
        timer = undefined;
        lastAt = performance.now();
        task();
      },
      Math.max(0, lastAt + ms - performance.now()),
    );
  };
}
