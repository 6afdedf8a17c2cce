// Notifications on the desktop: few, the newest state of each object, and gone when they are over.

/** @import * as Api from "./bellwire.js" */

import { Digest } from "./digest.js";
import { Emitter } from "./emitter.js";
import { environment as usual } from "./environment.js";
import { Kept } from "./kept.js";
import { wordsOf } from "./language.js";
import { iconOf, linkOf, webAddress } from "./links.js";
import { PREFERENCES, preferences, Shown, SHOWN } from "./memory.js";
import { newsOf, SEVERITY, stateOf } from "./states.js";

export const STAYS_MS = 8000;
export const SHOW_WITHIN_MS = 3000;
/** The connection waits no longer: the next notification is behind this one. */
export const HANDED_OVER_MS = 1000;
export const DIGEST_EVERY_MS = 1000;
/** To ask for the permission stops the page for a moment, each time. */
export const PERMISSION_EVERY_MS = 1000;
/** No person closes a notification as fast as that. */
export const AT_ONCE_MS = 250;

const DIGEST_TAG = "bellwire-digest";

/** @typedef {{ what: Api.Desktop, severity: number, stays: boolean, url: string | null, options: object }} Card */

/** @typedef {{ desktop: Api.DesktopNotification, timers: unknown[], settle: () => void }} Open */

/** @implements {Api.Notifier} */
export class Notifier {
  #env;
  #words;
  #icons;
  #links;
  #listUrl;
  #digest;
  #shown;
  prefs;
  /** @type {Emitter<Api.NotifierEvents & Record<string, unknown>>} */
  #emitter;
  /** What this tab has shown, by tag. @type {Map<string, Open>} */
  #open = new Map();
  /** This tab's name in `Shown`. */
  #me;
  /** @type {unknown} */
  #redraw = null;
  #drawnAt = -Infinity;
  /** Pages may not make one, as in Chrome on phones. */
  #isUseless = false;
  #permission;
  #checkedAt = -Infinity;
  /** @type {Api.Suppression | null} */
  suppressed = null;

  /** @param {Api.NotifierOptions} [options] */
  constructor({ language, icons, links, listUrl, environment } = {}) {
    this.#env = desk(environment);
    const { storage, base, report, wallClock, random } = this.#env;
    this.#me = String(random());
    const kept = new Kept(storage);
    this.#words = wordsOf(language);
    this.#icons = String(icons ?? new URL("icons/", import.meta.url)).replace(/\/?$/, "/");
    this.#links = links;
    this.#listUrl = webAddress(listUrl && String(listUrl), base);
    this.#digest = new Digest(kept, wallClock);
    this.#shown = new Shown(kept);
    this.#emitter = new Emitter(report);
    this.prefs = preferences(kept, this.#tellPrefs);
    this.#permission = this.permission;
    this.#listen("addEventListener");
    this.#watch();
  }

  /** @returns {Api.Permission} */
  get permission() {
    const { Notification, isSecure } = this.#env;
    if (!isSecure) return "insecure";
    if (!Notification || this.#isUseless) return "unsupported";
    const { permission } = Notification;
    return permission === "granted" || permission === "denied" ? permission : "default";
  }

  get advice() {
    const { permission } = this;
    const { advice } = this.#words;
    if (permission === "granted") return this.suppressed && advice.suppressed;
    if (permission !== "denied") return advice[permission];
    const [family = "other"] = /firefox|chrom|safari/.exec(this.#env.userAgent.toLowerCase()) ?? [];
    return `${advice.denied} ${advice[/** @type {"other"} */ (family)]} ${advice.revoked}`;
  }

  /** @type {Api.Notifier["on"]} */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  /** @type {Api.Notifier["linkOf"]} */
  linkOf(notification) {
    return linkOf(notification, this.#links, this.#env.base);
  }

  async ask() {
    // Nothing is shown by this before it is allowed, but where pages may make none it fails at once.
    if (this.permission === "default") this.#make("", {});
    try {
      if (this.permission === "default") await this.#env.Notification?.requestPermission();
    } catch (error) {
      this.#env.report(error);
    }
    this.#check();
    return this.permission;
  }

  /** @param {Api.Notification} notification */
  async show(notification) {
    if (this.#env.clock.now() - this.#checkedAt >= PERMISSION_EVERY_MS) this.#check();
    if (this.#permission !== "granted") return;
    const counted = this.#digest.add(notification);
    if (!counted) return this.#showSingle(notification);
    if (newsOf(notification) === "recovery") this.#recovered(tagOf(notification));
    const wait = this.#drawnAt + DIGEST_EVERY_MS - this.#env.clock.now();
    if (counted.isWorse || (counted.isFirst && wait <= 0)) return this.#showDigest(counted.isWorse);
    // Not waited for: what comes meanwhile is counted.
    this.#redraw ??= this.#env.clock.setTimeout(() => this.#showDigest(false), Math.max(0, wait));
  }

  close() {
    this.#listen("removeEventListener");
    this.#env.clock.clearTimeout(this.#redraw);
  }

  // --- what is shown ---

  /** @param {Api.Notification} notification */
  #showSingle(notification) {
    const { base } = this.#env;
    const tag = tagOf(notification);
    const news = newsOf(notification);
    const severity = SEVERITY[stateOf(notification)];
    const [before = -1] = this.#shown.get(tag);
    return this.#display({
      what: { tag, title: notification.title, notification },
      // An acknowledgement makes no problem smaller.
      severity: news === "other" && before >= 0 ? before : severity,
      stays: news === "problem",
      url: this.linkOf(notification),
      options: {
        body: notification.body ?? "",
        icon: iconOf(notification, this.#icons, base),
        renotify: news === "problem" && severity > before,
        silent: news === "recovery",
      },
    });
  }

  /** @param {boolean} isWorse */
  async #showDigest(isWorse) {
    this.#env.clock.clearTimeout(this.#redraw);
    this.#redraw = null;
    const content = this.#digest.content;
    if (!content) return;
    this.#drawnAt = this.#env.clock.now();
    const { total, parts, worst, newest } = content;
    const { counted, digest } = this.#words;
    const title = digest.title(total, parts.map(({ count, state }) => counted(count, state)));
    await this.#display({
      what: { tag: DIGEST_TAG, title, notification: null },
      severity: worst.severity,
      stays: worst.severity > 0,
      url: this.#listUrl,
      options: {
        body: total > 1 ? digest.body(worst.title, newest) : newest,
        icon: iconOf(worst, this.#icons, null),
        renotify: isWorse,
        silent: !isWorse,
      },
    });
  }

  /** @param {Card} card @returns {Promise<void>} */
  #display({ what, severity, stays: mayStay, url, options }) {
    const { clock } = this.#env;
    const { tag } = what;
    const stays = mayStay && this.prefs.problemsStay;
    // It is replaced: its closing is not the person's, and would hit the new one.
    this.#forget(tag);
    this.#shown.set(tag, [severity, this.#me]);
    const desktop = this.#make(what.title, { tag, lang: this.#words.lang, requireInteraction: stays, ...options });
    if (!desktop) return Promise.resolve(this.#shown.set(tag));
    return new Promise((settle) => {
      let isSeen = false;
      const suppressed = (/** @type {Api.Suppression} */ reason) => {
        settle();
        this.suppressed = reason;
        this.#emitter.emit("suppressed", { ...what, reason });
      };
      const madeAt = clock.now();
      const timers = [
        clock.setTimeout(settle, HANDED_OVER_MS),
        clock.setTimeout(() => isSeen || suppressed("no_show"), SHOW_WITHIN_MS),
        stays ? null : clock.setTimeout(() => this.#end(tag, true), STAYS_MS),
      ];
      this.#open.set(tag, { desktop, timers, settle: () => settle() });
      desktop.onshow = () => {
        isSeen = true;
        settle();
        this.suppressed = null;
        this.#emitter.emit("shown", what);
      };
      desktop.onerror = () => this.#end(tag, false) && suppressed("error");
      desktop.onclose = () => {
        if (!this.#end(tag, false)) return;
        if (!what.notification) this.#digest.end();
        if (clock.now() - madeAt < AT_ONCE_MS) suppressed("closed");
      };
      desktop.onclick = (event) => {
        this.#end(tag, true);
        if (!what.notification) this.#digest.end();
        this.#follow(url, event, !what.notification);
        this.#emitter.emit("clicked", { ...what, url });
      };
    });
  }

  /** @param {string} title @param {object} options */
  #make(title, options) {
    const { Notification } = this.#env;
    try {
      return Notification && new Notification(title, options);
    } catch {
      this.#isUseless = true;
      this.#check();
      return null;
    }
  }

  /** @param {string | null} url @param {{ preventDefault(): void }} event @param {boolean} isList */
  #follow(url, event, isList) {
    const { base, focus, open } = this.#env;
    // Pages of hosts may differ in what is behind ? or # only; the list is the same one then.
    const page = (/** @type {string | null} */ address) => (isList ? address?.replace(/[?#].*/, "") : address);
    if (!url || page(url) === page(base)) return focus();
    // Else the browser would put this tab before the new one.
    event.preventDefault();
    // A page of others that has an opener could lead it elsewhere.
    const reuses = this.prefs.reuseTab && new URL(url).origin === new URL(base ?? "x:").origin;
    if (!reuses) return open(url, "_blank", "noopener");
    focus();
    open(url, "bellwire-target")?.focus();
  }

  // --- what goes ---

  /**
   * @param {string} tag
   * @param {boolean} closes
   * @returns {boolean} whether it was there, and not replaced by another tab's: closing would hit that one
   */
  #end(tag, closes) {
    const mine = this.#forget(tag);
    if (!mine || this.#ownerOf(tag) !== this.#me) return false;
    this.#shown.set(tag);
    if (closes) mine.desktop.close();
    return true;
  }

  /** @param {string} tag */
  #ownerOf(tag) {
    return this.#shown.get(tag)[1] ?? this.#me;
  }

  /** @param {string} tag */
  #forget(tag) {
    const mine = this.#open.get(tag);
    if (!mine) return null;
    this.#open.delete(tag);
    mine.timers.forEach(this.#env.clock.clearTimeout);
    const { desktop, settle } = mine;
    desktop.onshow = desktop.onerror = desktop.onclose = desktop.onclick = null;
    settle();
    return mine;
  }

  /**
   * It is counted only, but the problem goes, whichever tab has it.
   * @param {string} tag
   */
  #recovered(tag) {
    if (!this.#end(tag, true) && this.#shown.get(tag)[1]) this.#shown.set(tag, [0, ""]);
  }

  // --- what the browser and other tabs say ---

  /** @param {"addEventListener" | "removeEventListener"} how */
  #listen(how) {
    this.#env.events[how]("storage", this.#onStorage);
    this.#env.events[how]("visibilitychange", this.#check);
    this.#env.events[how]("pagehide", this.#onLeave);
  }

  /** @param {Event & { key?: string | null }} event */
  #onStorage = ({ key }) => {
    if (key === PREFERENCES) this.#tellPrefs();
    if (key !== SHOWN) return;
    for (const [tag, mine] of this.#open) {
      const owner = this.#ownerOf(tag);
      if (owner !== this.#me) this.#forget(tag);
      if (owner === "") mine.desktop.close();
    }
  };

  /** What is counted stands in no other place. */
  #onLeave = () => void (this.#redraw && this.#showDigest(false));

  #tellPrefs = () => this.#emitter.emit("prefs", { ...this.prefs });

  async #watch() {
    try {
      const status = await this.#env.permissions?.query({ name: "notifications" });
      if (status) status.onchange = this.#check;
    } catch {
      // Then it is noticed when the page is looked at again.
    }
  }

  #check = () => {
    this.#checkedAt = this.#env.clock.now();
    const { permission } = this;
    if (permission === this.#permission) return;
    this.#permission = permission;
    this.#emitter.emit("permission", permission);
  };
}

/** @param {Partial<Api.NotifierEnvironment>} [given] @returns {Api.NotifierEnvironment} */
function desk(given) {
  const { Notification = null, navigator, isSecureContext } = globalThis;
  return {
    ...usual({}),
    Notification,
    permissions: navigator?.permissions ?? null,
    isSecure: isSecureContext !== false,
    // Pages go on to other addresses without a load.
    get base() {
      return globalThis.document?.baseURI ?? null;
    },
    wallClock: () => Date.now(),
    open: (...what) => window.open(...what),
    focus: () => window.focus(),
    userAgent: navigator?.userAgent ?? "",
    ...given,
  };
}

/** @param {Api.Notification} notification */
function tagOf({ id, kind, host, service }) {
  const ids = kind === "host" ? [host?.id] : [host?.id, service?.id];
  const isWhole = kind !== "message" && ids.every(Boolean);
  return ["bellwire", kind, ...(isWhole ? ids : ["", id])].join(":");
}
