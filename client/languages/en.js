// English. Every language has the same keys.

/** @type {Record<import("../states.js").State, (count: number) => string>} */
const counted = {
  down: (n) => `${n} down`,
  critical: (n) => `${n} critical`,
  unreachable: (n) => `${n} unreachable`,
  unknown: (n) => `${n} unknown`,
  warning: (n) => `${n} warning`,
  message: (n) => (n === 1 ? "1 message" : `${n} messages`),
  other: (n) => `${n} other`,
  ok: (n) => `${n} OK`,
  up: (n) => `${n} up`,
};

export const words = {
  lang: "en",
  counted,
  digest: {
    title: (/** @type {number} */ total, /** @type {string[]} */ parts) => `${total} more: ${parts.join(", ")}`,
    body: (/** @type {string} */ worst, /** @type {string} */ newest) => `Worst: ${worst}\nNewest: ${newest}`,
  },
  advice: {
    default: "Until you allow notifications, they are only in the list on this page.",
    insecure: "Browsers show notifications only for pages with https. Open this page by its https address.",
    unsupported: "This browser shows no notifications for pages, as most on phones. Use one on a computer.",
    suppressed:
      "Allowed, and yet the last one was not seen. Look at “do not disturb”, and whether the system lets this browser show notifications.",
    denied: "Then load the page again. To have none for good, untick push notifications in your contact in openITCOCKPIT too.",
    chromium: "Notifications are blocked: click the sign left of the address, and switch notifications on there or in “Site settings”.",
    firefox: "Notifications are blocked: click the sign left of the address, and take the block away.",
    safari: "Notifications are blocked: in Safari's settings, under “Websites”, “Notifications”, allow this page.",
    other: "Notifications are blocked: allow them for this page in the browser's settings.",
  },
};
