// What of the list somebody wants to see.

/** @import { Filter, Words } from "./parts.js" */

import { h } from "./dom.js";
import { ALL } from "./items.js";

/**
 * @param {Words} words
 * @param {(filter: Filter) => void} onChange
 */
export function filterView(words, onChange) {
  const text = h("input", {
    type: "search",
    "data-filter": "text",
    autocomplete: "off",
    placeholder: words.search,
    "aria-label": words.search,
  });
  const kind = choice("kind", words.kind, words.kinds, words.all);
  const state = choice("state", words.stateLabel, words.states, words.all);
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
  const only = h("label.only", {}, problems, words.problemsOnly);
  const root = h("div.filters", { role: "search" }, text, only, kind, state);
  root.addEventListener("input", read);
  return { root, clear };
}

/**
 * @param {string} name
 * @param {string} label
 * @param {Record<string, string>} options
 * @param {string} all
 */
function choice(name, label, options, all) {
  const entries = Object.entries(options).map(([value, text]) => h("option", { value }, text));
  return h(
    "select",
    { "data-filter": name, "aria-label": label },
    h("option", { value: "" }, `${label}: ${all}`),
    ...entries,
  );
}
