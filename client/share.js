// Where a tab finds the hub that has the browser's one connection. Each way ends in a port to it, or fails.

/** @import { Environment, WorkerPort } from "./bellwire.js" */
/** @import { Settings } from "./connection.js" */
/** @import { TabPort } from "./port.js" */

import { Hub } from "./hub.js";
import { Leader } from "./leader.js";
import { ignore, pair, workerPort } from "./port.js";
import { Relay } from "./relay.js";

/**
 * Raised with every change of port.js after which a tab and a hub of before and after would not understand each other:
 * where the client is served from a path without a version, tabs that were opened before an update and after it meet.
 */
const LANGUAGE = 1;

/**
 * @typedef {object} Seeker
 * @property {string} id  of the tab
 * @property {Environment} environment
 * @property {string} name  of the hub
 * @property {(port: TabPort) => void} onPort  called again whenever the hub is another one
 * @property {() => void} onFail
 *
 * @typedef {object} Way
 * @property {"worker" | "leader" | "alone"} sharing
 * @property {() => void} open
 * @property {() => void} renew  the hub does not answer, or does not know this tab
 * @property {() => void} close
 */

/**
 * Equal in all tabs that may share. It holds no key: names of workers can be seen.
 * @param {Settings} settings  with absolute addresses
 */
export function hubName({ url, eventsUrl, user, key, browser }) {
  // Tabs with another path of the code may have another version of it.
  const parts = [import.meta.url, String(url), String(eventsUrl), key, browser ?? null];
  return `bellwire${LANGUAGE}:${user}:${hash(JSON.stringify(parts))}`;
}

/**
 * @param {Seeker} seeker
 * @param {boolean} shared
 * @returns {Way[]} the best first
 */
export function waysOf(seeker, shared) {
  const { SharedWorker, BroadcastChannel, locks } = seeker.environment;
  /** @type {Way[]} */
  const ways = [];
  if (shared && SharedWorker) ways.push(new ByWorker(seeker, SharedWorker));
  if (shared && BroadcastChannel && locks) ways.push(new Leader(seeker, BroadcastChannel, locks));
  return [...ways, new Alone(seeker)];
}

/**
 * What the worker does with each port.
 * @param {Environment} environment
 */
export function workerHubs(environment) {
  /** @type {Hub | null} */
  let hub = null;
  return (/** @type {WorkerPort} */ port) => {
    // A page that is loaded anew may meet the worker of the one before.
    if (!hub || hub.over) hub = new Hub(environment, new Relay(environment.clock));
    const line = workerPort(port);
    // It stays open for a tab that was thought to be gone and is not.
    line.close = ignore;
    hub.connect(line);
  };
}

/** @implements {Way} */
class ByWorker {
  /** @type {"worker"} */
  sharing = "worker";
  #seeker;
  #SharedWorker;
  /** @type {TabPort | null} */
  #port = null;

  /**
   * @param {Seeker} seeker
   * @param {NonNullable<Environment["SharedWorker"]>} SharedWorker
   */
  constructor(seeker, SharedWorker) {
    this.#seeker = seeker;
    this.#SharedWorker = SharedWorker;
  }

  open() {
    const { name, onPort, onFail } = this.#seeker;
    try {
      const worker = new this.#SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name });
      worker.onerror = () => onFail();
      this.#port = workerPort(worker.port);
    } catch {
      return onFail();
    }
    onPort(this.#port);
  }

  renew() {
    this.close();
    this.open();
  }

  close() {
    this.#port?.close();
  }
}

/** @implements {Way} */
class Alone {
  /** @type {"alone"} */
  sharing = "alone";
  #seeker;

  /** @param {Seeker} seeker */
  constructor(seeker) {
    this.#seeker = seeker;
  }

  open() {
    const [tab, hub] = pair();
    new Hub(this.#seeker.environment).connect(hub);
    this.#seeker.onPort(tab);
  }

  renew() {
    this.open();
  }

  close() {}
}

/**
 * Not to be turned back into a key: it is shorter than one.
 * @param {string} text
 */
function hash(text) {
  let [a, b] = [0x811c9dc5, 0x9747b28c];
  for (let at = 0; at < text.length; at++) {
    a = Math.imul(a ^ text.charCodeAt(at), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(at), 0x5bd1e995);
    b ^= b >>> 13;
  }
  return ((a >>> 0).toString(36) + (b >>> 0).toString(36)).padStart(14, "0");
}
