import assert from "node:assert/strict";
import { test } from "node:test";

import { LANGUAGES, wordsOf } from "../language.js";
import { iconOf, linkOf } from "../links.js";
import { host, message, service } from "./kit/desktop.js";

const BASE = "https://monitoring.example/page/";
const link = (notification, links) => linkOf(notification, links, BASE)?.replace("https://monitoring.example", "");

test("hosts and services lead to openITCOCKPIT's pages", () => {
  assert.equal(link(host(1)), "/a/hosts/browser/h1");
  assert.equal(link(service(1)), "/a/services/browser/s1");
  assert.equal(link(service(1), null), undefined);
  assert.equal(link(service(1), {}), undefined);
  assert.equal(link(service(1), { service: "x?h={host}&s={service}" }), "/page/x?h=h1&s=s1");
  assert.equal(link(host(1), { host: "javascript:alert('{host}')" }), undefined);
});

test("ids are encoded, and those that are missing or would lead elsewhere lead nowhere", () => {
  const named = (id) => link(host(1, { host: { id, name: "x" } }));
  assert.equal(named("a/../b?c#d e"), "/a/hosts/browser/a%2F..%2Fb%3Fc%23d%20e");
  assert.equal(named("$&ü"), "/a/hosts/browser/%24%26%C3%BC");
  for (const id of ["", ".", "..", "\ud800"]) assert.equal(named(id), undefined, id);
  assert.equal(link(host(1, { host: undefined })), undefined);
  assert.equal(link(service(1, { service: undefined })), undefined);
  assert.equal(link(message()), undefined);
});

test("an address of its own goes before, if it is of the web", () => {
  assert.equal(link(message({ url: "graph/7" })), "/page/graph/7");
  assert.equal(link(host(1, { url: "http://other.example/" })), "http://other.example/");
  const bad = ["javascript:alert(1)", " javascript:alert(1)", "data:text/html,x", "blob:x", "http://", "file:///x"];
  for (const url of bad) {
    assert.equal(link(host(1, { url })), "/a/hosts/browser/h1", url);
    assert.equal(link(message({ url })), undefined, url);
  }
});

test("icons are those of the states, and openITCOCKPIT's become ours", () => {
  const icon = (notification) => iconOf(notification, "icons/", BASE);
  const theirs = (name) => `/img/push_notifications/wh/${name}.png`;
  assert.equal(icon(host(1)), "icons/host-down.png");
  assert.equal(icon(service(3, { icon: theirs("ServicePushIconUNKNOWN") })), "icons/service-unknown.png");
  assert.equal(icon(message({ icon: theirs("ServicePushIconUNKNOWN") })), "icons/service-unknown.png");
  assert.equal(icon(message({ icon: theirs("HostPushIconNONE") })), undefined);
  assert.equal(icon(message()), undefined);
  assert.equal(icon(message({ icon: "/x.png" })), "https://monitoring.example/x.png");
  assert.equal(icon(message({ icon: "data:image/png,x" })), undefined);
  assert.equal(icon(host(1, { icon: "javascript:x" })), "icons/host-down.png");
  assert.equal(icon(host(1, { icon: "/x.png" })), "https://monitoring.example/x.png");
});

test("the language is what is asked for, else what the browser prefers", () => {
  assert.equal(wordsOf("de", ["en"]).lang, "de");
  assert.equal(wordsOf("de-AT", []).lang, "de");
  assert.equal(wordsOf(undefined, ["fr", "DE-ch", "en"]).lang, "de");
  assert.equal(wordsOf("constructor", ["fr"]).lang, "en");
});

/** What there is, without what it says. */
function shape(value) {
  if (typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, shape(value[key])]));
}

test("all languages have the same words, and say none in English", () => {
  for (const [name, words] of Object.entries(LANGUAGES)) {
    assert.deepEqual(shape(words), shape(LANGUAGES.en), name);
    assert.equal(words.lang, name);
    const texts = Object.values(words.advice);
    assert.ok(texts.every((text) => text.trim().length > 0));
    if (name !== "en") assert.ok(!texts.some((text) => Object.values(LANGUAGES.en.advice).includes(text)), name);
    for (const state of ["down", "critical", "unreachable", "unknown", "warning", "message", "other", "ok", "up"]) {
      for (const count of [1, 2]) assert.match(words.counted(count, state), new RegExp(`^${count} \\p{L}+`, "u"));
    }
  }
  assert.equal(LANGUAGES.de.counted(1, "message"), "1 Nachricht");
  assert.equal(LANGUAGES.de.counted(1, "warning"), "1 Warnung");
});
