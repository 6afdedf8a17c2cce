// What came lately in this browser, for lists of pages that are opened later. It is no part of what is shown once.

/** @import { Notification } from "./bellwire.js" */

export const LENGTH_MAX = 10_000;
export const AGE_MAX_MS = 24 * 3_600_000;

/** Between two looks for what is too old. */
const PRUNE_EVERY = 100;

const STORE = "recent";

/** @typedef {{ user: string, id: string, at: number, notification: Notification }} Entry */

export class History {
  #indexedDB;
  #user;
  #date;
  /** @type {Promise<IDBDatabase | null>} */
  #database;
  /** What came while there is no database. @type {Entry[]} */
  #instead = [];

  /**
   * @param {IDBFactory | null} indexedDB
   * @param {string} user
   * @param {() => number} date
   */
  constructor(indexedDB, user, date) {
    this.#indexedDB = indexedDB;
    this.#user = user;
    this.#date = date;
    this.#database = this.#open();
  }

  /**
   * Keeps it for all tabs.
   * @param {Notification} notification
   */
  async add(notification) {
    const database = await this.#database;
    try {
      if (database) this.#put(database.transaction(STORE, "readwrite").objectStore(STORE), this.#entry(notification));
    } catch {
      // The browser has closed it, to clear the page's data for example.
      this.#database = this.#open();
    }
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

  /**
   * @param {number} since
   * @returns {Promise<Notification[]>} the newest first
   */
  async recent(since = this.#date() - AGE_MAX_MS) {
    const database = await this.#database;
    const kept = database ? await all(database).catch(() => []) : [];
    /** @type {Map<string, Notification>} */
    const byId = new Map();
    for (const { user, id, at, notification } of [...kept, ...this.#instead]) {
      if (user === this.#user && at > since && !byId.has(id)) byId.set(id, notification);
    }
    return [...byId.values()].slice(-LENGTH_MAX).reverse();
  }

  #open() {
    return open(this.#indexedDB).catch(() => null);
  }

  /**
   * @param {Notification} notification
   * @returns {Entry}
   */
  #entry(notification) {
    return { user: this.#user, id: notification.id, at: this.#date(), notification };
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
    const since = this.#date() - AGE_MAX_MS;
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
 * @param {IDBFactory | null} indexedDB
 * @returns {Promise<IDBDatabase | null>}
 */
async function open(indexedDB) {
  if (!indexedDB) return null;
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("bellwire", 1);
    opening.onupgradeneeded = () => {
      const store = opening.result.createObjectStore(STORE, { autoIncrement: true });
      store.createIndex("id", ["user", "id"], { unique: true });
    };
    opening.onerror = opening.onblocked = () => reject(opening.error);
    opening.onsuccess = () => {
      opening.result.onversionchange = () => opening.result.close();
      resolve(opening.result);
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
