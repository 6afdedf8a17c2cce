// A server for one browser, as docs/protocol.md promises it, behind a network that loses and delays.

import assert from "node:assert/strict";

const LATENCY_MAX_MS = 200;
const PING_EVERY_MS = 25_000;
const PONG_WITHIN_MS = 12_000;
const DRAIN_MS = 1500;

const offsetOf = (cursor) => Number(cursor.split(":")[1]);

export class FakeServer {
  /** Offsets of the log are indices. */
  ids = [];
  /** How many of them the browser has proved. */
  confirmed = 0;
  sessions = [];

  /**
   * @param {import("./world.js").World} world
   * @param {(id: string) => boolean} isShown whether a page of the browser has shown it
   */
  constructor(world, isShown) {
    this.world = world;
    this.isShown = isShown;
  }

  publish() {
    this.ids.push(`n${this.ids.length}`);
    this.feed();
  }

  /** The same notification at another place of the log, as after a crash of who wrote it. */
  publishAgain(back) {
    const id = this.ids[this.ids.length - 1 - back];
    if (!id) return;
    this.ids.push(id);
    this.feed();
  }

  accept(socket) {
    const session = new Session(this, socket);
    session.down(() => {
      if (socket.readyState !== 0) return;
      this.sessions.push(session);
      socket.open();
    });
  }

  /** Only the oldest that was announced is sent anything, as with several tabs of a browser. */
  feed() {
    const owner = this.sessions.find((session) => session.announced);
    if (!owner || owner.draining) return;
    for (owner.sent = Math.max(owner.sent, this.confirmed); owner.sent < this.ids.length; owner.sent++) {
      const offset = owner.sent;
      owner.down(() => owner.socket.notify(offset, { id: this.ids[offset], cursor: `log-0:${offset}` }));
    }
  }

  /** It may forget proofs by that, as a log that lost its last records. */
  crash(forgotten) {
    this.confirmed = Math.max(0, this.confirmed - forgotten);
    for (const session of [...this.sessions]) session.close(1006);
  }

  claims(cursor) {
    const count = offsetOf(cursor) + 1;
    const early = this.ids.slice(0, count).filter((id) => !this.isShown(id));
    assert.deepEqual(early, [], `${cursor} is said to be shown`);
    return count;
  }

  confirm(count) {
    this.confirmed = Math.max(this.confirmed, count);
    this.feed();
  }
}

class Session {
  announced = false;
  draining = false;
  /** Neither side hears the other, and nobody tells them. */
  dead = false;
  sent = 0;
  #downAt = 0;
  #upAt = 0;
  #lost = false;
  #pongDue = null;

  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    this.clock = server.world.clock;
    socket.onSend = (message) => this.#up(() => this.#on(message));
    socket.onPageClose = () => this.#up(() => this.#gone());
    this.#ping();
  }

  down(task) {
    this.#downAt = this.#later(this.#downAt, () => !this.#lost && task());
  }

  /** What is under way still comes, then the close; or nothing of it comes. */
  close(code, loses = false) {
    this.#lost = loses;
    if (loses) this.clock.setTimeout(() => this.socket.end(code), this.server.world.random() * LATENCY_MAX_MS);
    else this.down(() => this.socket.end(code));
    this.#gone();
  }

  drain() {
    if (this.draining) return;
    this.draining = true;
    this.down(() => this.socket.say({ op: "drain", after_ms: DRAIN_MS }));
    this.clock.setTimeout(() => this.#isOpen() && this.close(4000), DRAIN_MS);
  }

  #up(task) {
    this.#upAt = this.#later(this.#upAt, () => this.#isOpen() && task());
  }

  #later(after, task) {
    const at = Math.max(after, this.clock.now() + this.server.world.random() * LATENCY_MAX_MS);
    this.clock.setTimeout(() => !this.dead && task(), at - this.clock.now());
    return at;
  }

  #isOpen() {
    return this.server.sessions.includes(this);
  }

  #gone() {
    this.server.sessions = this.server.sessions.filter((other) => other !== this);
    this.server.feed();
  }

  #on(message) {
    switch (message.op) {
      case "hello":
        assert.ok(!this.announced, "one hello");
        this.announced = true;
        if (message.cursor) this.server.confirm(this.server.claims(message.cursor));
        this.down(() => this.socket.welcome());
        return this.server.feed();
      case "ack":
        assert.ok(this.announced, "hello first");
        return this.server.confirm(Math.min(this.server.claims(message.cursor), this.sent));
      case "ping":
        return this.down(() => this.socket.say({ op: "pong" }));
      case "pong":
        this.clock.clearTimeout(this.#pongDue);
        this.#pongDue = null;
        return;
      default:
        assert.fail(`unexpected ${message.op}`);
    }
  }

  #ping() {
    this.clock.setTimeout(() => {
      if (!this.#isOpen()) return;
      this.down(() => this.socket.say({ op: "ping" }));
      this.#pongDue ??= this.clock.setTimeout(() => this.#isOpen() && this.close(4001), PONG_WITHIN_MS);
      this.#ping();
    }, PING_EVERY_MS);
  }
}
