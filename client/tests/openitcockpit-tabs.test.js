// The helper for old tabs: V1's page keeps one socket that lives, V2's page is told of ends only as its retry wants
// them, and nobody else notices that it is there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { OldTab, PUSH } from "./kit/oldtab.js";

const V2 = [`${PUSH}?userId=7&browserUuid=b1`, ["access_token", "key"]];
const greeting = (uuid) => ({ type: "connection", message: "hello", data: { uuid } });
const say = (socket, message) => socket.send(JSON.stringify(message));

/** A V1 page that is connected and greeted. */
function v1() {
  const tab = new OldTab().load();
  const page = tab.open(PUSH);
  tab.socket.open();
  tab.socket.say(greeting("first"));
  page.seen.length = 0;
  return { tab, ...page };
}

function v2() {
  const tab = new OldTab().load();
  const page = tab.open(...V2);
  tab.socket.open();
  page.seen.length = 0;
  return { tab, ...page };
}

// --- V1 ---

test("V1: a page is greeted again after each end, and sees neither open nor close", async () => {
  const { tab, socket, seen } = v1();
  for (const end of [(real) => real.breaks(), (real) => real.closeFrame(1001, "drain")]) {
    end(tab.socket);
    assert.deepEqual(seen.splice(0), ["error"], "told once that it is not connected");
    await tab.nextSocket();
    tab.socket.open();
    tab.socket.say(greeting("next"));
    assert.deepEqual(seen.splice(0), [greeting("next")]);
    say(socket, { task: "register", uuid: "next" });
    assert.deepEqual(tab.socket.sent, [{ task: "register", uuid: "next" }]);
    await tab.clock.advance(11_000);
  }
  assert.equal(tab.sockets.length, 3);
  assert.equal(tab.socket.url, PUSH);
  assert.equal(tab.socket.protocols, undefined);
});

test("V1: attempts become rarer up to a minute, and quick again after a steady time", async () => {
  const { tab, seen } = v1();
  await tab.clock.advance(10_000);
  tab.random = 0.999;
  const waits = [];
  const next = async () => {
    waits.push(Math.round((await tab.nextSocket()) / 1000));
  };
  for (let attempt = 0; attempt < 8; attempt++) {
    tab.socket.breaks();
    await next();
  }
  assert.deepEqual(waits.splice(0), [2, 4, 8, 16, 32, 60, 60, 60]);
  tab.random = 0;
  tab.socket.breaks();
  await next();
  assert.deepEqual(waits.splice(0), [0]);
  tab.random = 0.999;
  tab.socket.open();
  await tab.clock.advance(9_000);
  tab.socket.breaks();
  await next();
  assert.deepEqual(waits.splice(0), [60], "it was open, but not for long");
  tab.socket.open();
  await tab.clock.advance(10_000);
  tab.socket.breaks();
  await next();
  assert.deepEqual(waits, [2]);
  assert.deepEqual(seen, ["error", "error", "error"], "once for each loss");
});

test("V1: a network that is back and a page that is looked at end the wait, not in all browsers at once", async () => {
  const { tab } = v1();
  tab.random = 0.999;
  for (const event of [() => tab.online(), () => tab.look("visible")]) {
    tab.socket.breaks();
    const count = tab.sockets.length;
    tab.look("hidden");
    assert.equal(tab.sockets.length, count);
    event();
    await tab.clock.advance(900);
    event();
    assert.equal(tab.sockets.length, count);
    await tab.clock.advance(100);
    assert.equal(tab.sockets.length, count + 1, "one attempt at a time");
  }
  await tab.clock.advance(20_000);
  assert.equal(tab.sockets.length, 3, "the wait is over for good");
});

test("V1: a first connection that fails is tried again, and opens once", async () => {
  const tab = new OldTab().load();
  const { socket, seen } = tab.open(PUSH);
  assert.throws(() => socket.send("{}"), { name: "InvalidStateError" });
  tab.socket.breaks();
  assert.equal(socket.readyState, 0);
  await tab.clock.advance(2000);
  await tab.clock.advance(30_000);
  assert.equal(tab.sockets[1].asked, 1005, "no answer at all is a failure too");
  await tab.clock.advance(4000);
  tab.socket.open();
  assert.equal(socket.readyState, 1);
  assert.deepEqual(seen, ["error", "open"]);
});

test("V1: what is said while there is no connection waits, but not keep-alives and registrations", async () => {
  const { tab, socket } = v1();
  tab.socket.breaks();
  say(socket, { task: "keepAlive" });
  say(socket, { task: "register" });
  for (let number = 0; number < 20; number++) say(socket, { task: "testMessage", number });
  await tab.clock.advance(2000);
  assert.equal(socket.readyState, 1);
  tab.socket.open();
  const wanted = Array.from({ length: 16 }, (_, i) => ({ task: "testMessage", number: i + 4 }));
  assert.deepEqual(tab.socket.sent, wanted);
});

test("V1: a page's own close is final", async () => {
  const { tab, socket, seen } = v1();
  socket.close(3001, "enough");
  assert.equal(tab.socket.asked, 3001);
  assert.equal(socket.readyState, 2);
  tab.socket.closeFrame(3001);
  assert.equal(socket.readyState, 3);
  const other = v1();
  other.tab.socket.breaks();
  other.socket.close();
  await other.tab.clock.advance(100_000);
  assert.deepEqual([seen, other.seen], [["close 3001 clean"], ["error", "close 1005 clean"]]);
  assert.deepEqual([tab.sockets.length, other.tab.sockets.length], [1, 1]);
});

test("V1: a key that counts no longer ends in a failure that the page sees", async () => {
  const { tab, seen, socket } = v1();
  for (let refused = 1; refused <= 8; refused++) {
    assert.equal(socket.readyState, 1);
    tab.socket.closeFrame(1008, "bad_key");
    if (refused === 8) break;
    await tab.nextSocket();
    tab.socket.open();
    tab.socket.say(greeting("again"));
  }
  await tab.clock.advance(100_000);
  assert.deepEqual(seen.slice(-2), ["error", "close 1008 unclean"]);
  assert.deepEqual([socket.readyState, tab.sockets.length], [3, 8]);
  assert.match(tab.warnings.join(), /Load the page again/);
});

test("V1: a server that says something is no refusal, whatever it says at the end", async () => {
  const { tab, seen } = v1();
  for (let round = 0; round < 20; round++) {
    if (round % 7 === 6) tab.socket.say({ type: "keepAlive", message: "Pong", data: [] });
    tab.socket.closeFrame(1008, "bad_key");
    await tab.nextSocket();
    tab.socket.open();
    tab.socket.say(greeting("again"));
  }
  for (let round = 0; round < 20; round++) {
    tab.socket.closeFrame(1001, "drain");
    await tab.nextSocket();
    tab.socket.open();
  }
  assert.ok(!seen.some((one) => String(one).startsWith("close")));
});

test("V1: a connection that answers no keep-alive is replaced, and what it still says is nobody's", async () => {
  const { tab, socket, seen } = v1();
  const [old] = tab.sockets;
  say(socket, { task: "keepAlive" });
  await tab.clock.advance(19_000);
  old.say({ type: "keepAlive", message: "Pong", data: [] });
  await tab.clock.advance(60_000);
  assert.equal(tab.sockets.length, 1, "answered in time");
  say(socket, { task: "keepAlive" });
  await tab.clock.advance(10_000);
  say(socket, { task: "keepAlive" });
  await tab.clock.advance(10_000);
  assert.equal(old.asked, 1005);
  await tab.clock.advance(2000);
  assert.equal(tab.sockets.length, 2);
  seen.length = 0;
  old.say(greeting("late"));
  old.breaks();
  assert.deepEqual(seen, []);
  assert.equal(tab.sockets.length, 2);
});

// --- V2 ---

test("V2: a closing handshake reaches the page as a broken connection", () => {
  for (const code of [1000, 1001, 1008, 1011]) {
    const { tab, socket, seen } = v2();
    assert.equal(socket, tab.socket, "the page has the browser's own socket");
    tab.socket.closeFrame(code);
    assert.deepEqual(seen, ["error", "close 1006 unclean"]);
    assert.equal(socket.readyState, 3);
  }
  const { tab, seen } = v2();
  tab.socket.breaks();
  assert.deepEqual(seen, ["error", "close 1006 unclean"], "once");
});

test("V2: the page's own close stays a closing handshake", () => {
  const { tab, socket, seen } = v2();
  socket.close(1000);
  tab.socket.closeFrame(1000);
  assert.deepEqual([tab.socket.asked, seen], [1000, ["close 1000 clean"]]);
});

test("V2: failed attempts become rarer, and the page hears of each", async () => {
  const tab = new OldTab().load();
  tab.random = 0.999;
  const waits = [];
  for (let attempt = 0; attempt < 7; attempt++) {
    const { seen } = tab.open(...V2);
    tab.socket.breaks();
    assert.deepEqual(seen, []);
    const since = tab.clock.now();
    while (seen.length === 0) await tab.clock.advance(100);
    waits.push(Math.round((tab.clock.now() - since) / 1000));
    assert.deepEqual(seen, ["error", "close 1006 unclean"]);
  }
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60]);
  const { seen } = tab.open(...V2);
  tab.socket.breaks();
  tab.online();
  await tab.clock.advance(1000);
  assert.deepEqual(seen, ["error", "close 1006 unclean"], "the network is back");
  const other = tab.open(...V2);
  tab.socket.breaks();
  other.socket.close();
  other.socket.close();
  await tab.clock.advance(0);
  await tab.clock.advance(100_000);
  assert.deepEqual(other.seen, ["error", "close 1006 unclean"], "once, and soon after the page has given up");
  assert.deepEqual(tab.sockets.every(({ protocols }) => protocols[1] === "key"), true);
});

test("V2: a connection that answers no keep-alive ends for the page", async () => {
  const { tab, socket, seen } = v2();
  say(socket, { type: "KeepAlive", message: "KeepAlive" });
  await tab.clock.advance(19_000);
  tab.socket.say({ type: "KeepAlive", message: "Pong", payload: null });
  await tab.clock.advance(60_000);
  assert.equal(seen.length, 1);
  say(socket, { type: "KeepAlive", message: "KeepAlive" });
  await tab.clock.advance(20_000);
  assert.deepEqual(seen.slice(1), ["error", "close 1006 unclean"]);
  assert.equal(socket.readyState, 3);
  tab.socket.say({ type: "late" });
  tab.socket.closeFrame(1005);
  assert.equal(seen.length, 3);
});

// --- others ---

test("sockets of others are the browser's own", () => {
  const tab = new OldTab().load();
  const { WebSocket } = tab.window;
  for (const given of [
    ["wss://monitoring.example/query_log"],
    ["wss://other.example/push_notifications"],
    ["wss://monitoring.example:8443/push_notifications"],
    [PUSH, ["bellwire.v1", "key"]],
    [PUSH, "chat"],
  ]) {
    const socket = new WebSocket(...given);
    assert.equal(socket, tab.socket);
    assert.deepEqual(Object.keys(socket), Object.keys(new tab.Native(...given)), "nothing is added");
    assert.equal(Object.getPrototypeOf(socket), WebSocket.prototype);
    assert.equal(socket.constructor, WebSocket);
  }
  assert.equal(WebSocket.prototype, tab.Native.prototype);
  assert.deepEqual([WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED], [0, 1, 2, 3]);
  class Own extends WebSocket {}
  const own = new Own(PUSH);
  assert.deepEqual([own, own instanceof Own, own.constructor], [tab.socket, true, Own]);
  assert.throws(() => new WebSocket("http://["), TypeError);
  const pushes = [new WebSocket(PUSH), new WebSocket("/push_notifications"), new WebSocket(...V2)];
  for (const socket of pushes) {
    assert.ok(socket instanceof WebSocket);
    assert.equal(socket.constructor, WebSocket);
    assert.equal(socket.readyState, WebSocket.CONNECTING);
  }
});

test("a page's framework sees each handler that the page sets", (t) => {
  const tab = new OldTab().load();
  const seen = [];
  const { prototype } = tab.window.EventTarget;
  const { addEventListener } = prototype;
  prototype.addEventListener = function (name, listener) {
    seen.push(name);
    return addEventListener.call(this, name, listener);
  };
  t.after(() => (prototype.addEventListener = addEventListener));
  const socket = new tab.window.WebSocket(PUSH);
  seen.length = 0;
  const [first, second] = [() => assert.fail("replaced"), () => seen.push("handled")];
  socket.onopen = first;
  socket.onopen = second;
  assert.equal(socket.onopen, second);
  tab.socket.open();
  socket.onopen = null;
  assert.equal(socket.onopen, null);
  assert.deepEqual(seen, ["open", "open", "handled"]);
});

test("where the helper fails the page has what the browser gives it", () => {
  for (const without of ["EventTarget", "performance", "WebSocket", "CloseEvent", "URL"]) {
    const tab = new OldTab({ without: [without] });
    const before = tab.window.WebSocket;
    try {
      tab.load();
    } catch {
      assert.equal(tab.window.WebSocket, before, `without ${without}`);
    }
    if (without === "URL") {
      const { seen } = tab.open(PUSH);
      tab.socket.open();
      tab.socket.closeFrame(1001);
      assert.deepEqual(seen, ["open", "close 1001 clean"]);
      assert.match(tab.warnings.join(), /own WebSocket/);
    }
  }
});

test("included twice it works once", () => {
  const tab = new OldTab().load();
  const { WebSocket } = tab.window;
  assert.equal(tab.load().window.WebSocket, WebSocket);
});
