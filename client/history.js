// What came lately in this browser, for lists of pages that are opened later. It is no part of what is shown once.

/** @import { Channel, Environment, Notification } from "./bellwire.js" */

export const LENGTH_MAX = 10_000;
export const AGE_MAX_MS = 24 * 3_600_000;

/** Between two looks for what is too old. */
const PRUNE_EVERY = 100;

/** A browser whose disk is in trouble may never answer. */
export const OPEN_WITHIN_MS = 5000;

const STORE = "recent";

/**
 * @typedef {{ user: string, id: string, at: number, notification: Notification }} Entry
 * @typedef {Pick<Environment, "indexedDB" | "BroadcastChannel" | "clock" | "date">} Needs
 */

export class History {
  #env;
  #user;
  /** @type {Promise<IDBDatabase | null>} */
  #database;
  /** What came while there is no database. @type {Entry[]} */
  #instead = [];
  /** What the next transaction takes. @type {Entry[]} */
  #waiting = [];
  /** @type {Promise<void> | null} */
  #putting = null;
  /** Of the last one that `news` has told. @type {Promise<number> | null} */
  #place = null;
  /** @type {Channel | null} */
  #channel = null;

  /**
   * @param {Needs} environment
   * @param {string} user
   */
  constructor(environment, user) {
    this.#env = environment;
    this.#user = user;
    this.#database = this.#open();
  }

  /**
   * Tabs whose hub is another one, because they load the client from elsewhere, learn of what is kept by this alone.
   * @param {(ids: unknown) => void} onMore
   */
  listen(onMore) {
    this.close();
    const { BroadcastChannel } = this.#env;
    try {
      this.#channel = BroadcastChannel && new BroadcastChannel(`bellwire-recent:${this.#user}`);
    } catch {
      // Its lists have what its own hub says.
    }
    if (this.#channel) this.#channel.onmessage = (event) => onMore(event.data);
  }

  close() {
    this.#channel?.close();
    this.#channel = null;
  }

  /**
   * Keeps it for all tabs.
   * @param {Notification} notification
   */
  async add(notification) {
    this.#waiting.push(this.#entry(notification));
    if (this.#waiting.length > LENGTH_MAX) this.#waiting.shift();
    await (this.#putting ??= this.#putAll());
  }

  /**
   * Keeps it for this tab, where nothing keeps it for all.
   * @param {Notification} notification
   */
  async heard(notification) {
    if (await this.#database) return;
    this.#instead.push(this.#entry(notification));
    if (this.#instead.length > LENGTH_MAX) this.#instead.shift();
  }

  /** @returns {Promise<Notification[]>} the newest first */
  async recent() {
    const since = this.#env.date() - AGE_MAX_MS;
    const kept = (await this.#use(all)) ?? [];
    /** @type {Map<string, Notification>} */
    const byId = new Map();
    for (const { user, id, at, notification } of [...kept, ...this.#instead]) {
      if (user === this.#user && at > since && !byId.has(id)) byId.set(id, notification);
    }
    return [...byId.values()].slice(-LENGTH_MAX).reverse();
  }

  /**
   * What was kept since it was asked last, and nothing when it is asked first.
   * @returns {Promise<Notification[]>} the oldest first
   */
  async news() {
    this.#place ??= this.#use(newest).then((place) => place ?? 0);
    const last = await this.#place;
    const read = await this.#use((database) => from(database, last));
    if (!read) return [];
    const [places, entries] = read;
    this.#place = Promise.resolve(Number(places.at(-1) ?? 0));
    // The one that was the last is gone: all were, and places are counted anew.
    if (places.length === 0 && last > 0) return this.news();
    const news = entries.filter(({ user }, n) => user === this.#user && Number(places[n]) > last);
    return news.map(({ notification }) => notification);
  }

  /** A transaction costs more than what it takes: in a storm many share one. */
  async #putAll() {
    while (this.#waiting.length > 0) {
      const entries = this.#waiting;
      this.#waiting = [];
      const put = await this.#use((database) => this.#putEach(database, entries));
      if (put) this.#channel?.postMessage(entries.map(({ id }) => id));
    }
    this.#putting = null;
  }

  /**
   * Twice if need be: the browser may have closed the database, to clear the page's data for example.
   * @template T
   * @param {(database: IDBDatabase) => Promise<T>} task
   * @returns {Promise<T | null>}
   */
  async #use(task) {
    const opened = this.#database;
    const database = await opened;
    if (!database) return null;
    return task(database).catch(async () => {
      database.close();
      if (this.#database === opened) this.#database = this.#open();
      const again = await this.#database;
      return again && task(again).catch(() => null);
    });
  }

  #open() {
    return open(this.#env).catch(() => null);
  }

  /**
   * @param {Notification} notification
   * @returns {Entry}
   */
  #entry(notification) {
    return { user: this.#user, id: notification.id, at: this.#env.date(), notification };
  }

  /**
   * @param {IDBDatabase} database
   * @param {Entry[]} entries
   * @returns {Promise<boolean>}
   */
  #putEach(database, entries) {
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, "readwrite");
      transaction.oncomplete = () => resolve(true);
      transaction.onabort = () => reject(transaction.error);
      for (const entry of entries) this.#put(transaction.objectStore(STORE), entry);
    });
  }

  /**
   * @param {IDBObjectStore} store
   * @param {Entry} entry
   */
  #put(store, entry) {
    const adding = store.add(entry);
    // It came before: the first time counts. Without this the transaction would be an error of the page.
    adding.onerror = (event) => event.preventDefault();
    adding.onsuccess = () => {
      const place = Number(adding.result);
      if (place % PRUNE_EVERY === 1) this.#prune(store, place);
    };
  }

  /**
   * @param {IDBObjectStore} store
   * @param {number} newest
   */
  #prune(store, newest) {
    if (newest > LENGTH_MAX) store.delete(IDBKeyRange.upperBound(newest - LENGTH_MAX));
    const since = this.#env.date() - AGE_MAX_MS;
    const walking = store.openCursor();
    walking.onsuccess = () => {
      const cursor = walking.result;
      if (!cursor || cursor.value.at > since) return;
      cursor.delete();
      cursor.continue();
    };
  }
}

/**
 * @param {Needs} environment
 * @returns {Promise<IDBDatabase | null>}
 */
async function open({ indexedDB, clock }) {
  if (!indexedDB) return null;
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("bellwire", 1);
    let late = false;
    const patience = clock.setTimeout(() => resolve(((late = true), null)), OPEN_WITHIN_MS);
    opening.onupgradeneeded = () => {
      const store = opening.result.createObjectStore(STORE, { autoIncrement: true });
      store.createIndex("id", ["user", "id"], { unique: true });
    };
    opening.onerror = () => {
      clock.clearTimeout(patience);
      reject(opening.error);
    };
    opening.onsuccess = () => {
      clock.clearTimeout(patience);
      const database = opening.result;
      if (late) return database.close();
      database.onversionchange = () => database.close();
      resolve(database);
    };
  });
}

/**
 * @param {IDBDatabase} database
 * @returns {Promise<Entry[]>} the oldest first
 */
function all(database) {
  return new Promise((resolve, reject) => {
    const reading = database.transaction(STORE).objectStore(STORE).getAll();
    reading.onsuccess = () => resolve(reading.result);
    reading.onerror = () => reject(reading.error);
  });
}

/**
 * @param {IDBDatabase} database
 * @returns {Promise<number>}
 */
function newest(database) {
  return new Promise((resolve, reject) => {
    const reading = database.transaction(STORE).objectStore(STORE).openKeyCursor(null, "prev");
    reading.onsuccess = () => resolve(Number(reading.result?.key ?? 0));
    reading.onerror = () => reject(reading.error);
  });
}

/**
 * @param {IDBDatabase} database
 * @param {number} place
 * @returns {Promise<[IDBValidKey[], Entry[]]>}
 */
function from(database, place) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE);
    const store = transaction.objectStore(STORE);
    const range = IDBKeyRange.lowerBound(place);
    const [places, entries] = [store.getAllKeys(range), store.getAll(range)];
    transaction.oncomplete = () => resolve([places.result, entries.result]);
    transaction.onabort = () => reject(transaction.error);
  });
}
