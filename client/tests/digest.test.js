import assert from "node:assert/strict";
import { test } from "node:test";

import { SINGLES_MAX, WINDOW_MS } from "../digest.js";
import { DIGEST_EVERY_MS } from "../notifier.js";
import { Desktop, host, message, service, storm } from "./kit/desktop.js";

const TAG = "bellwire-digest";
const digests = (desktop) => desktop.made.filter(({ tag }) => tag === TAG);
const digest = (desktop) => desktop.visible.get(TAG);
const digested = (...all) => all.map((notification) => ({ ...notification, digested: true }));

test("what the server digests is counted by state, the worst first and named", async () => {
  const desktop = new Desktop();
  const some = (count, make) => Array.from({ length: count }, make);
  await desktop.tab().show(
    ...digested(
      ...some(20, () => service(1)),
      ...some(12, () => service(2, { title: "web1/disk is CRITICAL" })),
      ...some(5, () => host(1)),
      service(2, { type: "ACKNOWLEDGEMENT" }),
      message({ title: "the newest" }),
    ),
  );
  await desktop.world.clock.advance(DIGEST_EVERY_MS);
  const { title, body, icon } = digest(desktop);
  assert.equal(title, "39 more: 5 down, 12 critical, 20 warning, 1 message, 1 other");
  assert.equal(body, "Worst: web1/disk is CRITICAL\nNewest: the newest");
  assert.match(icon, /service-critical/);
  assert.equal(desktop.visible.size, 1);
});

test("five are shown by themselves, the next ones in the digest, by the client's own clock", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(...storm(SINGLES_MAX + 1));
  assert.equal(desktop.visible.size, SINGLES_MAX + 1);
  assert.equal(digest(desktop).title, "1 more: 1 warning");
  assert.equal(digest(desktop).body, "s5 of 1");
  await desktop.world.clock.advance(WINDOW_MS - 100);
  await tab.show(message());
  assert.ok(!digest(desktop)?.title.startsWith("1 "), "one more within the time");
  await desktop.world.clock.advance(WINDOW_MS);
  await tab.show(message({ title: "quiet again" }));
  assert.deepEqual(desktop.titles, ["quiet again"]);
});

test("a storm of 5,000 in a minute makes at most ten notifications, and the worst is seen within 3 s", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  const { clock } = desktop.world;
  let worstAt = null;
  for (const [at, notification] of storm(5000).entries()) {
    if (at === 2500) {
      worstAt = clock.now();
      Object.assign(notification, host(1, { title: "the worst" }));
    }
    await tab.show(notification);
    await clock.advance(12);
  }
  await clock.advance(DIGEST_EVERY_MS);
  assert.equal(new Set(desktop.made.map(({ tag }) => tag)).size, SINGLES_MAX + 1);
  assert.ok(digests(desktop).length <= 62 + 2, `${digests(desktop).length} updates`);
  const alerts = desktop.made.filter(({ silent }) => !silent);
  assert.equal(alerts.length, SINGLES_MAX + 2);
  const worst = desktop.made.find(({ body }) => body.includes("the worst"));
  assert.ok(worst.at - worstAt <= 20, `after ${worst.at - worstAt} ms`);
  assert.deepEqual([worst.renotify, worst.silent], [true, false]);
  assert.equal(digest(desktop).title, `${5000 - SINGLES_MAX} more: 1 down, ${5000 - SINGLES_MAX - 1} warning`);
});

test("a backlog is not held up by a browser that shows nothing", async () => {
  const desktop = new Desktop();
  desktop.shows = false;
  const tab = desktop.tab();
  const start = desktop.world.clock.now();
  await tab.show(...digested(...storm(1000, 2)));
  assert.ok(desktop.world.clock.now() - start <= 2000);
});

test("the digest is silent unless its worst got worse", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  const manners = [];
  for (const next of [service(0), service(1), service(1), service(3), service(2), host(1), host(2), message()]) {
    await tab.show(...digested(next));
    await desktop.world.clock.advance(DIGEST_EVERY_MS);
    manners.push([digest(desktop).renotify, digest(desktop).silent]);
  }
  const [alert, quiet] = [[true, false], [false, true]];
  assert.deepEqual(manners, [quiet, alert, quiet, alert, alert, quiet, quiet, quiet]);
});

test("the tally goes on in another tab", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab({ language: "de" })];
  await one.show(...storm(SINGLES_MAX), ...digested(service(2)));
  await other.show(service(1), service(1));
  await desktop.world.clock.advance(DIGEST_EVERY_MS);
  assert.equal(digest(desktop).title, "3 weitere: 1 kritisch, 2 Warnungen");
  assert.equal(digest(desktop).silent, true);
});

test("a click on the digest opens the list, and what comes then is counted anew", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  await one.show(...digested(service(2), service(2)));
  await desktop.world.clock.advance(DIGEST_EVERY_MS);
  digest(desktop).click();
  assert.deepEqual(desktop.opened, [["https://monitoring.example/bell/", "_blank", "noopener"]]);
  assert.equal(one.told.at(-1)[1].notification, null);
  await desktop.world.clock.advance(DIGEST_EVERY_MS);
  await other.show(...digested(service(2)));
  assert.equal(digest(desktop).title, "1 more: 1 critical");
  assert.equal(digest(desktop).silent, true, "that bad is known");
});

test("a click on the digest shows the page where that is the list", async () => {
  const desktop = new Desktop();
  const environment = { base: "https://monitoring.example/page/?tab=1#now" };
  for (const listUrl of ["/page/", undefined]) {
    desktop.focused = 0;
    await desktop.tab({ listUrl, environment }).show(...digested(service(2)));
    await desktop.world.clock.advance(DIGEST_EVERY_MS);
    digest(desktop).click();
    assert.deepEqual([desktop.opened, desktop.focused], [[], 1], listUrl);
  }
});

test("a digest that is closed is over; one that goes by itself is not", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(...digested(service(1)));
  await desktop.world.clock.advance(10_000);
  assert.equal(digest(desktop), undefined);
  await tab.show(...digested(service(1)));
  assert.equal(digest(desktop).title, "2 more: 2 warning");
  await desktop.world.clock.advance(1000);
  digest(desktop).close();
  await desktop.world.clock.advance(0);
  await tab.show(...digested(service(1)));
  assert.equal(digest(desktop).title, "1 more: 1 warning");
  await desktop.world.clock.advance(WINDOW_MS);
  await tab.show(...digested(service(1)));
  assert.deepEqual([digest(desktop).title, digest(desktop).silent], ["1 more: 1 warning", false]);
});

test("what is counted is drawn before the tab goes", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(...digested(service(1), service(1), service(1)));
  assert.equal(digest(desktop).title, "1 more: 1 warning");
  for (let times = 0; times < 2; times++) tab.events.dispatchEvent(new Event("pagehide"));
  assert.equal(digest(desktop).title, "3 more: 3 warning");
  assert.deepEqual([digests(desktop).length, desktop.last.silent], [2, true], "once");
});

test("a digest with problems stays where problems stay", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  tab.notifier.prefs.problemsStay = true;
  await tab.show(...digested(service(0)));
  assert.equal(digest(desktop).requireInteraction, false);
  await tab.show(...digested(service(1)));
  await desktop.world.clock.advance(60_000);
  assert.equal(digest(desktop).requireInteraction, true);
});

test("a clock that was set back ends a digest, and does not keep it for ever", async () => {
  const desktop = new Desktop();
  let back = 0;
  const tab = desktop.tab({ environment: { wallClock: () => 1e12 + desktop.world.clock.now() - back } });
  await tab.show(...storm(SINGLES_MAX + 3));
  back = 3_600_000;
  await tab.show(service(1));
  assert.equal(desktop.last.tag, "bellwire:service:h1:s1");
});
