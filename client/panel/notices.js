// What went wrong and is worth a look, until somebody has seen it.

/** @import { Parts } from "./parts.js" */

import { h } from "./dom.js";

const NOTICES_MAX = 3;

/** @param {Parts} parts */
export function noticesView({ connection, words, until }) {
  const root = h("div.notices", { role: "alert" });
  /** @param {string} text */
  const tell = (text) => {
    const close = () => notice.remove();
    const notice = h(
      "p.notice",
      {},
      h("span", {}, text),
      h("button", { type: "button", onclick: close }, words.dismiss),
    );
    root.append(notice);
    if (root.children.length > NOTICES_MAX) root.firstElementChild?.remove();
  };
  until(connection.on("gap", ({ dropped }) => tell(words.gap(dropped))));
  until(
    connection.on("error", ({ code, notification }) => {
      if (code === "handler_gave_up") tell(words.gaveUp(notification?.title ?? ""));
    }),
  );
  return root;
}
