// What the notifier needs of the browser. Tests give their own.

/** @import { NotifierEnvironment } from "./bellwire.js" */

import { environment } from "./environment.js";

/**
 * @param {Partial<NotifierEnvironment>} given
 * @returns {NotifierEnvironment}
 */
export function desk(given) {
  return {
    ...environment({}),
    Notification: globalThis.Notification ?? null,
    permissions: globalThis.navigator?.permissions ?? null,
    isSecure: globalThis.isSecureContext !== false,
    wallClock: () => Date.now(),
    open: (url, target, features) => globalThis.open(url, target, features),
    focus: () => globalThis.focus(),
    userAgent: globalThis.navigator?.userAgent ?? "",
    ...given,
  };
}
