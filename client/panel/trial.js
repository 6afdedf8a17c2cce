// One test for each state.

/** @import { Parts } from "./parts.js" */
/** @import { TestRequest } from "../bellwire.js" */

import { card, h, say } from "./dom.js";

/** @type {[NonNullable<TestRequest["kind"]>, string[]][]} */
const TRIALS = [
  ["host", ["up", "down", "unreachable"]],
  ["service", ["ok", "warning", "critical", "unknown"]],
  ["message", ["message"]],
];

/** @param {Parts} parts */
export function trialView({ connection, words, until }) {
  const said = h("p.said", { role: "status" });
  /** What was asked for and has not come. @type {{ title: string, at: number } | null} */
  let asked = null;

  /** @param {TestRequest} request @param {string} title */
  const ask = (request, title) => {
    const isAsked = connection.test({ ...request, title });
    asked = isAsked ? { title, at: performance.now() } : null;
    say(said, isAsked ? words.asked(title) : words.why.not_asked);
  };
  const buttons = TRIALS.map(([kind, states]) => {
    const all = states.map((name, state) => {
      const title = words.testTitle(
        kind === "message" ? words.kinds[kind] : `${words.kinds[kind]} ${words.states[name]}`,
      );
      const request = { kind, state, type: kind === "message" ? "CUSTOM" : state === 0 ? "RECOVERY" : "PROBLEM" };
      return h(
        "button",
        { type: "button", "data-test": name, "data-is": name, onclick: () => ask(request, title) },
        words.states[name],
      );
    });
    return h("fieldset", {}, h("legend", {}, words.kinds[kind]), ...all);
  });
  const { root } = card("trial", words.test, h("p", {}, words.testText), ...buttons, said);

  until(
    connection.on("notification", ({ title }) => {
      if (title !== asked?.title) return;
      say(said, words.came(title, Math.round(performance.now() - asked.at)));
      asked = null;
    }),
  );
  until(
    connection.on("error", ({ code }) => {
      if (asked && (code === "rate" || code === "unavailable"))
        say(said, code === "rate" ? words.rate : words.why.unavailable);
    }),
  );
  const draw = () => {
    const isDown = connection.status.state !== "connected";
    for (const set of buttons) set.disabled = isDown;
  };
  until(connection.on("state", draw));
  draw();
  return root;
}
