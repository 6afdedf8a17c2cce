// The self-check: the way of a notification, step by step. It looks at facts and says how far they reach; whoever runs
// it calls `look` when a fact may have changed, and once a second.

/** @import { Facts, Rule, Step, Verdict, World } from "./parts.js" */

/** As long as the server is silent at most: it pings every 25 s. */
export const OPEN_MS = 25_000;

/** The rest is for slow networks and throttled timers. */
export const PING_WITHIN_MS = 35_000;

/** The server makes one test a second. */
const ASK_AGAIN_MS = 1500;

const PASSED = /** @type {const} */ ({ result: "passed" });

/** @type {Rule[]} */
const RULES = [
  { name: "secure", judge: ({ secure }) => (secure ? PASSED : failed("insecure")) },
  {
    name: "permission",
    needs: ["secure"],
    judge: ({ permission }) => (permission === "granted" ? PASSED : failed(permission)),
  },
  {
    name: "connected",
    judge: judgeConnection,
    withinMs: 20_000,
    late: ({ status }) => failed(status.reason ?? "lost"),
  },
  { name: "alive", needs: ["connected"], judge: judgePings, withinMs: PING_WITHIN_MS, late: () => failed("no_ping") },
  {
    name: "asked",
    needs: ["connected"],
    judge: (_, check) => check.ask(),
    withinMs: 20_000,
    late: () => failed("not_asked"),
  },
  {
    name: "received",
    needs: ["asked"],
    judge: (_, check) => check.arrival(),
    withinMs: 15_000,
    late: (_, { isTooSoon }) => failed(isTooSoon ? "rate" : "not_received"),
  },
  {
    name: "shown",
    needs: ["permission", "received"],
    judge: (_, check) => check.shown,
    // A tab that hangs is given 5 s before the next one shows it.
    withinMs: 12_000,
    // It came, so one of the tabs has it; with two windows side by side that is often the other one.
    late: ({ tabs }) => (tabs > 1 ? doubtful("elsewhere") : failed("not_shown")),
  },
];

const ASKED = RULES.findIndex(({ name }) => name === "asked");

/**
 * @param {string} why
 * @returns {Verdict}
 */
function failed(why) {
  return { result: "failed", why };
}

/**
 * @param {string} why
 * @returns {Verdict}
 */
function doubtful(why) {
  return { result: "doubtful", why };
}

/** @param {Facts} facts */
function judgeConnection({ status, transport }) {
  if (status.state === "disconnected") return failed(status.reason ?? "lost");
  if (status.state !== "connected") return null;
  // It works, and yet somebody should know that something on the way breaks WebSockets.
  return transport === "events" ? doubtful("events") : PASSED;
}

/**
 * A ping may come early, with a notification; only a connection that was quiet shows what the way does to quiet ones.
 * @param {Facts} facts
 */
function judgePings({ status, pings, openMs }) {
  if (status.state !== "connected") return failed("cut");
  return pings > 0 && openMs >= OPEN_MS ? PASSED : null;
}

export class SelfCheck {
  #world;
  #at = 0;
  #since;
  #askAt = 0;
  /** The server did not make the test, and is asked again. */
  isTooSoon = false;
  /** @type {Step[]} */
  steps = RULES.map(({ name }) => ({ name, result: "waiting", why: "", secondsLeft: null }));
  /** What has become of the test notification. @type {Verdict} */
  received = null;
  /** @type {Verdict} */
  shown = null;

  /** @param {World} world */
  constructor(world) {
    this.#world = world;
    this.#since = world.now();
  }

  get over() {
    return this.#at >= RULES.length;
  }

  /** Whether the test notification may come any moment. */
  get isAsked() {
    return !this.over && this.steps[ASKED]?.result === "passed";
  }

  /** The step that explains why no notification is shown. */
  get broken() {
    return this.steps.find(({ result }) => result === "failed") ?? null;
  }

  /** Goes on as far as the facts allow. */
  look() {
    const facts = this.#world.facts();
    for (let rule = RULES[this.#at]; rule; rule = RULES[this.#at]) {
      const step = /** @type {Step} */ (this.steps[this.#at]);
      const { judge, withinMs = 0, late } = rule;
      const msLeft = this.#since + withinMs - this.#world.now();
      const isLate = late && msLeft <= 0;
      const verdict = this.#skip(rule) ?? judge(facts, this) ?? (isLate ? late(facts, this) : null);
      if (!verdict) return void Object.assign(step, { result: "running", secondsLeft: Math.ceil(msLeft / 1000) });
      Object.assign(step, { why: "", ...verdict, secondsLeft: null });
      this.#at++;
      this.#since = this.#world.now();
    }
  }

  /** Asks once, and again where it could not be asked for. @returns {Verdict} */
  ask() {
    if (this.#world.now() < this.#askAt) return null;
    this.#askAt = this.#world.now() + ASK_AGAIN_MS;
    return this.#world.test() ? PASSED : null;
  }

  /** Whether it came; asks again where the server had to refuse a test that came too soon. @returns {Verdict} */
  arrival() {
    if (this.isTooSoon && this.ask()) this.isTooSoon = false;
    return this.received;
  }

  /**
   * The server did not make the test.
   * @param {string} code
   */
  refused(code) {
    if (this.steps[this.#at]?.name !== "received") return;
    if (code === "rate") this.isTooSoon = true;
    else this.received = failed(code);
  }

  /** @param {Rule} rule @returns {Verdict} */
  #skip({ needs = [] }) {
    const missing = this.steps.some(({ name, result }) => needs.includes(name) && /failed|skipped/.test(result));
    return missing ? { result: "skipped" } : null;
  }
}
