// English. Every language has the same keys.

const states = {
  down: "down",
  critical: "critical",
  unreachable: "unreachable",
  unknown: "unknown",
  warning: "warning",
  message: "messages",
  other: "other",
  ok: "OK",
  up: "up",
};

export const words = {
  lang: "en",
  counted: (/** @type {number} */ n, /** @type {keyof typeof states} */ state) =>
    n === 1 && state === "message" ? "1 message" : `${n} ${states[state]}`,
  digest: {
    title: (/** @type {number} */ n, /** @type {string[]} */ parts) => `${n} more: ${parts.join(", ")}`,
    body: (/** @type {string} */ worst, /** @type {string} */ newest) => `Worst: ${worst}\nNewest: ${newest}`,
  },
  advice: {
    default: "Until you allow notifications, they are only in the list on this page.",
    insecure: "Browsers show notifications only for pages with https. Open this page by its https address.",
    unsupported: "This browser shows no notifications for pages, as most on phones. Use one on a computer.",
    suppressed: "Allowed, and yet not seen. Look at “do not disturb”, and whether the system lets this browser show notifications.",
    denied: "Notifications are blocked.",
    chrom: "Click the sign left of the address and switch them on there or in “Site settings”.",
    firefox: "Click the sign left of the address and take the block away.",
    safari: "Allow this page in Safari's settings under “Websites”, “Notifications”.",
    other: "Allow them for this page in the browser's settings.",
    revoked: "Not wanted any more? Untick push notifications in your contact in openITCOCKPIT too.",
  },
};
