import assert from "node:assert/strict";
import { test } from "node:test";

import { HANDED_OVER_MS, PERMISSION_EVERY_MS, SHOW_WITHIN_MS, STAYS_MS } from "../notifier.js";
import { Desktop, host, message, service, storm } from "./kit/desktop.js";
import { settle } from "./kit/world.js";

test("a notification has its title, its text, and the icon of its state", async () => {
  const desktop = new Desktop();
  await desktop.tab().show(service(2, { body: "95 % used" }));
  const { title, body, icon, tag, lang } = desktop.last;
  assert.deepEqual([title, body, lang], ["web1/disk is CRITICAL", "95 % used", "en"]);
  assert.equal(icon, "https://monitoring.example/client/icons/service-critical.png");
  assert.equal(tag, "bellwire:service:h1:s1");
});

test("a newer state of an object takes the place of the older, and alerts only when it got worse", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(service(1), service(2), service(3), service(1), service(2));
  assert.deepEqual(desktop.titles, ["web1/disk is CRITICAL"]);
  assert.deepEqual(desktop.made.map(({ renotify }) => renotify), [true, true, false, false, true]);
  assert.ok(desktop.made.every(({ silent }) => !silent));
});

test("hosts are down before they are unreachable", async () => {
  const desktop = new Desktop();
  await desktop.tab().show(host(2), host(1), host(2));
  assert.deepEqual(desktop.made.map(({ renotify }) => renotify), [true, true, false]);
});

test("an acknowledgement never alerts, and makes no problem smaller", async () => {
  const desktop = new Desktop();
  await desktop.tab().show(service(2), service(1, { type: "ACKNOWLEDGEMENT" }), service(2));
  assert.deepEqual(desktop.made.map(({ renotify }) => renotify), [true, false, false]);
});

test("different objects, and each message, stand beside each other", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(host(1), service(1), service(1, { service: { id: "s2", name: "x" } }), message(), message());
  assert.equal(desktop.visible.size, 5);
  await desktop.world.clock.advance(40_000);
  await tab.show(service(1, { service: undefined }), service(1, { host: { id: "", name: "x" } }));
  assert.equal(desktop.visible.size, 2);
});

test("it closes by itself", async () => {
  const desktop = new Desktop();
  await desktop.tab().show(service(2));
  await desktop.world.clock.advance(STAYS_MS - 200);
  assert.equal(desktop.visible.size, 1);
  await desktop.world.clock.advance(200);
  assert.equal(desktop.visible.size, 0);
  assert.equal(desktop.world.clock.waiting, 0);
});

for (const hears of [true, false]) {
  test(`what is replaced does not close the newer one later${hears ? "" : ", unheard of too"}`, async () => {
    const desktop = new Desktop();
    desktop.hears = hears;
    const [one, other] = [desktop.tab(), desktop.tab()];
    await one.show(service(1));
    await desktop.world.clock.advance(5000);
    await one.show(service(2));
    await desktop.world.clock.advance(5000);
    assert.deepEqual(desktop.titles, ["web1/disk is CRITICAL"]);
    // Not every browser says that it is replaced.
    desktop.last.onclose = null;
    await other.show(service(3));
    await desktop.world.clock.advance(5000);
    assert.deepEqual(desktop.titles, ["web1/disk is UNKNOWN"]);
    assert.deepEqual([...one.names(), ...other.names()], ["shown", "shown", "shown"]);
    await desktop.world.clock.advance(5000);
    assert.equal(desktop.visible.size, 0);
  });
}

test("what another tab replaces at once was not suppressed", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  desktop.shows = false;
  await one.show(service(1));
  // Not every browser says that it is replaced.
  desktop.last.onclose = null;
  await other.show(service(2));
  await desktop.world.clock.advance(SHOW_WITHIN_MS);
  assert.deepEqual([one.names(), other.names()], [[], ["suppressed"]]);
});

test("what is remembered of objects has a bound", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  tab.notifier.prefs.problemsStay = true;
  for (let at = 0; at < 100; at++) {
    await tab.show(host(1, { host: { id: `h${at}`, name: "x" } }));
    await desktop.world.clock.advance(10_000);
  }
  assert.equal(Object.keys(JSON.parse(desktop.world.storage.getItem("bellwireShown"))).length, 64);
  assert.equal(desktop.visible.size, 100);
});

test("another tab's notification is worse, and alerts only then", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  await one.show(service(1));
  await other.show(service(1), service(2));
  assert.deepEqual(desktop.made.map(({ renotify }) => renotify), [true, false, true]);
});

test("problems stay where that is wanted, until they are over", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  other.notifier.prefs.problemsStay = true;
  await one.show(service(2), message(), service(1, { type: "ACKNOWLEDGEMENT", service: { id: "s2", name: "x" } }));
  assert.deepEqual(desktop.made.map(({ requireInteraction }) => requireInteraction), [true, false, false]);
  await desktop.world.clock.advance(60_000);
  assert.deepEqual(desktop.titles, ["web1/disk is CRITICAL"]);
  await other.show(service(0));
  assert.deepEqual(desktop.titles, ["web1/disk is OK"]);
  assert.equal(desktop.last.silent, true);
  await desktop.world.clock.advance(STAYS_MS);
  assert.equal(desktop.visible.size, 0);
});

test("a recovery that is only counted closes the problem too, in whichever tab", async () => {
  for (const shower of [0, 1]) {
    const desktop = new Desktop();
    const tabs = [desktop.tab(), desktop.tab()];
    tabs[0].notifier.prefs.problemsStay = true;
    await tabs[0].show(service(2));
    await tabs[shower].show(service(0, { digested: true }));
    assert.deepEqual(desktop.titles, ["1 more: 1 OK"]);
  }
});

test("what the person closed is gone: the same state alerts anew", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(service(2));
  await desktop.world.clock.advance(1000);
  desktop.last.close();
  await settle();
  await tab.show(service(2));
  assert.equal(desktop.last.renotify, true);
  assert.deepEqual(tab.names(), ["shown", "shown"]);
});

test("a click opens the page of the object in a new tab", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(service(2), host(1));
  desktop.made[0].click();
  desktop.made[1].click();
  const base = "https://monitoring.example/a";
  assert.deepEqual(desktop.opened, [
    [`${base}/services/browser/s1`, "_blank", "noopener"],
    [`${base}/hosts/browser/h1`, "_blank", "noopener"],
  ]);
  assert.ok(desktop.made.every(({ prevented }) => prevented));
  assert.equal(desktop.visible.size, 0, "clicked is done");
  assert.equal(tab.told.at(-1)[1].url, `${base}/hosts/browser/h1`);
  assert.equal(desktop.focused, 0);
});

test("a click uses one tab again where that is wanted, but not for the pages of others", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  tab.notifier.prefs.reuseTab = true;
  await tab.show(host(1));
  desktop.last.click();
  assert.deepEqual(desktop.opened, [["https://monitoring.example/a/hosts/browser/h1", "bellwire-target"], "focus"]);
  assert.equal(desktop.focused, 1);
  await tab.show(host(1, { url: "https://wiki.example/" }));
  desktop.last.click();
  assert.deepEqual(desktop.opened.at(-1), ["https://wiki.example/", "_blank", "noopener"]);
});

test("a click opens a page that differs from this one behind ? or # only", async () => {
  for (const [here, there] of [
    ["/index.php?page=bell", "/index.php?page=host&id={host}"],
    ["/#!/dashboard", "/#!/hosts/{host}"],
  ]) {
    const desktop = new Desktop();
    const environment = { base: `https://monitoring.example${here}` };
    await desktop.tab({ links: { host: there }, environment }).show(host(1), message({ url: here }));
    for (const made of desktop.made) made.click();
    const url = `https://monitoring.example${there.replace("{host}", "h1")}`;
    assert.deepEqual([desktop.opened, desktop.focused], [[[url, "_blank", "noopener"]], 1]);
  }
});

test("a click on what leads nowhere shows the page", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  await tab.show(message({ url: "javascript:alert(1)" }), host(1, { host: undefined }));
  for (const made of desktop.made) made.click();
  assert.deepEqual([desktop.opened, desktop.focused], [[], 2]);
  assert.equal(tab.told.at(-1)[1].url, null);
});

test("the page is told where the browser does not say that it shows it", async () => {
  const desktop = new Desktop();
  desktop.shows = false;
  const tab = desktop.tab();
  const start = desktop.world.clock.now();
  await tab.show(message());
  assert.equal(desktop.world.clock.now() - start, HANDED_OVER_MS);
  assert.equal(tab.notifier.suppressed, null);
  await desktop.world.clock.advance(SHOW_WITHIN_MS);
  assert.deepEqual(tab.told.map(([name, { reason }]) => [name, reason]), [["suppressed", "no_show"]]);
  assert.match(tab.notifier.advice, /do not disturb/);
  desktop.shows = true;
  await tab.show(message());
  assert.deepEqual([tab.notifier.suppressed, tab.notifier.advice], [null, null]);
});

test("the page is told where it fails, or is closed at once", async () => {
  for (const [event, reason] of [["onerror", "error"], ["onclose", "closed"]]) {
    const desktop = new Desktop();
    desktop.shows = false;
    const tab = desktop.tab();
    const shown = tab.notifier.show(message());
    await settle();
    desktop.last[event]({});
    await shown;
    assert.equal(tab.notifier.suppressed, reason);
    await desktop.world.clock.advance(10_000);
    assert.deepEqual(tab.names(), ["suppressed"]);
  }
});

test("where it is not allowed nothing is shown, and nothing waits", async () => {
  for (const permission of ["default", "denied"]) {
    const desktop = new Desktop();
    desktop.permission = permission;
    const tab = desktop.tab();
    await tab.show(service(2), service(0));
    assert.deepEqual([desktop.made, tab.told, desktop.world.clock.waiting], [[], [], 0]);
  }
});

test("permission is what the browser says, and has words where it is missing", () => {
  const desktop = new Desktop();
  const of = (environment) => {
    const { permission, advice } = desktop.tab({ environment }).notifier;
    return [permission, advice];
  };
  assert.deepEqual(of({}), ["granted", null]);
  assert.deepEqual(of({ isSecure: false })[0], "insecure");
  assert.match(of({ isSecure: false })[1], /https/);
  assert.deepEqual(of({ Notification: null })[0], "unsupported");
  desktop.permission = "denied";
  const hints = ["Chrome/1 Safari/1", "Firefox/1", "Version/1 Safari/1", ""].map((userAgent) => of({ userAgent })[1]);
  assert.equal(new Set(hints).size, 4);
  assert.ok(hints.every((hint) => /contact/.test(hint)));
  assert.match(hints[2], /Safari/);
});

test("permission is asked for once, and the page is told", async () => {
  const desktop = new Desktop();
  desktop.permission = "default";
  const tab = desktop.tab();
  assert.equal(await tab.notifier.ask(), "granted");
  assert.deepEqual(tab.told, [["permission", "granted"]]);
  assert.equal(desktop.made.length, 0);
  assert.equal(await tab.notifier.ask(), "granted");
  assert.equal(tab.told.length, 1);
});

test("a browser where pages may make none is found out, by asking or by showing", async () => {
  const desktop = new Desktop();
  desktop.fails = new TypeError("Illegal constructor");
  const showing = desktop.tab();
  await showing.show(message());
  desktop.permission = "default";
  const asking = desktop.tab();
  assert.equal(await asking.notifier.ask(), "unsupported");
  for (const tab of [asking, showing]) assert.deepEqual(tab.told, [["permission", "unsupported"]]);
  assert.equal(desktop.permission, "default", "nobody was asked");
});

test("a permission that changes in the settings is noticed", async () => {
  const desktop = new Desktop();
  const status = { onchange: null };
  const told = desktop.tab({ environment: { permissions: { query: async () => status } } });
  const looking = desktop.tab({ environment: { permissions: { query: async () => Promise.reject(new Error()) } } });
  await settle();
  desktop.permission = "denied";
  status.onchange();
  assert.deepEqual(told.told, [["permission", "denied"]]);
  looking.events.dispatchEvent(new Event("visibilitychange"));
  assert.deepEqual(looking.told, [["permission", "denied"]]);
});

test("a storm asks for the permission once a second, and notices where it goes", async () => {
  const desktop = new Desktop();
  const tab = desktop.tab();
  desktop.asked = 0;
  await tab.show(...storm(100));
  assert.equal(desktop.asked, 1);
  const count = desktop.made.length;
  desktop.permission = "denied";
  await desktop.world.clock.advance(PERMISSION_EVERY_MS);
  await tab.show(...storm(100));
  assert.deepEqual([desktop.asked, desktop.made.length], [2, count]);
  assert.deepEqual(tab.told.at(-1), ["permission", "denied"]);
});

test("settings are the same in all tabs, and outlive them", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  one.notifier.prefs.problemsStay = true;
  await settle();
  const whole = { problemsStay: true, reuseTab: false };
  for (const tab of [one, other]) assert.deepEqual(tab.told, [["prefs", whole]]);
  assert.deepEqual({ ...desktop.tab().notifier.prefs }, whole);
});

test("a storage that is forbidden or damaged takes nothing away", async () => {
  const damaged = '{"bellwire:message::x":7,"came":3,"counts":null,"at":1000000000000}';
  for (const text of ["{", "null", "7", '"x"', "[1]", damaged, '{"at":1e12,"worst":3}']) {
    const desktop = new Desktop();
    for (const name of ["bellwireShown", "bellwirePrefs", "bellwireDigest"]) desktop.world.storage.setItem(name, text);
    const tab = desktop.tab();
    await tab.show(message({ id: "x" }), service(2), message({ digested: true }));
    assert.equal(desktop.visible.size, 3, text);
  }
  const desktop = new Desktop();
  desktop.world.storage.broken = true;
  const tab = desktop.tab();
  tab.notifier.prefs.problemsStay = true;
  await tab.show(service(2), service(1));
  assert.deepEqual(desktop.made.map(({ renotify }) => renotify), [true, false]);
  assert.equal(desktop.last.requireInteraction, true);
});

test("a notifier that is closed hears nothing", async () => {
  const desktop = new Desktop();
  const [one, other] = [desktop.tab(), desktop.tab()];
  one.notifier.close();
  other.notifier.prefs.reuseTab = true;
  await settle();
  assert.deepEqual(one.told, []);
});
