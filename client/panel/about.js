// What this browser is to the server: for whoever is asked why nothing comes.

/** @import { Parts } from "./parts.js" */

import { card, h, say } from "./dom.js";

/** @param {Parts} parts */
export function aboutView({ connection, words, times, until, every }) {
  const rows = /** @type {const} */ ([
    "user",
    "browser",
    "tabs",
    "transport",
    "sharing",
    "session",
    "version",
    "since",
    "heard",
  ]);
  const values = Object.fromEntries(rows.map((name) => [name, h("dd", { "data-about": name })]));
  const list = h(
    "dl",
    {},
    ...rows.map((name) => h("div", {}, h("dt", {}, words[name]), /** @type {Node} */ (values[name]))),
  );
  const { root } = card("about", words.about, list);

  const draw = () => {
    const { user, browser, tabs, transport, sharing, session, version, connectedAt, heardAt } = connection.info;
    const texts = {
      user,
      browser,
      tabs,
      transport: transport && words.transports[transport],
      sharing: words.sharings[sharing],
      session,
      version: version && `Bellwire ${version}`,
      since: connectedAt && times.at(connectedAt),
      heard: heardAt && times.ago(heardAt),
    };
    for (const name of rows) say(/** @type {Element} */ (values[name]), String(texts[name] ?? "–"));
  };
  until(connection.on("info", draw));
  every(5000, draw);
  draw();
  return root;
}
