// What the client needs from outside. Tests give their own; each default survives a browser that forbids it.

/** @import { Environment } from "./bellwire.js" */

/** What a given environment has only if it says so: a test would else reach the real network, disk and tabs. */
const NONE = { fetch: null, SharedWorker: null, BroadcastChannel: null, locks: null, indexedDB: null };

/**
 * @param {Partial<Environment> | null} given
 * @returns {Environment}
 */
export function environment(given) {
  return { ...defaults(), ...(given && NONE), ...given };
}

/** @returns {Environment} */
function defaults() {
  return {
    WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch?.bind(globalThis) ?? null,
    SharedWorker: globalThis.SharedWorker ?? null,
    BroadcastChannel: globalThis.BroadcastChannel ?? null,
    locks: allowed(() => navigator.locks),
    indexedDB: allowed(() => indexedDB),
    clock: {
      now: () => performance.now(),
      setTimeout: (task, ms) => setTimeout(task, ms),
      clearTimeout: (timer) => clearTimeout(/** @type {number | undefined} */ (timer)),
    },
    date: () => Date.now(),
    random,
    storage: allowed(() => localStorage),
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

/**
 * @template T
 * @param {() => T} get  which throws where the browser has none, or forbids it
 * @returns {T | null}
 */
function allowed(get) {
  try {
    return get() ?? null;
  } catch {
    return null;
  }
}
