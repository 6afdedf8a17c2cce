// Notifications on the desktop: few, the newest state of each object, and gone when they are over.

/** @import * as Api from "./bellwire.js" */

import { desk } from "./desk.js";
import { Digest } from "./digest.js";
import { Emitter } from "./emitter.js";
import { Kept } from "./kept.js";
import { wordsOf } from "./language.js";
import { iconOf, linkOf, LINKS, pageAbove, webAddress } from "./links.js";
import { PREFERENCES_NAME, preferences } from "./preferences.js";
import { Shown, SHOWN_NAME } from "./shown.js";
import { newsOf, SEVERITY, stateOf } from "./states.js";

export const STAYS_MS = 8000;
export const DIGEST_EVERY_MS = 1000;
export const HANDED_OVER_MS = 1000;
export const SHOW_WITHIN_MS = 3000;

/** No person closes a notification as fast as that. */
export const AT_ONCE_MS = 250;

export const DIGEST_TAG = "bellwire-digest";
const TARGET = "bellwire-target";

/**
 * One that is to be shown.
 * @typedef {object} Card
 * @property {string} tag
 * @property {string} title
 * @property {string} body
 * @property {string | undefined} icon
 * @property {string | null} url
 * @property {number} severity
 * @property {"worse" | "plain" | "silent"} manner
 * @property {Api.Notification | null} notification
 */

/**
 * One that this tab has shown.
 * @typedef {object} Open
 * @property {string} by
 * @property {Api.DesktopNotification} desktop
 * @property {unknown[]} timers
 * @property {() => void} settle
 */

/** @implements {Api.Notifier} */
export class Notifier {
  #env;
  #kept;
  #words;
  #icons;
  #links;
  #listUrl;
  #digest;
  #shown;
  /** @type {Emitter<Api.NotifierEvents & Record<string, unknown>>} */
  #emitter;
  /** By tag. @type {Map<string, Open>} */
  #open = new Map();
  #count = 0;
  /** @type {unknown} */
  #redraw = null;
  #drawnAt = -Infinity;
  /** There is a Notification that pages may not make, as in Chrome on phones. */
  #isUseless = false;
  /** @type {Api.Suppression | null} */
  #suppressed = null;
  #permission;
  #prefs;

  /** @param {Api.NotifierOptions} [options] */
  constructor({ language, icons, links, listUrl, environment = {} } = {}) {
    this.#env = desk(environment);
    this.#kept = new Kept(this.#env.storage);
    this.#words = wordsOf(language);
    this.#icons = String(icons ?? new URL("icons/", import.meta.url)).replace(/\/?$/, "/");
    this.#links = links === undefined ? LINKS : links;
    this.#listUrl = webAddress(String(listUrl ?? pageAbove(import.meta.url)), this.#env.base);
    this.#digest = new Digest(this.#kept, this.#env.wallClock);
    this.#shown = new Shown(this.#kept);
    this.#emitter = new Emitter(this.#env.report);
    this.#prefs = preferences(this.#kept, () => this.#emitter.emit("prefs", { ...this.#prefs }));
    this.#permission = this.permission;
    this.#listen("addEventListener");
    this.#watch();
  }

  get prefs() {
    return this.#prefs;
  }

  get suppressed() {
    return this.#suppressed;
  }

  /** @returns {Api.Permission} */
  get permission() {
    if (!this.#env.isSecure) return "insecure";
    if (!this.#env.Notification || this.#isUseless) return "unsupported";
    const { permission } = this.#env.Notification;
    return permission === "granted" || permission === "denied" ? permission : "default";
  }

  get advice() {
    const { permission } = this;
    const { advice } = this.#words;
    if (permission === "granted") return this.#suppressed && advice.suppressed;
    if (permission === "denied") return `${advice[this.#family()]} ${advice.denied}`;
    return advice[permission];
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
    if (this.permission === "default") {
      try {
        this.#probe();
        if (this.permission === "default") await this.#env.Notification?.requestPermission();
      } catch (error) {
        this.#env.report(error);
      }
    }
    this.#check();
    return this.permission;
  }

  /** @param {Api.Notification} notification */
  async show(notification) {
    if (this.permission !== "granted") return;
    const tag = tagOf(notification);
    const counted = this.#digest.add(notification);
    if (!counted) return this.#display(this.#card(notification, tag));
    if (newsOf(notification) === "recovery") this.#recovered(tag);
    const wait = this.#drawnAt + DIGEST_EVERY_MS - this.#env.clock.now();
    if (counted.isWorse || (counted.isFirst && wait <= 0)) return this.#draw(counted.isWorse);
    // Not waited for: the next notifications are counted meanwhile.
    this.#redraw ??= this.#env.clock.setTimeout(() => this.#draw(false), Math.max(0, wait));
  }

  close() {
    this.#listen("removeEventListener");
    this.#env.clock.clearTimeout(this.#redraw);
  }

  // --- what is shown ---

  /**
   * @param {Api.Notification} notification
   * @param {string} tag
   * @returns {Card}
   */
  #card(notification, tag) {
    const { title, body = "" } = notification;
    const news = newsOf(notification);
    const before = this.#shown.get(tag)?.severity;
    const own = SEVERITY[stateOf(notification)];
    const isWorse = news === "problem" && own > (before ?? -1);
    return {
      tag,
      title,
      body,
      icon: iconOf(notification, this.#icons, this.#env.base),
      url: this.linkOf(notification),
      // An acknowledgement does not make the problem any smaller.
      severity: news === "other" ? before ?? own : own,
      manner: news === "recovery" ? "silent" : isWorse ? "worse" : "plain",
      notification,
    };
  }

  /** @param {boolean} isWorse */
  async #draw(isWorse) {
    this.#env.clock.clearTimeout(this.#redraw);
    this.#redraw = null;
    const content = this.#digest.content;
    if (!content) return;
    this.#drawnAt = this.#env.clock.now();
    const { total, parts, worst, newest } = content;
    const { counted, digest } = this.#words;
    await this.#display({
      tag: DIGEST_TAG,
      title: digest.title(total, parts.map(([count, state]) => counted[state](count))),
      body: total === 1 ? newest : digest.body(worst.title, newest),
      icon: iconOf(worst, this.#icons, this.#env.base),
      url: this.#listUrl,
      severity: worst.severity,
      manner: isWorse ? "worse" : "silent",
      notification: null,
    });
  }

  /**
   * @param {Card} card
   * @returns {Promise<void>}
   */
  #display(card) {
    const { tag, title, body, icon, severity, manner, notification } = card;
    const isProblem = notification ? newsOf(notification) === "problem" : severity > 0;
    const stays = isProblem && this.#prefs.problemsStay;
    const by = `${this.#env.random()}.${++this.#count}`;
    // Its close event would not be the person's, and its closing would hit the new one, which has its tag.
    this.#forget(tag);
    this.#shown.set(tag, { severity, by });
    const desktop = this.#make(title, {
      body,
      ...(icon ? { icon } : {}),
      tag,
      lang: this.#words.lang,
      renotify: manner === "worse",
      silent: manner === "silent",
      requireInteraction: stays,
    });
    if (!desktop) {
      this.#shown.delete(tag, by);
      return Promise.resolve();
    }
    return new Promise((settle) => {
      const { clock } = this.#env;
      const timers = [clock.setTimeout(settle, HANDED_OVER_MS)];
      if (!stays) timers.push(clock.setTimeout(() => this.#closeOwn(tag), STAYS_MS));
      this.#open.set(tag, { by, desktop, timers, settle: () => settle() });
      this.#attend(card, desktop, timers, settle);
    });
  }

  /**
   * @param {string} title
   * @param {object} options
   */
  #make(title, options) {
    const { Notification, report } = this.#env;
    try {
      return Notification && new Notification(title, options);
    } catch (error) {
      this.#isUseless = true;
      report(error);
      this.#check();
      return null;
    }
  }

  /**
   * @param {Card} card
   * @param {Api.DesktopNotification} desktop
   * @param {unknown[]} timers
   * @param {() => void} settle
   */
  #attend(card, desktop, timers, settle) {
    const { clock } = this.#env;
    const { tag, title, notification } = card;
    const what = { tag, title, notification };
    const madeAt = clock.now();
    const suppressed = (/** @type {Api.Suppression} */ reason) => {
      settle();
      this.#suppressed = reason;
      this.#emitter.emit("suppressed", { ...what, reason });
    };
    const tooLate = clock.setTimeout(() => suppressed("no_show"), SHOW_WITHIN_MS);
    timers.push(tooLate);
    desktop.onshow = () => {
      clock.clearTimeout(tooLate);
      settle();
      this.#suppressed = null;
      this.#emitter.emit("shown", what);
    };
    desktop.onerror = () => {
      this.#gone(tag);
      suppressed("error");
    };
    desktop.onclose = () => {
      this.#gone(tag);
      if (clock.now() - madeAt < AT_ONCE_MS) suppressed("closed");
    };
    desktop.onclick = (event) => this.#onClick(card, event);
  }

  /**
   * @param {Card} card
   * @param {{ preventDefault?: () => void }} event
   */
  #onClick({ tag, title, notification, url }, event) {
    this.#closeOwn(tag);
    if (!notification) this.#digest.end();
    this.#follow(url, event);
    this.#emitter.emit("clicked", { tag, title, notification, url });
  }

  /**
   * @param {string | null} url
   * @param {{ preventDefault?: () => void }} event
   */
  #follow(url, event) {
    const { base, focus, open } = this.#env;
    if (!url || (base && bare(url) === bare(base))) return focus();
    // Else the browser would put this tab before the new one.
    event.preventDefault?.();
    // A page of others in a window with a name could lead this one elsewhere.
    const reuses = this.#prefs.reuseTab && base && new URL(url).origin === new URL(base).origin;
    if (!reuses) return open(url, "_blank", "noopener");
    focus();
    return /** @type {{ focus?: () => void } | null} */ (open(url, TARGET))?.focus?.();
  }

  // --- what goes ---

  /**
   * The person or the system closed it, or another tab's has replaced it.
   * @param {string} tag
   */
  #gone(tag) {
    const mine = this.#forget(tag);
    if (!mine || !this.#isMine(tag, mine)) return;
    this.#shown.delete(tag, mine.by);
    if (tag === DIGEST_TAG) this.#digest.end();
  }

  /**
   * Only if it is still this tab's: it is closed by its tag, which another tab may have given to a newer one.
   * @param {string} tag
   */
  #closeOwn(tag) {
    const mine = this.#forget(tag);
    if (!mine || !this.#isMine(tag, mine)) return;
    this.#shown.delete(tag, mine.by);
    mine.desktop.close();
  }

  /**
   * @param {string} tag
   * @param {Open} mine
   */
  #isMine(tag, mine) {
    return (this.#shown.get(tag)?.by ?? mine.by) === mine.by;
  }

  /** @param {string} tag */
  #forget(tag) {
    const open = this.#open.get(tag);
    if (!open) return null;
    this.#open.delete(tag);
    for (const timer of open.timers) this.#env.clock.clearTimeout(timer);
    const { desktop } = open;
    desktop.onshow = desktop.onerror = desktop.onclose = desktop.onclick = null;
    open.settle();
    return open;
  }

  /**
   * A recovery that is only counted closes the problem, in whichever tab that is.
   * @param {string} tag
   */
  #recovered(tag) {
    this.#closeOwn(tag);
    if (this.#shown.get(tag)) this.#shown.set(tag, { severity: 0, by: "" });
  }

  // --- what the browser and other tabs say ---

  /** @param {"addEventListener" | "removeEventListener"} how */
  #listen(how) {
    this.#env.events[how]("storage", this.#onStorage);
    this.#env.events[how]("visibilitychange", this.#check);
  }

  /** @param {Event & { key?: string | null }} event */
  #onStorage = ({ key }) => {
    if (key === PREFERENCES_NAME) this.#emitter.emit("prefs", { ...this.#prefs });
    if (key !== SHOWN_NAME) return;
    for (const [tag, mine] of [...this.#open]) {
      const by = this.#shown.get(tag)?.by ?? mine.by;
      if (by === mine.by) continue;
      this.#forget(tag);
      if (by === "") mine.desktop.close();
    }
  };

  async #watch() {
    try {
      const status = await this.#env.permissions?.query({ name: "notifications" });
      if (status) status.onchange = this.#check;
    } catch {
      // Then it is noticed when the page is looked at again.
    }
  }

  #check = () => {
    const { permission } = this;
    if (permission === this.#permission) return;
    this.#permission = permission;
    this.#emitter.emit("permission", permission);
  };

  /** Without permission nothing is shown, but where pages may not make one this fails at once. */
  #probe() {
    if (this.#env.Notification) this.#make("", {});
  }

  #family() {
    const { userAgent } = this.#env;
    if (/Firefox\//.test(userAgent)) return "firefox";
    if (/Chrom(e|ium)\//.test(userAgent)) return "chromium";
    return /Safari\//.test(userAgent) ? "safari" : "other";
  }
}

/** @param {string} url */
const bare = (url) => url.replace(/[?#].*/, "");

/** @param {Api.Notification} notification */
function tagOf({ id, kind, host, service }) {
  const ids = kind === "message" ? [] : kind === "host" ? [host?.id] : [host?.id, service?.id];
  return `bellwire-${[kind, ...(ids.length && ids.every(Boolean) ? ids : [id])].join(":")}`;
}
