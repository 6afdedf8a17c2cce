// Times, as people say them.

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** A few seconds are "now": what changes each second is read by nobody. */
const NOW_SECONDS = 10;

export class Times {
  #relative;
  #time;
  #date;

  /** @param {string} language */
  constructor(language) {
    this.#relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
    this.#time = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
    this.#date = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
  }

  /**
   * @param {number} ms since 1970
   * @param {number} [now]
   */
  ago(ms, now = Date.now()) {
    // The clocks of servers may be ahead of this one.
    const seconds = Math.max(0, Math.round((now - ms) / 1000));
    if (seconds < NOW_SECONDS) return this.#relative.format(0, "second");
    const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
    return this.#relative.format(-Math.floor(seconds / size), unit);
  }

  /**
   * The day only where it is another one.
   * @param {number} ms since 1970
   * @param {number} [now]
   */
  at(ms, now = Date.now()) {
    const isToday = new Date(ms).toDateString() === new Date(now).toDateString();
    return (isToday ? this.#time : this.#date).format(ms);
  }
}

/**
 * What `Date` can hold; senders write what they like.
 * @param {number} seconds
 */
export function msOf(seconds) {
  return Math.min(Math.max(0, seconds * 1000), 8.64e15);
}
