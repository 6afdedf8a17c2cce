// All that Bellwire's page shows, for any page: `panel(element, { connection, notifier })`.

/** @import { PanelOptions, Panel } from "./panel.js" */
/** @import { Parts } from "./panel/parts.js" */

import { wordsOf } from "./language.js";
import { aboutView } from "./panel/about.js";
import { checkView } from "./panel/checkview.js";
import { Times } from "./panel/clock.js";
import { desktopView } from "./panel/desktop.js";
import { h } from "./panel/dom.js";
import { listView } from "./panel/list.js";
import { noticesView } from "./panel/notices.js";
import { stateView } from "./panel/state.js";
import { trialView } from "./panel/trial.js";

/** From this width on there is room for all of it beside the list. */
const WIDE = "(min-width: 60rem)";

/**
 * @param {Element} element
 * @param {PanelOptions} options
 * @returns {Panel}
 */
export function panel(element, { connection, notifier, language }) {
  const { lang, panel: words } = wordsOf(language);
  /** @type {(() => void)[]} */
  const ends = [];
  const until = (/** @type {() => void} */ end) => void ends.push(end);
  /** @type {Parts["every"]} */
  const every = (ms, task) => {
    const timer = setInterval(() => document.hidden || task(), ms);
    until(() => clearInterval(timer));
  };
  const parts = { connection, notifier, words, times: new Times(lang), lang, until, every };

  const cards = [desktopView(parts), trialView(parts), checkView(parts), aboutView(parts)];
  const isWide = globalThis.matchMedia(WIDE).matches;
  for (const card of cards) card.open = isWide || card.dataset["good"] === "false";
  const columns = h("div.columns", {}, h("div.side", {}, ...cards), listView(parts));
  const root = h("div.panel", { lang }, stateView(parts), noticesView(parts), columns);
  element.append(root);
  until(() => root.remove());
  return { close: () => ends.splice(0).forEach((end) => end()) };
}
