// Bellwire's own page: finds out who the person is, and shows the panel.

import { connect, Notifier } from "./bellwire.js";
import { wordsOf } from "./language.js";
import { panel } from "./panel.js";

/** Another tab answers at once, or there is none. */
const ASK_TABS_MS = 300;

/** For who looks at the tabs only. */
const SIGNS = { connecting: "… ", connected: "", disconnected: "✕ " };

/** @typedef {{ user: string, key: string }} Me */

/**
 * User and key come once, behind the # of the address, and leave the address bar (and the history) at once.
 * @returns {Me | null}
 */
function given() {
  const fields = new URLSearchParams(location.hash.slice(1));
  const me = meOf({ user: fields.get("user"), key: fields.get("key") });
  if (me) history.replaceState(null, "", location.pathname + location.search);
  return me;
}

/**
 * @param {any} value
 * @returns {Me | null}
 */
function meOf(value) {
  return value?.user && value.key ? { user: String(value.user), key: String(value.key) } : null;
}

/** Another installation may stand behind another path. This keeps them apart and no more: all of an origin is trusted. */
const HERE = location.pathname;

/** For a reload of this tab only: the key is not to stay on the disk. */
const KEPT = `bellwireMe:${HERE}`;

function kept() {
  try {
    return meOf(JSON.parse(sessionStorage.getItem(KEPT) ?? "null"));
  } catch {
    return null;
  }
}

/** @param {Me} me */
function keep(me) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(me));
  } catch {
    // Where the browser forbids it, a reload needs the whole address again.
  }
}

// A tab that is opened by a click on a notification has no key of its own; those that are open have.
const tabs = new BroadcastChannel(`bellwirePage:${HERE}`);

/** @returns {Promise<Me | null>} */
function fromOtherTab() {
  return new Promise((resolve) => {
    tabs.onmessage = ({ data }) => meOf(data) && resolve(meOf(data));
    tabs.postMessage("who");
    setTimeout(() => resolve(null), ASK_TABS_MS);
  });
}

/** @param {Me} me */
function show(me) {
  keep(me);
  tabs.onmessage = ({ data }) => data === "who" && tabs.postMessage(me);
  const notifier = new Notifier();
  // Relative, so that the page works behind any path of a proxy.
  const connection = connect({ url: "push_notifications", ...me, onNotification: (n) => notifier.show(n) });
  panel(main, { connection, notifier });
  connection.on("state", ({ state }) => (document.title = `${SIGNS[state]}Bellwire`));
}

const main = /** @type {Element} */ (document.querySelector("main"));
const { lang, panel: said } = wordsOf();
document.documentElement.lang = lang;

const me = given() ?? kept() ?? (await fromOtherTab());
if (me) show(me);
else {
  const hint = document.createElement("p");
  hint.className = "no-key";
  hint.setAttribute("role", "alert");
  hint.textContent = said.noKey;
  main.append(hint);
}
// A second address with another user or key, pasted into the same tab, only changes what stands behind the #.
addEventListener("hashchange", () => location.reload());
