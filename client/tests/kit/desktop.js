// A desktop that several tabs of one browser share, as Chromium has it: a tag stands once, and what is replaced is told
// that it is closed.

import { Notifier } from "../../notifier.js";
import { World } from "./world.js";

export class Desktop {
  world = new World();
  permission = "granted";
  /** What the person would answer. */
  answer = "granted";
  /** Every one that was ever made. */
  made = [];
  /** How often a tab asked for the permission. */
  asked = 0;
  opened = [];
  focused = 0;
  /** Whether the system says by itself that it shows one. */
  shows = true;
  /** What the constructor throws. */
  fails = null;
  /** Whether tabs hear what others have written, before they ask. */
  hears = true;
  tabs = [];
  #last = 0;

  /** By tag: what can be seen now. */
  visible = new Map();

  get Notification() {
    const desktop = this;
    return class FakeNotification {
      static get permission() {
        desktop.asked++;
        return desktop.permission;
      }
      static async requestPermission() {
        if (desktop.permission === "default") desktop.permission = desktop.answer;
        return desktop.permission;
      }
      onshow = null;
      onerror = null;
      onclose = null;
      onclick = null;
      constructor(title, options) {
        if (desktop.fails) throw desktop.fails;
        if (options.renotify && !options.tag) throw new TypeError("renotify without a tag");
        if (options.renotify && options.silent) throw new Error("what is silent alerts nobody again");
        Object.assign(this, options, { title, at: desktop.world.clock.now() });
        if (desktop.permission !== "granted") return queueMicrotask(() => this.onerror?.({}));
        desktop.made.push(this);
        const replaced = desktop.visible.get(this.tag);
        desktop.visible.set(this.tag, this);
        queueMicrotask(() => {
          replaced?.onclose?.({});
          if (desktop.shows) this.onshow?.({});
        });
      }
      /** By its tag, even where that is another one's meanwhile: as the specification allows. */
      close() {
        const stands = desktop.visible.get(this.tag);
        desktop.visible.delete(this.tag);
        if (stands) queueMicrotask(() => stands.onclose?.({}));
      }
      click() {
        this.onclick?.({ preventDefault: () => (this.prevented = true) });
      }
    };
  }

  /** One more tab of the browser. */
  tab(options = {}) {
    const events = new EventTarget();
    const number = ++this.#last / 64;
    const notifier = new Notifier({
      icons: "https://monitoring.example/client/icons",
      listUrl: "/bell/",
      language: "en",
      ...options,
      environment: {
        ...this.world.environment(),
        events,
        random: () => number,
        storage: this.#storage(events),
        Notification: this.Notification,
        permissions: null,
        isSecure: true,
        wallClock: () => 1e12 + this.world.clock.now(),
        open: (...what) => (this.opened.push(what), { focus: () => this.opened.push("focus") }),
        focus: () => void this.focused++,
        userAgent: "Chrome/1",
        ...options.environment,
      },
    });
    const tab = { notifier, events, told: [] };
    for (const name of ["shown", "clicked", "suppressed", "permission", "prefs"]) {
      notifier.on(name, (event) => tab.told.push([name, event]));
    }
    tab.names = () => tab.told.map(([name]) => name);
    tab.show = async (...notifications) => {
      for (const notification of notifications) {
        let isOver = false;
        notifier.show(notification).then(() => (isOver = true));
        for (let waited = 0; !isOver && waited < 20; waited++) await this.world.clock.advance(waited && 100);
        if (!isOver) throw new Error("show() does not end");
      }
    };
    this.tabs.push(tab);
    return tab;
  }

  /** A browser tells the other tabs what one has written. */
  #storage(events) {
    const { storage } = this.world;
    return {
      getItem: (name) => storage.getItem(name),
      setItem: (name, text) => {
        storage.setItem(name, text);
        for (const tab of this.tabs) {
          const event = Object.assign(new Event("storage"), { key: name });
          if (this.hears && tab.events !== events) queueMicrotask(() => tab.events.dispatchEvent(event));
        }
      },
    };
  }

  get titles() {
    return [...this.visible.values()].map(({ title }) => title);
  }

  get last() {
    return this.made.at(-1);
  }
}

let last = 0;

export const service = (state, more = {}) => ({
  id: `n${++last}`,
  timestamp: 1,
  kind: "service",
  type: state ? "PROBLEM" : "RECOVERY",
  state,
  host: { id: "h1", name: "web1" },
  service: { id: "s1", name: "disk" },
  title: `web1/disk is ${["OK", "WARNING", "CRITICAL", "UNKNOWN"][state]}`,
  ...more,
});

export const host = (state, more = {}) => ({
  ...service(state),
  kind: "host",
  service: undefined,
  title: `web1 is ${["UP", "DOWN", "UNREACHABLE"][state]}`,
  ...more,
});

export const message = (more = {}) => {
  return { id: `n${++last}`, timestamp: 1, kind: "message", state: 0, title: "hello", ...more };
};

/** Of as many objects. */
export const storm = (count, state = 1) =>
  Array.from({ length: count }, (_, at) => {
    return service(state, { service: { id: `storm${at}`, name: `s${at}` }, title: `s${at} of ${state}` });
  });
