// The page for trying Bellwire out: one connection of the protocol bellwire.v1 (docs/protocol.md), and what it brings.

const LIST_LENGTH_MAX = 200;
const RECONNECT_FIRST_MS = 500;
const RECONNECT_MAX_MS = 30_000;
// A node that goes sends all its tabs away; they must not all come back in the same moment.
const RECONNECT_AT_ONCE_MS = 1000;

const element = (id) => document.getElementById(id);

/** User and key come once, behind the # of the address, and leave the address bar (and the history) at once. */
function whoAmI() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("user") && given.has("key")) {
    sessionStorage.setItem("bellwireUser", given.get("user"));
    sessionStorage.setItem("bellwireKey", given.get("key"));
    history.replaceState(null, "", location.pathname + location.search);
  }
  // The same name as openITCOCKPIT's front ends use: one browser stays one browser.
  let browser = localStorage.getItem("browserUuid");
  if (!browser) {
    browser = randomId();
    localStorage.setItem("browserUuid", browser);
  }
  return { user: sessionStorage.getItem("bellwireUser"), key: sessionStorage.getItem("bellwireKey"), browser };
}

/** A UUID of version 4; `crypto.randomUUID` does not exist on plain http other than localhost. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function showState(state, text) {
  element("state").dataset.state = state;
  element("state").textContent = text;
  element("test").disabled = state !== "connected";
}

function hint(text) {
  element("hint").textContent = text;
  element("hint").hidden = !text;
}

function safeUrl(text) {
  try {
    const url = new URL(text, location.href);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function show(notification) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const when = new Date(notification.timestamp * 1000);
  time.dateTime = when.toISOString();
  time.textContent = when.toLocaleTimeString();
  const title = document.createElement("h2");
  title.textContent = notification.title;
  const body = document.createElement("p");
  body.textContent = notification.body ?? "";
  item.append(time, title, body);
  const list = element("list");
  list.prepend(item);
  while (list.children.length > LIST_LENGTH_MAX) list.lastElementChild.remove();
  element("none").hidden = true;
  showOnDesktop(notification);
}

function showOnDesktop(notification) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  try {
    // Without the icon: its path is openITCOCKPIT's, which is not served here.
    const { title, body, id, url } = notification;
    const shown = new Notification(title, { body, tag: id });
    shown.onclick = () => {
      window.focus();
      const target = url && safeUrl(url);
      if (target) window.open(target, "_blank", "noopener");
    };
  } catch {
    // Some mobile browsers have the name but not the constructor; the list shows it all the same.
  }
}

class Connection {
  #me;
  #socket = null;
  #failures = 0;
  #deadline = null;
  #silenceMs = 60_000;
  #ids = new Set();

  constructor(me) {
    this.#me = me;
  }

  open() {
    showState("connecting", "connecting");
    // Relative, so that the page works behind any path of a proxy.
    const address = new URL("push_notifications", document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(address, ["bellwire.v1", this.#me.key]);
    } catch {
      showState("refused", "refused");
      hint("The key has characters that a browser cannot send. Choose one of letters, digits, - and _.");
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      const cursor = localStorage.getItem(this.#cursorName());
      this.#send({ op: "hello", user: this.#me.user, browser: this.#me.browser, ...(cursor && { cursor }) });
    };
    socket.onmessage = (event) => this.#on(JSON.parse(event.data));
    socket.onclose = (event) => this.#ended(event.code);
    this.#watch();
  }

  test() {
    this.#send({ op: "test" });
  }

  #cursorName() {
    return `bellwireCursor:${this.#me.user}`;
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The server speaks at least every ping interval: two intervals of silence mean that the connection is dead. */
  #watch() {
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#deadline = setTimeout(() => {
      // close() alone could wait for minutes for an answer.
      socket.onclose = socket.onmessage = null;
      socket.close();
      this.#ended(1006);
    }, this.#silenceMs);
  }

  #on(message) {
    this.#watch();
    switch (message.op) {
      case "welcome":
        this.#failures = 0;
        if (message.ping_interval_ms > 0) this.#silenceMs = 2 * message.ping_interval_ms + 5000;
        hint("");
        showState("connected", "connected");
        break;
      case "notification":
        // After a crash the server may repeat what it cannot know to have been shown.
        if (!this.#ids.has(message.id)) {
          this.#ids.add(message.id);
          if (this.#ids.size > LIST_LENGTH_MAX) this.#ids.delete(this.#ids.values().next().value);
          show(message);
        }
        this.#send({ op: "ack", cursor: message.cursor });
        localStorage.setItem(this.#cursorName(), message.cursor);
        break;
      case "gap":
        hint(`${message.dropped} notifications are gone for good: they were too old, or too many were waiting.`);
        break;
      case "error":
        hint(message.message);
        break;
      case "ping":
        this.#send({ op: "pong" });
        break;
    }
  }

  #ended(code) {
    clearTimeout(this.#deadline);
    if (code >= 4200 && code < 4300) {
      showState("refused", "refused");
      hint("This user or key is not accepted. Open the address that the server printed.");
      return;
    }
    if (code >= 4300 && code < 4400) {
      showState("refused", "stopped");
      hint("Page and server do not understand each other. Load the page again.");
      return;
    }
    const atOnce = code >= 4000 && code < 4100;
    const longest = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** this.#failures);
    const delay = Math.random() * (atOnce ? RECONNECT_AT_ONCE_MS : longest);
    this.#failures += 1;
    showState("waiting", "no connection, trying again");
    if (this.#failures === 3) hint("Still no connection. Is the server running, and is the key still the same?");
    setTimeout(() => this.open(), delay);
  }
}

function offerDesktop() {
  const button = element("allow");
  button.hidden = !("Notification" in window) || Notification.permission !== "default";
  button.onclick = async () => {
    await Notification.requestPermission();
    button.hidden = Notification.permission !== "default";
  };
}

const me = whoAmI();
if (me.user && me.key) {
  element("who").textContent = `Notifications for user ${me.user}`;
  const connection = new Connection(me);
  element("test").onclick = () => connection.test();
  offerDesktop();
  connection.open();
} else {
  showState("refused", "not connected");
  hint("Open the address that the server printed: it ends with #user=...&key=...");
}
// A second address with another user or key, pasted into the same tab, only changes what stands behind the #.
addEventListener("hashchange", () => location.reload());
