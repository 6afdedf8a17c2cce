// What the client needs from outside. Tests give their own; each default survives a browser that forbids it.

/** @import { Environment, Storage } from "./bellwire.js" */

/**
 * @param {Partial<Environment>} given
 * @returns {Environment}
 */
export function environment(given) {
  return { ...defaults(), ...given };
}

/** @returns {Environment} */
function defaults() {
  return {
    WebSocket: globalThis.WebSocket,
    clock: {
      now: () => performance.now(),
      setTimeout: (task, ms) => setTimeout(task, ms),
      clearTimeout: (timer) => clearTimeout(/** @type {number | undefined} */ (timer)),
    },
    random,
    storage: localStorageIfAny(),
    events: typeof globalThis.addEventListener === "function" ? globalThis : new EventTarget(),
    isOnline: () => globalThis.navigator?.onLine !== false,
    isVisible: () => globalThis.document?.visibilityState !== "hidden",
    base: globalThis.document?.baseURI ?? null,
    report: (error) => (typeof reportError === "function" ? reportError(error) : console.error(error)),
  };
}

/** Not Math.random where there is better: two browsers with one id would take each other's notifications. */
function random() {
  if (!globalThis.crypto?.getRandomValues) return Math.random();
  return Number(crypto.getRandomValues(new Uint32Array(1))[0]) / 2 ** 32;
}

/** @returns {Storage | null} */
function localStorageIfAny() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
