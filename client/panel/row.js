// One notification of the list.

/** @import { Notification } from "../bellwire.js" */
/** @import { Parts } from "./parts.js" */

import { iconName } from "../icons.js";
import { stateOf } from "../states.js";
import { msOf } from "./clock.js";
import { h, say } from "./dom.js";

/** A longer text is folded, or one notification would fill the page. */
const BODY_LENGTH_MAX = 280;

const ICONS = new URL("../icons/", import.meta.url).href;

/** Types that say no more than the state does. */
const PLAIN = ["PROBLEM", "RECOVERY"];

/**
 * @param {Notification} n
 * @param {Pick<Parts, "notifier" | "words" | "times">} parts
 */
export function rowOf(n, { notifier, words, times }) {
  const is = stateOf(n);
  const ms = msOf(n.timestamp);
  const ago = h("span.ago");
  const url = notifier.linkOf(n);
  const title = n.title || words.kinds[n.kind];
  const meta = [
    h("span.badge", { "data-is": is }, words.states[is]),
    n.kind === "message" ? "" : h("span", {}, words.kinds[n.kind]),
    n.type && !PLAIN.includes(n.type) ? h("span.type", {}, typeIn(words.types, n.type)) : "",
    n.digested ? h("span.digested", {}, words.digested) : "",
  ];
  const root = h(
    "li.row",
    { "data-is": is, "data-id": n.id },
    n.kind === "message"
      ? h("span.icon", { "aria-hidden": "true" }, "✉")
      : h("img.icon", { src: `${ICONS}${iconName(n.kind, n.state)}.svg`, alt: "", width: 40, height: 40 }),
    h(
      "div.text",
      {},
      h(
        "p.meta",
        {},
        ...meta,
        h("time", { datetime: new Date(ms).toISOString() }, ago, " ", h("span.at", {}, times.at(ms))),
      ),
      h("h3", {}, url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, title) : title),
      ...objectOf(n, title, words.on),
      ...bodyOf(n.body ?? "", words.whole),
    ),
  );
  return { root, tick: () => say(ago, times.ago(ms)) };
}

/**
 * @param {Record<string, string>} types
 * @param {string} type any word that the monitoring says
 */
function typeIn(types, type) {
  return (Object.hasOwn(types, type) && types[type]) || type;
}

/**
 * Host and service, where the title does not name them.
 * @param {Notification} n
 * @param {string} title
 * @param {string} on
 */
function objectOf({ host, service }, title, on) {
  const names = [service, host].flatMap((subject) => (subject?.name ? [subject.name] : []));
  return names.every((name) => title.includes(name)) ? [] : [h("p.object", {}, names.join(` ${on} `))];
}

/**
 * @param {string} body
 * @param {string} whole
 */
function bodyOf(body, whole) {
  if (!body) return [];
  const text = h("p.body", {}, body);
  if (body.length <= BODY_LENGTH_MAX) return [text];
  text.textContent = `${body.slice(0, BODY_LENGTH_MAX)}… `;
  const unfold = () => {
    text.textContent = body;
    text.tabIndex = -1;
    text.focus();
  };
  text.append(h("button.link", { type: "button", onclick: unfold }, whole));
  return [text];
}
