import assert from "node:assert/strict";
import { test } from "node:test";

import { OPEN_MS, PING_WITHIN_MS, SelfCheck } from "../panel/check.js";

const GOOD = {
  secure: true,
  permission: "granted",
  status: { state: "connected", reason: null },
  transport: "websocket",
  pings: 1,
  openMs: OPEN_MS,
  tabs: 1,
};

/** A browser in which all is well, but for what a test makes of it. */
class World {
  ms = 0;
  asked = 0;
  canAsk = true;

  constructor(facts = {}) {
    this.now_ = { ...GOOD, ...facts };
    this.check = new SelfCheck({
      facts: () => this.now_,
      now: () => this.ms,
      test: () => {
        if (this.canAsk) this.asked++;
        return this.canAsk;
      },
    });
    this.check.look();
  }

  set(facts) {
    this.now_ = { ...this.now_, ...facts };
    this.check.look();
  }

  pass(ms) {
    this.ms += ms;
    this.check.look();
  }

  told(name, verdict) {
    this.check[name] = verdict;
    this.check.look();
  }

  /** What is not as it should be, and where it stands. */
  get result() {
    return this.check.steps
      .filter(({ result }) => result !== "passed" && result !== "waiting")
      .map(({ name, result, why }) => [name, result, why].filter(Boolean).join(" "));
  }
}

const passed = { result: "passed" };

test("the whole way works", () => {
  const world = new World();
  assert.deepEqual(world.result, ["received running"]);
  assert.equal(world.asked, 1);
  world.told("received", passed);
  assert.deepEqual(world.result, ["shown running"]);
  assert.equal(world.check.over, false);
  world.told("shown", passed);
  assert.deepEqual(world.result, []);
  assert.equal(world.check.over, true);
  assert.equal(world.check.broken, null);
});

test("it is shown before this tab hears that it came", () => {
  const world = new World();
  world.told("shown", passed);
  assert.deepEqual(world.result, ["received running"]);
  world.told("received", passed);
  assert.equal(world.check.over, true);
});

test("without permission all but the showing is still looked at", () => {
  for (const permission of ["denied", "default", "unsupported"]) {
    const world = new World({ permission });
    world.told("received", passed);
    assert.deepEqual(world.result, [`permission failed ${permission}`, "shown skipped"]);
    assert.equal(world.check.broken.name, "permission");
  }
});

test("an insecure page is named, and not what follows from it", () => {
  const world = new World({ secure: false, permission: "insecure" });
  world.told("received", passed);
  assert.deepEqual(world.result, ["secure failed insecure", "permission skipped", "shown skipped"]);
});

test("no connection: waits for it, and then names why there is none", () => {
  const world = new World({ status: { state: "connecting", reason: "lost" }, transport: null });
  assert.deepEqual(world.result, ["connected running"]);
  assert.equal(world.check.steps[2].secondsLeft, 20);
  world.pass(19_999);
  assert.deepEqual(world.result, ["connected running"]);
  world.pass(1);
  assert.deepEqual(world.result, [
    "connected failed lost",
    "alive skipped",
    "asked skipped",
    "received skipped",
    "shown skipped",
  ]);
  assert.equal(world.check.over, true);
});

test("refused: nothing to wait for", () => {
  const world = new World({ status: { state: "disconnected", reason: "refused" }, transport: null });
  assert.equal(world.check.broken.why, "refused");
  assert.equal(world.check.over, true);
});

test("the event stream works, and somebody should know why it is needed", () => {
  const world = new World({ transport: "events" });
  assert.deepEqual(world.result, ["connected doubtful events", "received running"]);
});

test("a ping that came early does not prove that a quiet connection stays", () => {
  const world = new World({ openMs: 1000 });
  assert.deepEqual(world.result, ["alive running"]);
  world.set({ openMs: OPEN_MS });
  assert.deepEqual(world.result, ["received running"]);
});

test("no ping", () => {
  const world = new World({ pings: 0 });
  world.pass(PING_WITHIN_MS - 1);
  assert.deepEqual(world.result, ["alive running"]);
  world.pass(1);
  assert.equal(world.check.broken.why, "no_ping");
});

test("a connection that is cut while it is quiet", () => {
  const world = new World({ pings: 0 });
  world.set({ status: { state: "connecting", reason: "lost" } });
  assert.equal(world.check.broken.why, "cut");
});

test("a test that comes too soon is asked for again, and not without end", () => {
  const world = new World();
  world.check.refused("rate");
  world.pass(500);
  assert.equal(world.asked, 1);
  world.pass(1500);
  assert.equal(world.asked, 2);
  world.told("received", passed);
  assert.deepEqual(world.result, ["shown running"]);

  const busy = new World();
  for (let seconds = 0; seconds < 15; seconds++) {
    busy.check.refused("rate");
    busy.pass(1000);
  }
  assert.equal(busy.check.broken.why, "rate");

  const lost = new World();
  lost.pass(15_000);
  assert.equal(lost.check.broken.why, "not_received");
});

test("the server cannot take the test", () => {
  const world = new World();
  world.check.refused("unavailable");
  world.pass(0);
  assert.equal(world.check.broken.why, "unavailable");
});

test("what the server says of another test changes nothing", () => {
  const world = new World({ pings: 0 });
  world.check.refused("unavailable");
  world.set({ pings: 1 });
  assert.deepEqual(world.result, ["received running"]);
});

test("it cannot be asked for", () => {
  const world = new World({ pings: 0 });
  world.canAsk = false;
  world.set({ pings: 1 });
  world.pass(20_000);
  assert.equal(world.check.broken.why, "not_asked");
});

test("received and not shown by this tab: broken only where there is no other one", () => {
  for (const [tabs, result, broken] of [
    [1, "shown failed not_shown", "not_shown"],
    [2, "shown doubtful elsewhere", undefined],
  ]) {
    const world = new World({ tabs });
    world.told("received", passed);
    world.pass(11_000);
    assert.deepEqual(world.result, ["shown running"]);
    world.pass(1_000);
    assert.deepEqual([world.result, world.check.broken?.why], [[result], broken]);
  }
});

test("suppressed is named", () => {
  const world = new World();
  world.told("received", passed);
  world.told("shown", { result: "failed", why: "suppressed" });
  assert.equal(world.check.broken.why, "suppressed");
});
