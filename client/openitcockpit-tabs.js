// For tabs of openITCOCKPIT's own front ends, which give up when their connection ends: docs/openitcockpit-tabs.md.
// A classic script that runs before those of the page. It takes the place of `WebSocket` for the address of the
// notifications only; where anything here fails, the page gets what the browser would have given it.

(() => {
  "use strict";

  const PATH_END = "/push_notifications";
  const RETRY_FIRST_MS = 2000;
  const RETRY_MAX_MS = 60_000;
  /** A connection that ends sooner proves nothing: the waits go on growing. */
  const STEADY_MS = 10_000;
  /** All browsers behind one switch are back at the same moment. */
  const HURRY_WITHIN_MS = 1000;
  const OPEN_WITHIN_MS = 30_000;
  /** Both servers answer a keep-alive at once. */
  const ANSWER_WITHIN_MS = 20_000;
  /** What a page said while there was no connection, so many at most; a page says little. */
  const WAITING_MAX = 16;
  /** Ends right after the greeting, in a row: the key counts no longer. */
  const REFUSED_MAX = 8;

  const MARK = Symbol.for("bellwire.openitcockpit-tabs");
  const Native = window.WebSocket;
  if (typeof Native !== "function" || typeof Proxy !== "function" || Object.hasOwn(window, MARK)) return;
  const { CONNECTING, OPEN, CLOSING, CLOSED } = Native;
  // Taken before the page's framework replaces them: its change detection must not wait for these timers.
  const setTimer = window.setTimeout.bind(window);
  const clearTimer = window.clearTimeout.bind(window);

  // --- what both front ends need ---

  /** Those that wait, and go on soon when that promises something. @type {Set<() => void>} */
  const waiting = new Set();

  function hurry() {
    for (const goOnSoon of [...waiting]) goOnSoon();
  }
  window.addEventListener("online", hurry);
  window.document.addEventListener("visibilitychange", () => {
    if (window.document.visibilityState === "visible") hurry();
  });

  /** Drawn from the whole range: after an outage all tabs would else come back in waves. */
  class Backoff {
    #failures = 0;
    #openedAt = Infinity;

    opened() {
      this.#openedAt = performance.now();
    }

    /** @param {() => void} task @returns {() => void} forgets it */
    later(task) {
      if (performance.now() - this.#openedAt >= STEADY_MS) this.#failures = 0;
      this.#openedAt = Infinity;
      const ms = Math.random() * Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#failures);
      this.#failures += 1;
      const forget = () => {
        clearTimer(timer);
        waiting.delete(goOnSoon);
      };
      const goOn = () => {
        forget();
        task();
      };
      const goOnSoon = () => {
        forget();
        timer = setTimer(goOn, Math.random() * HURRY_WITHIN_MS);
      };
      let timer = setTimer(goOn, ms);
      waiting.add(goOnSoon);
      return forget;
    }
  }

  /** Finds a connection that carries nothing any more: a keep-alive went out, and nothing at all came back. */
  class Watch {
    #timer = 0;
    #dead;

    /** @param {() => void} dead */
    constructor(dead) {
      this.#dead = dead;
    }

    sent() {
      if (!this.#timer) this.#timer = setTimer(this.#dead, ANSWER_WITHIN_MS);
    }

    heard() {
      clearTimer(this.#timer);
      this.#timer = 0;
    }
  }

  /**
   * What a message says it is: V1's `task`, V2's `type`.
   * @param {unknown} data
   */
  function word(data) {
    if (typeof data !== "string") return undefined;
    try {
      const { task, type } = JSON.parse(data);
      return task ?? type;
    } catch {
      return undefined;
    }
  }

  /** @param {number} code @param {string} reason @param {boolean} wasClean */
  function closeEvent(code, reason, wasClean) {
    return new CloseEvent("close", { code, reason, wasClean });
  }

  // --- V1: never reconnects. The page keeps one socket for its life, and the real ones come and go beneath. ---

  /** @type {(keyof WebSocketEventMap)[]} */
  const EVENTS = ["open", "message", "error", "close"];

  class Lasting extends EventTarget {
    #url;
    /** @type {number} */
    #state = CONNECTING;
    /** @type {WebSocket | null} */
    #real = null;
    #backoff = new Backoff();
    #watch = new Watch(() => this.#end(1006, "", false));
    /** @type {string[]} */
    #unsent = [];
    /** @type {BinaryType} */
    #binaryType = "blob";
    #refused = 0;
    #greetedOnly = true;
    #isDown = false;
    #forget = () => {};
    /** @type {Map<string, { handler: Function, listener: (event: Event) => void }>} */
    #handlers = new Map();

    /** @param {string | URL} url */
    constructor(url) {
      super();
      this.#url = url;
      this.#connect();
      for (const name of EVENTS) this.#handlerProperty(name);
    }

    get url() {
      return this.#real?.url ?? new URL(this.#url, document.baseURI).href;
    }
    get readyState() {
      return this.#state;
    }
    get protocol() {
      return this.#real?.protocol ?? "";
    }
    get extensions() {
      return this.#real?.extensions ?? "";
    }
    get bufferedAmount() {
      return this.#real?.bufferedAmount ?? 0;
    }
    get binaryType() {
      return this.#binaryType;
    }
    set binaryType(type) {
      this.#binaryType = type;
      if (this.#real) this.#real.binaryType = type;
    }

    /** @param {any} data */
    send(data) {
      if (this.#state === CONNECTING) throw new DOMException("Still in CONNECTING state.", "InvalidStateError");
      if (this.#state !== OPEN) return;
      const said = word(data);
      if (this.#real?.readyState === OPEN) {
        this.#real.send(data);
        if (said === "keepAlive") this.#watch.sent();
      } else if (said !== undefined && said !== "keepAlive" && said !== "register") {
        // The next greeting makes the page register by itself.
        this.#unsent.push(data);
        if (this.#unsent.length > WAITING_MAX) this.#unsent.shift();
      }
    }

    /** @param {number} [code] @param {string} [reason] */
    close(code, reason) {
      if (this.#state >= CLOSING) return;
      if (this.#real) {
        if (code === undefined) this.#real.close();
        else this.#real.close(code, reason);
        this.#state = CLOSING;
        return;
      }
      this.#state = CLOSING;
      this.#forget();
      setTimer(() => this.#closed(closeEvent(code ?? 1005, reason ?? "", true)), 0);
    }

    #connect() {
      const real = new Native(this.#url);
      real.binaryType = this.#binaryType;
      this.#real = real;
      this.#greetedOnly = true;
      const late = setTimer(() => real.readyState === CONNECTING && this.#end(1006, "", false), OPEN_WITHIN_MS);
      const mine = (/** @type {(event: any) => void} */ task) => (/** @type {any} */ event) => {
        if (real === this.#real) task(event);
      };
      real.addEventListener("open", mine(() => this.#opened(real, late)));
      real.addEventListener("message", mine((event) => this.#heard(event)));
      real.addEventListener("close", mine(({ code, reason, wasClean }) => this.#end(code, reason, wasClean)));
    }

    /** @param {WebSocket} real @param {number} late */
    #opened(real, late) {
      clearTimer(late);
      this.#backoff.opened();
      this.#isDown = false;
      if (this.#state === CONNECTING) {
        this.#state = OPEN;
        this.dispatchEvent(new Event("open"));
      }
      for (const data of this.#unsent.splice(0)) real.send(data);
    }

    /** @param {MessageEvent} event */
    #heard({ data, origin }) {
      this.#watch.heard();
      if (word(data) !== "connection") this.#greetedOnly = false;
      this.dispatchEvent(new MessageEvent("message", { data, origin }));
    }

    /** @param {number} code @param {string} reason @param {boolean} wasClean */
    #end(code, reason, wasClean) {
      const real = this.#real;
      this.#real = null;
      this.#watch.heard();
      if (this.#state === CLOSING) return this.#closed(closeEvent(code, reason, wasClean));
      if (real && real.readyState < CLOSING) real.close();
      // openITCOCKPIT's own server gives no reason.
      const refused = wasClean && this.#greetedOnly && (reason === "bad_key" || code === 1000);
      this.#refused = refused ? this.#refused + 1 : 0;
      if (this.#refused >= REFUSED_MAX) return this.#giveUp(code, reason);
      // Once for each loss: so that the page does not say that it is connected.
      if (!this.#isDown) this.dispatchEvent(new Event("error"));
      this.#isDown = true;
      if (this.#state < CLOSING) this.#forget = this.#backoff.later(() => this.#again());
    }

    #again() {
      try {
        this.#connect();
      } catch (error) {
        this.#giveUp(1006, String(error));
      }
    }

    /** @param {number} code @param {string} reason */
    #giveUp(code, reason) {
      console.warn(`Notifications: the server takes this page no longer (${code} ${reason}). Load the page again.`);
      this.#state = CLOSING;
      this.dispatchEvent(new Event("error"));
      this.#closed(closeEvent(code, reason, false));
    }

    /** @param {CloseEvent} event */
    #closed(event) {
      this.#state = CLOSED;
      this.dispatchEvent(event);
    }

    /**
     * By addEventListener, which a page's framework may have replaced to know what its handlers do.
     * @param {keyof WebSocketEventMap} name
     */
    #handlerProperty(name) {
      Object.defineProperty(this, `on${name}`, {
        configurable: true,
        enumerable: true,
        get: () => this.#handlers.get(name)?.handler ?? null,
        set: (handler) => {
          const old = this.#handlers.get(name);
          if (old) this.removeEventListener(name, old.listener);
          this.#handlers.delete(name);
          if (typeof handler !== "function") return;
          const listener = (/** @type {Event} */ event) => handler.call(this, event);
          this.#handlers.set(name, { handler, listener });
          this.addEventListener(name, listener);
        },
      });
    }
  }
  // `instanceof WebSocket` and the constants.
  Object.setPrototypeOf(Lasting.prototype, Native.prototype);

  // --- V2: comes back by itself, but not after a closing handshake. So it is told of none but its own. ---

  const comeBack = new Backoff();

  /** @param {WebSocket} socket a native one, which nobody listens to yet */
  function neverClean(socket) {
    const { send, close } = Native.prototype;
    let [hasOpened, isOver, isAsked, isTelling] = [false, false, false, false];
    let release = () => {};
    const watch = new Watch(() => {
      close.call(socket);
      over();
    });

    /** The page learns of an end as a broken network makes it. */
    function tell() {
      release = () => {};
      isTelling = true;
      Object.defineProperty(socket, "readyState", { configurable: true, value: CLOSED });
      socket.dispatchEvent(new Event("error"));
      socket.dispatchEvent(closeEvent(1006, "", false));
      isTelling = false;
    }

    function over() {
      isOver = true;
      if (hasOpened) return tell();
      // The page tries again every 3 s for ever; held back, its attempts become rarer.
      const forget = comeBack.later(tell);
      release = () => {
        forget();
        release = () => {};
        setTimer(tell, 0);
      };
    }

    /**
     * Comes before every listener of the page.
     * @param {keyof WebSocketEventMap} name
     * @param {() => boolean} isForPage
     */
    function first(name, isForPage) {
      socket.addEventListener(name, (event) => {
        if (!isTelling && !isForPage()) event.stopImmediatePropagation();
      });
    }
    first("open", () => {
      hasOpened = true;
      comeBack.opened();
      return true;
    });
    first("message", () => {
      watch.heard();
      return !isOver;
    });
    first("error", () => isAsked && !isOver);
    first("close", () => {
      watch.heard();
      if (!isOver && !isAsked) over();
      return !isOver;
    });
    own(socket, "send", (/** @type {any} */ data) => {
      send.call(socket, data);
      if (word(data) === "KeepAlive" && socket.readyState === OPEN) watch.sent();
    });
    own(socket, "close", (/** @type {[number?, string?]} */ ...given) => {
      close.apply(socket, given);
      isAsked = true;
      release();
    });
    return socket;
  }

  /** @param {object} object @param {string} name @param {Function} value */
  function own(object, name, value) {
    Object.defineProperty(object, name, { configurable: true, writable: true, value });
  }

  // --- which is which ---

  /** @param {unknown} url */
  function isPush(url) {
    if (typeof url !== "string" && !(url instanceof URL)) return false;
    const { host, pathname } = new URL(url, window.document.baseURI);
    return host === window.location.host && pathname.endsWith(PATH_END);
  }

  /** @param {unknown[]} given what the constructor got @returns {object | null} nothing for sockets of others */
  function made([url, protocols]) {
    if (!isPush(url)) return null;
    const address = /** @type {string | URL} */ (url);
    if (protocols === undefined) return new Lasting(address);
    const isV2 = Array.isArray(protocols) && protocols[0] === "access_token";
    return isV2 ? neverClean(new Native(address, protocols)) : null;
  }

  /** @type {typeof Native} */
  const WebSocket = new Proxy(Native, {
    construct(target, given, newTarget) {
      const isOurs = newTarget === WebSocket;
      try {
        const socket = isOurs && made(given);
        if (socket) return socket;
      } catch (error) {
        console.warn("Notifications: the helper failed; this page has the browser's own WebSocket.", error);
      }
      return Reflect.construct(target, given, isOurs ? target : newTarget);
    },
  });
  // A socket's `constructor` is the page's WebSocket.
  for (const prototype of [Native.prototype, Lasting.prototype]) own(prototype, "constructor", WebSocket);
  own(window, "WebSocket", WebSocket);
  Object.defineProperty(window, MARK, { value: true });
})();
