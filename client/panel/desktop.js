// Whether notifications appear on the desktop, what to do where they do not, and how.

/** @import { Parts } from "./parts.js" */

import { card, h, say } from "./dom.js";

/** @param {Parts} parts */
export function desktopView({ notifier, words, until }) {
  const text = h("p", { role: "status" });
  const allow = h("button.allow.main-button", { type: "button", onclick: () => notifier.ask() }, words.allow);
  const switches = /** @type {const} */ (["problemsStay", "reuseTab"]).map((name) => {
    const box = h("input", { type: "checkbox", role: "switch", "data-pref": name });
    box.addEventListener("change", () => void (notifier.prefs[name] = box.checked));
    const label = h("label.switch", {}, box, h("span", {}, words[name], h("small", {}, words[`${name}Text`])));
    return { name, box, label };
  });
  const revoke = h("p.small", {}, words.revoke);
  const { root, note } = card("desktop", words.desktop, text, allow, ...switches.map(({ label }) => label), revoke);

  const draw = () => {
    const { permission } = notifier;
    root.dataset["permission"] = permission;
    root.dataset["good"] = String(permission === "granted" && !notifier.suppressed);
    say(note, words.permission[permission]);
    say(text, notifier.advice ?? words.granted);
    revoke.hidden = permission !== "granted";
    allow.hidden = permission !== "default";
    for (const { name, box } of switches) box.checked = notifier.prefs[name];
  };
  for (const name of /** @type {const} */ (["permission", "shown", "suppressed", "prefs"]))
    until(notifier.on(name, draw));
  draw();
  return root;
}
