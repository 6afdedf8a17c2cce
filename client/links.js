// Where a click leads, and where pictures come from: http and https only.

/** @import { Links, Notification } from "./bellwire.js" */

import { ICONS, iconName } from "./icons.js";

/** openITCOCKPIT's pages. Without `/a` its backend answers instead. */
const LINKS = { host: "/a/hosts/browser/{host}", service: "/a/services/browser/{service}" };

/** openITCOCKPIT's own, which are not served elsewhere. */
const FOREIGN_ICON = /\/push_notifications\/\w+\/(Host|Service)PushIcon([A-Z]+)\.png$/;

/** @param {string | undefined} text @param {string | null} base */
export function webAddress(text, base) {
  try {
    const url = text ? new URL(text, base ?? undefined) : null;
    return url && /^https?:$/.test(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** @param {Notification} notification @param {Links | null | undefined} links @param {string | null} base */
export function linkOf(notification, links = LINKS, base) {
  const own = webAddress(notification.url, base);
  if (own || !links || notification.kind === "message") return own;
  let missing = false;
  const link = links[notification.kind]?.replace(/\{(host|service)\}/g, (_, name) => {
    const id = notification[/** @type {"host" | "service"} */ (name)]?.id ?? "";
    // Dots would go up in the path, and half a character cannot be encoded.
    missing ||= /^\.*$|\p{Surrogate}/u.test(id);
    return missing ? "" : encodeURIComponent(id);
  });
  return missing ? null : webAddress(link, base);
}

/** @param {Omit<Notification, "id" | "timestamp">} notification @param {string} folder @param {string | null} base */
export function iconOf({ kind, state, icon = "" }, folder, base) {
  const [, object, name] = FOREIGN_ICON.exec(icon) ?? [];
  const meant = `${object}-${name}`.toLowerCase();
  const ours = kind === "message" ? ICONS.find((known) => known === meant) : iconName(kind, state);
  return (!object && webAddress(icon, base)) || (ours && `${folder}${ours}.png`);
}
