// Shows the self-check while it runs.

/** @import { Parts, Step } from "./parts.js" */

import { SelfCheck } from "./check.js";
import { card, h, say } from "./dom.js";

/** @param {Parts} parts */
export function checkView({ connection, notifier, words, until, every }) {
  const verdict = h("p.verdict", { role: "status" });
  const start = h("button.start.main-button", { type: "button", onclick: () => begin() }, words.start);
  const world = {
    facts: () => ({
      secure: globalThis.isSecureContext,
      permission: notifier.permission,
      status: connection.status,
      openMs: Date.now() - (connection.info.connectedAt ?? Date.now()),
      ...connection.info,
    }),
    now: () => performance.now(),
    test: () => connection.test({ title }),
  };
  let title = "";
  let check = new SelfCheck(world);
  let isRunning = false;
  const items = check.steps.map(({ name }) => {
    const text = h("span.why");
    const result = h("span.hidden");
    return {
      root: h("li", { "data-step": name }, h("span.name", {}, words.steps[name] ?? name), " ", result, " ", text),
      text,
      result,
    };
  });
  const { root, note } = card(
    "check",
    words.check,
    h("p", {}, words.checkText),
    start,
    verdict,
    h("ol.steps", {}, ...items.map(({ root }) => root)),
  );

  const begin = () => {
    title = words.checkTitle(Math.random().toString(36).slice(2, 6).toUpperCase());
    check = new SelfCheck(world);
    isRunning = true;
    look();
  };
  const look = () => {
    if (isRunning) check.look();
    isRunning &&= !check.over;
    draw();
  };
  const draw = () => {
    const { broken } = check;
    start.disabled = isRunning;
    root.dataset["result"] = isRunning ? "running" : broken ? "failed" : check.over ? "passed" : "waiting";
    const text = broken ? words.checkBroken(words.steps[broken.name] ?? "") : check.over ? words.checkGood : "";
    say(verdict, text);
    say(note, isRunning ? words.result.running : check.over ? words.result[broken ? "failed" : "passed"] : "");
    items.forEach((item, at) => drawStep(item, /** @type {Step} */ (check.steps[at])));
  };
  /** @param {typeof items[number]} item @param {Step} step */
  const drawStep = ({ root, text, result: name }, { result, why, secondsLeft }) => {
    root.dataset["result"] = result;
    say(name, words.result[result]);
    say(text, secondsLeft === null ? explain(why) : words.secondsLeft(secondsLeft));
  };
  /** @param {string} why */
  const explain = (why) => words.why[why] ?? words.reason[why] ?? (why && (notifier.advice ?? why));

  until(connection.on("state", look));
  until(connection.on("info", look));
  until(
    connection.on("notification", (notification) => {
      if (notification.title !== title) return;
      check.received = { result: "passed" };
      look();
    }),
  );
  until(connection.on("error", ({ code }) => isRunning && (check.refused(code), look())));
  for (const name of /** @type {const} */ (["shown", "suppressed"])) {
    until(
      notifier.on(name, ({ notification }) => {
        if (notification ? notification.title !== title : !check.isAsked) return;
        check.shown =
          name === "suppressed"
            ? { result: "failed", why: name }
            : notification
              ? { result: "passed" }
              : { result: "doubtful", why: "digested" };
        look();
      }),
    );
  }
  every(1000, () => isRunning && look());
  draw();
  return root;
}
