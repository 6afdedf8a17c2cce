// Whether this page is connected, why not, and when it tries again.

/** @import { Parts } from "./parts.js" */

import { h, say } from "./dom.js";

/** @param {Parts} parts */
export function stateView({ connection, words, until, every }) {
  const name = h("strong");
  const why = h("span.why");
  const state = h("p.state", { role: "status" }, name, " ", why);
  // Not in the status: it changes each second.
  const next = h("p.next");
  /** @type {number | null} */
  let nextAt = null;

  const count = () => {
    const isDue = nextAt !== null;
    say(next, isDue ? words.nextAttempt(Math.max(0, Math.ceil((Number(nextAt) - performance.now()) / 1000))) : "");
  };
  const draw = () => {
    const { state: is, reason, retryInMs } = connection.status;
    state.dataset["state"] = is;
    state.dataset["reason"] = reason ?? "";
    say(name, words.state[is]);
    say(why, reason ? words.reason[reason] : words.ready);
    nextAt = retryInMs === null ? (is === "connecting" && reason !== "start" ? 0 : null) : performance.now() + retryInMs;
    count();
  };
  until(connection.on("state", draw));
  every(1000, count);
  draw();
  return h("section.top", { "aria-label": words.connection }, state, next);
}
