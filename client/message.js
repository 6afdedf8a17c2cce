// What the server says, checked: the rest of the client meets no value of another type than it expects.

/** @import { Notification, Subject, TestRequest } from "./bellwire.js" */

/**
 * @typedef {{ op: "welcome", pingIntervalMs: number, session: string | null, version: string | null }
 *   | { op: "notification", cursor: string, notification: Notification }
 *   | { op: "gap", dropped: number }
 *   | { op: "drain", afterMs: number }
 *   | { op: "status", key: string, value: unknown }
 *   | { op: "ping" }
 *   | { op: "error", code: string, message: string }
 *   | { op: "nothing" }
 *   | { op: "unreadable", why: string }} Message
 */

/** Twice what the server takes for a notification. */
export const TEXT_LENGTH_MAX = 2 * 1024 * 1024;

/** A longer cursor is none to the server, and would make a message that ends the session. */
export const CURSOR_LENGTH_MAX = 256;

const ID_LENGTH_MAX = 256;
const PING_INTERVAL_DEFAULT_MS = 25_000;
const PING_INTERVAL_MIN_MS = 1000;
/** Timers of browsers wrap around at 2^31 and would fire at once. */
const PING_INTERVAL_MAX_MS = 3_600_000;

const KINDS = /** @type {const} */ (["host", "service", "message"]);

/** @typedef {Record<string, unknown>} Fields */

/** @type {Record<string, (fields: Fields) => Message>} */
const READERS = {
  welcome: ({ ping_interval_ms: ms, session, version }) => ({
    op: "welcome",
    pingIntervalMs: interval(ms),
    session: text(session) ?? null,
    version: text(version) ?? null,
  }),
  notification: readNotification,
  gap: ({ dropped }) =>
    isCount(dropped) && dropped > 0 ? { op: "gap", dropped } : unreadable("gap: dropped must be a count above 0"),
  // Without a time the hint is the same: connect elsewhere now.
  drain: ({ after_ms: ms }) => ({ op: "drain", afterMs: isCount(ms) ? ms : 0 }),
  status: ({ key, value }) =>
    typeof key === "string" ? { op: "status", key, value } : unreadable("status: key must be a text"),
  ping: () => ({ op: "ping" }),
  pong: () => ({ op: "nothing" }),
  error: ({ code, message }) => ({
    op: "error",
    code: text(code) ?? "unknown",
    message: text(message) ?? "the server named an error without words",
  }),
};

/**
 * @param {unknown} data what came in a message event
 * @returns {Message}
 */
export function read(data) {
  if (typeof data !== "string") return unreadable("a message must be text");
  if (data.length > TEXT_LENGTH_MAX) return unreadable(`a message must have at most ${TEXT_LENGTH_MAX} characters`);
  const fields = parse(data);
  if (!fields) return unreadable("a message must be one JSON object");
  if (typeof fields["op"] !== "string") return unreadable("op must be a text");
  const op = fields["op"];
  const reader = Object.hasOwn(READERS, op) ? READERS[op] : undefined;
  // A later server may say more; what it means is not for this client.
  return reader ? reader(fields) : { op: "nothing" };
}

/**
 * @param {string} data
 * @returns {Fields | null}
 */
function parse(data) {
  try {
    const value = JSON.parse(data);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * Only what makes it impossible to show it once and to acknowledge it is an error: a notification with a damaged
 * icon is still one.
 * @param {Fields} fields
 * @returns {Message}
 */
function readNotification(fields) {
  const { id, cursor } = fields;
  if (!isToken(id, ID_LENGTH_MAX)) return unreadable("notification: id must be a text");
  if (!isToken(cursor, CURSOR_LENGTH_MAX)) return unreadable("notification: cursor must be a text");
  /** @type {Notification} */
  const notification = {
    id,
    timestamp: finite(fields["timestamp"]),
    kind: KINDS.find((kind) => kind === fields["kind"]) ?? "message",
    state: finite(fields["state"]),
    title: text(fields["title"]) ?? "",
  };
  for (const name of /** @type {const} */ (["type", "body", "icon", "url"])) {
    const value = text(fields[name]);
    if (value !== undefined) notification[name] = value;
  }
  for (const name of /** @type {const} */ (["host", "service"])) {
    const value = subject(fields[name]);
    if (value) notification[name] = value;
  }
  if (fields["digested"] === true) notification.digested = true;
  return { op: "notification", cursor, notification };
}

/**
 * @param {unknown} value
 * @returns {Subject | null}
 */
function subject(value) {
  if (typeof value !== "object" || value === null) return null;
  const { id, name } = /** @type {Fields} */ (value);
  return typeof id === "string" && typeof name === "string" ? { id, name } : null;
}

/**
 * @param {unknown} value
 * @param {number} lengthMax
 * @returns {value is string}
 */
export function isToken(value, lengthMax) {
  return typeof value === "string" && value.length > 0 && value.length <= lengthMax;
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : undefined;
}

/** @param {unknown} value */
function finite(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isCount(value) {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** @param {unknown} value */
function interval(value) {
  if (typeof value !== "number" || !(value > 0)) return PING_INTERVAL_DEFAULT_MS;
  return Math.min(Math.max(value, PING_INTERVAL_MIN_MS), PING_INTERVAL_MAX_MS);
}

/**
 * @param {string} why
 * @returns {Message}
 */
function unreadable(why) {
  return { op: "unreadable", why };
}

/**
 * Only the fields that the protocol knows, and those only where they are said.
 * @param {TestRequest} request
 */
export function testMessage({ title, icon, kind, type, state }) {
  return { op: "test", title, icon, kind, type, state };
}
