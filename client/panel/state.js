// Whether this page is connected, why not, and when it tries again.

/** @import { Parts } from "./parts.js" */

import { h, say } from "./dom.js";

/** @param {Parts} parts */
export function stateView({ connection, words, times, until, every }) {
  const name = h("strong");
  const why = h("span.why");
  const state = h("p.state", { role: "status" }, name, " ", why);
  // Not in the status: it changes each second.
  const next = h("p.next");
  /** @type {number | null} */
  let nextAt = null;

  const count = () => {
    if (nextAt !== null)
      return say(next, words.nextAttempt(Math.max(0, Math.ceil((nextAt - performance.now()) / 1000))));
    const { heardAt } = connection.info;
    say(next, heardAt && connection.status.state === "connected" ? `${words.heard}: ${times.ago(heardAt)}` : "");
  };
  const draw = () => {
    const { state: is, reason, retryInMs } = connection.status;
    state.dataset["state"] = is;
    state.dataset["reason"] = reason ?? "";
    say(name, words.state[is]);
    say(why, reason ? words.reason[reason] : words.ready);
    nextAt =
      retryInMs === null ? (is === "connecting" && reason !== "start" ? 0 : null) : performance.now() + retryInMs;
    count();
  };
  until(connection.on("state", draw));
  every(1000, count);
  draw();
  return h("section.top", { "aria-label": words.connection }, state, next);
}
