// Showing one notification, by a handler of the page that may fail.
//
// Not acknowledged is shown again: the protocol never loses a notification. But an acknowledgement speaks for all that
// came before it too, so nothing behind a notification may be acknowledged before that one is shown. A handler that
// fails is therefore called again, and what is behind waits; meanwhile the server misses the acknowledgement, and the
// browser's next tab, if there is one, shows it instead. After TRIES_MAX calls the page is told and the notification
// counts as shown: waiting for a handler that cannot show one would lose all behind it, when they expire.

/** @import { Notification, Clock, Failure } from "./bellwire.js" */
/** @import { Seen } from "./seen.js" */

export const TRIES_MAX = 5;

/** Before the second call; doubled before each further one. */
export const RETRY_FIRST_MS = 500;

/**
 * @typedef {object} Showing
 * @property {(notification: Notification) => unknown} handler
 * @property {Seen} seen
 * @property {Clock} clock
 * @property {() => boolean} isClosed
 * @property {(failure: Failure) => void} onError
 */

/**
 * @param {Notification} notification
 * @param {Showing} showing
 * @returns {Promise<"shown" | "repeated" | "closed">}
 */
export async function show(notification, { handler, seen, clock, isClosed, onError }) {
  for (let tries = 1; ; tries++) {
    if (isClosed()) return "closed";
    // Asked anew each time: another tab may have shown it while this one waited.
    if (seen.has(notification.id)) return "repeated";
    const failure = await call(handler, notification);
    if (!failure || tries === TRIES_MAX) {
      // Before telling the page, whose listener may close the connection or leave the page.
      seen.add(notification.id);
      if (failure) onError({ code: "handler_gave_up", notification, ...failure });
      return "shown";
    }
    onError({ code: "handler_failed", notification, ...failure });
    await new Promise((resolve) => clock.setTimeout(() => resolve(null), RETRY_FIRST_MS * 2 ** (tries - 1)));
  }
}

/**
 * @param {Showing["handler"]} handler
 * @param {Notification} notification
 */
async function call(handler, notification) {
  try {
    await handler(notification);
    return null;
  } catch (cause) {
    return { message: `the handler failed: ${words(cause)}`, cause };
  }
}

/** @param {unknown} cause what was thrown, which may even fail to become a text */
export function words(cause) {
  try {
    return String(cause);
  } catch {
    return "it threw something without words";
  }
}
