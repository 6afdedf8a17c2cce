// What a tab and the hub speak over, whichever way the hub is reached: both ends of a line.

/** @import { Info, Notification, Status, WorkerPort } from "./bellwire.js" */
/** @import { Settings } from "./connection.js" */

/**
 * What a tab says. `join` comes first; `settings` is left out where the hub has its own, so that the key does not go
 * over a channel that every tab hears. `key` answers the hub's.
 *
 * @typedef {{ op: "join", settings?: Settings, kept: Record<string, string>, lock: string | null,
 *   running: string[] } & Looks} Join  `running`: what it is showing already, asked by a hub that is gone
 * @typedef {{ visible: boolean, online: boolean }} Looks
 * @typedef {Join
 *   | { op: "look", cause: string } & Looks
 *   | { op: "shown", id: string, how: "shown" | "failed" | "late", words?: string }
 *   | { op: "test", message: object }
 *   | { op: "key", id: number } & ({ key: string } | { words: string })
 *   | { op: "ping" | "pong" }
 *   | { op: "leave", busy: boolean }} FromTab
 */

/**
 * What the hub says. A notification that is not begun to be shown by the date `by` is another tab's; `again` is said to
 * a tab that is no member (any more). `key` asks for one.
 *
 * @typedef {{ op: "joined", status: Status, info: HubInfo }
 *   | { op: "event", name: "state" | "gap" | "status" | "error" | "notification", event: any }
 *   | { op: "info", info: HubInfo }
 *   | { op: "show", notification: Notification, by: number | null }
 *   | { op: "keep", kept: Record<string, string> }
 *   | { op: "key", id: number }
 *   | { op: "ping" | "pong" | "again" | "refused" }} FromHub
 * @typedef {Omit<Info, "sharing">} HubInfo
 */

/**
 * One end.
 * @template Said
 * @template Heard
 * @typedef {object} Port
 * @property {boolean} local  both ends are in one tab: neither can go without the other
 * @property {(message: Said) => void} post
 * @property {(message: Heard) => void} onmessage
 * @property {() => void} close
 */

/**
 * @typedef {Port<FromTab, FromHub>} TabPort
 * @typedef {Port<FromHub, FromTab>} HubPort
 */

/**
 * The ends of a line within a tab. It carries at once, so that a page alone sees no step between.
 * @returns {[TabPort, HubPort]}
 */
export function pair() {
  /** @type {TabPort} */
  const tab = { local: true, post: (message) => hub.onmessage(message), onmessage: ignore, close: ignore };
  /** @type {HubPort} */
  const hub = { local: true, post: (message) => tab.onmessage(message), onmessage: ignore, close: ignore };
  return [tab, hub];
}

/**
 * An end of a line between a tab and a worker.
 * @param {WorkerPort} given
 * @returns {Port<any, any>}
 */
export function workerPort(given) {
  /** @type {Port<any, any>} */
  const port = {
    local: false,
    post: (message) => given.postMessage(message),
    onmessage: ignore,
    close: () => given.close(),
  };
  given.onmessage = (event) => port.onmessage(event.data);
  return port;
}

export function ignore() {}
