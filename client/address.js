// Where the server is.

const WEBSOCKET = new Map([
  ["http:", "ws:"],
  ["https:", "wss:"],
]);

const LOOPBACK = /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/**
 * @param {string | URL} url
 * @param {string | null} base
 * @returns {URL}
 * @throws {TypeError} for what is no address of a WebSocket
 */
export function addressOf(url, base) {
  const address = base === null ? new URL(url) : new URL(url, base);
  address.protocol = WEBSOCKET.get(address.protocol) ?? address.protocol;
  if (!["ws:", "wss:"].includes(address.protocol)) throw new TypeError(`url must be ws, wss, http or https: ${url}`);
  // Browsers refuse addresses with one.
  address.hash = "";
  return address;
}

/**
 * Beside the WebSocket's address, if not told.
 * @param {string | URL | undefined} url
 * @param {URL} socket
 * @param {string | null} base
 * @returns {URL}
 * @throws {TypeError} for what is no address of an event stream
 */
export function eventsAddressOf(url, socket, base) {
  const address = url === undefined ? new URL("events", socket) : addressOf(url, base);
  address.protocol = address.protocol.replace("ws", "http");
  return address;
}

/**
 * A server on this machine is reached without a network too.
 * @param {URL} address
 */
export function isLoopback(address) {
  return LOOPBACK.test(address.hostname);
}
