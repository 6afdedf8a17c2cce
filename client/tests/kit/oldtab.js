// A tab of openITCOCKPIT without a browser: the helper runs in it as its classic script does, on virtual time.

import { readFileSync } from "node:fs";
import vm from "node:vm";

import { FakeClock } from "./world.js";

const SOURCE = readFileSync(new URL("../../openitcockpit-tabs.js", import.meta.url), "utf8");

export const ORIGIN = "https://monitoring.example";
export const PUSH = "wss://monitoring.example/push_notifications";

class CloseEvent extends Event {
  constructor(type, { code, reason, wasClean }) {
    super(type);
    Object.assign(this, { code, reason, wasClean });
  }
}

/** The page's own, so that a test can replace its methods as a framework does. */
class Target extends EventTarget {}

/** As browsers have them: a handler is one more listener, where the page first set it. */
function handlers(prototype, names) {
  for (const name of names) {
    const kept = new WeakMap();
    Object.defineProperty(prototype, `on${name}`, {
      get() {
        return kept.get(this) ?? null;
      },
      set(handler) {
        if (!kept.has(this)) this.addEventListener(name, (event) => kept.get(this)?.call(this, event));
        kept.set(this, handler);
      },
    });
  }
}

/** What a browser's own WebSocket does, driven by the test from the server's side. */
class NativeSocket extends Target {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  state = 0;
  sent = [];
  binaryType = "blob";
  extensions = "";
  bufferedAmount = 0;

  constructor(url, protocols) {
    super();
    this.url = new URL(url, ORIGIN).href;
    this.protocols = protocols;
    this.protocol = protocols?.[0] ?? "";
  }

  get readyState() {
    return this.state;
  }

  send(data) {
    if (this.state === 0) throw new DOMException("still connecting", "InvalidStateError");
    if (this.state === 1) this.sent.push(JSON.parse(data));
  }

  close(code = 1005) {
    if (this.state >= 2) return;
    this.asked = code;
    this.state = 2;
  }

  // --- what server and network do ---

  open() {
    this.state = 1;
    this.dispatchEvent(new Event("open"));
  }

  say(message) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message), origin: ORIGIN }));
  }

  /** With a closing handshake. */
  closeFrame(code, reason = "") {
    this.state = 3;
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean: true }));
  }

  /** Without one, or before it was open. */
  breaks() {
    this.state = 3;
    this.dispatchEvent(new Event("error"));
    this.dispatchEvent(new CloseEvent("close", { code: 1006, reason: "", wasClean: false }));
  }
}

handlers(NativeSocket.prototype, ["open", "message", "error", "close"]);

export class OldTab {
  clock = new FakeClock();
  /** Every native socket that was ever made, the newest last. */
  sockets = [];
  random = 0.5;
  warnings = [];

  constructor({ without = [] } = {}) {
    const { sockets, clock, warnings } = this;
    const document = Object.assign(new EventTarget(), { visibilityState: "visible", baseURI: `${ORIGIN}/a/` });
    this.Native = class WebSocket extends NativeSocket {
      constructor(...given) {
        super(...given);
        sockets.push(this);
      }
    };
    const window = new EventTarget();
    Object.assign(window, { document, location: new URL(ORIGIN), WebSocket: this.Native, EventTarget: Target });
    Object.assign(window, { Event, MessageEvent, CloseEvent, DOMException, URL });
    const { setTimeout, clearTimeout, now } = clock;
    Object.assign(window, { setTimeout, clearTimeout, performance: { now } });
    Object.assign(window, { console: { warn: (...words) => warnings.push(words.join(" ")) }, window });
    for (const name of without) delete window[name];
    this.window = vm.createContext(window);
    vm.runInContext("Math", this.window).random = () => this.random;
  }

  /** As a page's first script. */
  load() {
    vm.runInContext(SOURCE, this.window);
    return this;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** Opens a socket as a page does, and notes what the page sees. */
  open(...given) {
    const socket = new this.window.WebSocket(...given);
    const seen = [];
    socket.onopen = () => seen.push("open");
    socket.onerror = () => seen.push("error");
    socket.onmessage = ({ data }) => seen.push(JSON.parse(data));
    const word = (wasClean) => (wasClean ? "clean" : "unclean");
    socket.addEventListener("close", ({ code, wasClean }) => seen.push(`close ${code} ${word(wasClean)}`));
    return { socket, seen };
  }

  /** The next attempt, and how long it took. */
  async nextSocket() {
    const [count, since] = [this.sockets.length, this.clock.now()];
    while (this.sockets.length === count) await this.clock.advance(100);
    return this.clock.now() - since;
  }

  online() {
    this.window.dispatchEvent(new Event("online"));
  }

  look(state) {
    this.window.document.visibilityState = state;
    this.window.document.dispatchEvent(new Event("visibilitychange"));
  }
}
