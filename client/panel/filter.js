// What of the list somebody wants to see.

/** @import { Filter, Words } from "./parts.js" */

import { h } from "./dom.js";
import { ALL } from "./items.js";

/**
 * @param {Words} words
 * @param {(filter: Filter) => void} onChange
 */
export function filterView(words, onChange) {
  const text = h("input", { type: "search", "data-filter": "text", autocomplete: "off" });
  const kind = choice("kind", words.kinds, words.all);
  const state = choice("state", words.states, words.all);
  const problems = h("input", { type: "checkbox", "data-filter": "problems" });

  const read = () => {
    const filter = { kind: kind.value, state: state.value, problems: problems.checked, text: text.value };
    clear.hidden = JSON.stringify(filter) === JSON.stringify(ALL);
    onChange(filter);
  };
  const reset = () => {
    kind.value = state.value = text.value = "";
    problems.checked = false;
    read();
    // The button is gone now, and the focus would be nowhere.
    text.focus();
  };
  const clear = h("button.clear", { type: "button", hidden: true, onclick: reset }, words.clear);
  const root = h(
    "div.filters",
    { role: "search" },
    h("label.search", {}, h("span", {}, words.search), text),
    h("label", {}, h("span", {}, words.kind), kind),
    h("label", {}, h("span", {}, words.stateLabel), state),
    h("label.only", {}, problems, words.problemsOnly),
  );
  root.addEventListener("input", read);
  return { root, clear };
}

/**
 * @param {string} name
 * @param {Record<string, string>} options
 * @param {string} all
 */
function choice(name, options, all) {
  const entries = Object.entries(options).map(([value, text]) => h("option", { value }, text));
  return h("select", { "data-filter": name }, h("option", { value: "" }, all), ...entries);
}
