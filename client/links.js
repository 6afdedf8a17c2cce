// Where a click leads, and where pictures come from: nowhere but to http and https.

/** @import { Links, Notification } from "./bellwire.js" */

import { ICONS, iconName } from "./icons.js";

/** openITCOCKPIT's pages. Without `/a` its backend answers that it is no page. */
export const LINKS = { host: "/a/hosts/browser/{host}", service: "/a/services/browser/{service}" };

/** Of openITCOCKPIT, for openITCOCKPIT's pages: elsewhere they are not served. */
const FOREIGN_ICON = /\/push_notifications\/\w+\/(Host|Service)PushIcon([A-Z]+)\.png$/;

/**
 * @param {string | undefined} text
 * @param {string | null} base
 * @returns {string | null}
 */
export function webAddress(text, base) {
  if (!text) return null;
  try {
    const url = new URL(text, base ?? undefined);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * @param {Notification} notification
 * @param {Links | null} links
 * @param {string | null} base
 * @returns {string | null} `null`: nowhere
 */
export function linkOf(notification, links, base) {
  const own = webAddress(notification.url, base);
  if (own || !links || notification.kind === "message") return own;
  let isWhole = true;
  const link = links[notification.kind]?.replace(/\{(host|service)\}/g, (_, /** @type {"host" | "service"} */ name) => {
    const part = encoded(notification[name]?.id);
    isWhole &&= part !== "";
    return part;
  });
  return isWhole ? webAddress(link, base) : null;
}

/** @param {string | undefined} id */
function encoded(id = "") {
  try {
    // Dots would go up in the path.
    return /^\.*$/.test(id) ? "" : encodeURIComponent(id);
  } catch {
    // Half of a character.
    return "";
  }
}

/**
 * @param {Pick<Notification, "kind" | "state" | "icon">} notification
 * @param {string} icons the folder of our own
 * @param {string | null} base
 * @returns {string | undefined}
 */
export function iconOf({ kind, state, icon }, icons, base) {
  const [, object, name] = FOREIGN_ICON.exec(icon ?? "") ?? [];
  if (icon && !object) {
    const own = webAddress(icon, base);
    if (own) return own;
  }
  const meant = object ? `${object}-${name}`.toLowerCase() : "";
  const ours = kind === "message" ? ICONS.find((known) => known === meant) : iconName(kind, state);
  return ours && `${icons}${ours}.png`;
}

/**
 * Bellwire's own page: above `client/`, or above `client/VERSION/`.
 * @param {string} module the address of a module in that folder
 */
export function pageAbove(module) {
  return new URL(/\/client\/[^/]+\/[^/]*$/.test(new URL(module).pathname) ? "../../" : "../", module).href;
}
