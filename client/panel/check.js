// The self-check: the way of a notification, step by step. It looks at facts and says how far they reach; whoever runs
// it calls `look` when a fact may have changed, and once a second.

/** @import { Facts, Rule, Step, Verdict, World } from "./parts.js" */

export const OPEN_MS = 25_000;
/** The server pings every 25 s; the rest is for slow networks and throttled timers. */
export const PING_WITHIN_MS = 35_000;
const CONNECT_WITHIN_MS = 20_000;
const RECEIVE_WITHIN_MS = 15_000;
/** A tab that hangs is given 5 s before the next one shows it. */
const SHOW_WITHIN_MS = 12_000;
/** The server makes one test a second. */
const ASK_AGAIN_MS = 1500;

const PASSED = /** @type {const} */ ({ result: "passed" });

/** @type {Rule[]} */
const RULES = [
  rule("secure", [], ({ secure }) => (secure ? PASSED : failed("insecure"))),
  rule("permission", ["secure"], ({ permission }) => (permission === "granted" ? PASSED : failed(permission))),
  {
    ...rule("connected", [], judgeConnection, CONNECT_WITHIN_MS),
    late: ({ status }) => status.reason ?? "lost",
  },
  rule("alive", ["connected"], judgePings, PING_WITHIN_MS, "no_ping"),
  rule("asked", ["connected"], (_, check) => check.ask(), CONNECT_WITHIN_MS, "not_asked"),
  rule("received", ["asked"], (_, check) => check.arrival(), RECEIVE_WITHIN_MS, "not_received"),
  {
    ...rule("shown", ["permission", "received"], (_, check) => check.shown, SHOW_WITHIN_MS),
    late: ({ tabs }) => (tabs > 1 ? "elsewhere" : "not_shown"),
  },
];

const ASKED = RULES.findIndex(({ name }) => name === "asked");

/**
 * @param {string} name
 * @param {string[]} needs
 * @param {Rule["judge"]} judge
 * @param {number} [withinMs]
 * @param {string} [late]
 * @returns {Rule}
 */
function rule(name, needs, judge, withinMs = 0, late = "") {
  return { name, needs, judge, withinMs, late: () => late };
}

/**
 * @param {string} why
 * @returns {Verdict}
 */
function failed(why) {
  return { result: "failed", why };
}

/** @param {Facts} facts */
function judgeConnection({ status, transport }) {
  if (status.state === "disconnected") return failed(status.reason ?? "lost");
  if (status.state !== "connected") return null;
  // It works, and yet somebody should know that something on the way breaks WebSockets.
  return transport === "events" ? /** @type {const} */ ({ result: "doubtful", why: "events" }) : PASSED;
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
  #again = false;
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
      const msLeft = this.#since + rule.withinMs - this.#world.now();
      const verdict = this.#skip(rule) ?? rule.judge(facts, this) ?? (msLeft > 0 ? null : failed(rule.late(facts)));
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
    if (this.#again && this.ask()) this.#again = false;
    return this.received;
  }

  /**
   * The server did not make the test.
   * @param {string} code
   */
  refused(code) {
    if (this.steps[this.#at]?.name !== "received") return;
    if (code === "rate") this.#again = true;
    else this.received = failed(code);
  }

  /** @param {Rule} rule @returns {Verdict} */
  #skip({ needs }) {
    const missing = this.steps.some(({ name, result }) => needs.includes(name) && /failed|skipped/.test(result));
    return missing ? { result: "skipped" } : null;
  }
}
