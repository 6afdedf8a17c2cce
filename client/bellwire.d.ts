/** A host or a service. */
export interface Subject {
  id: string;
  name: string;
}

export interface Notification {
  /** The same id is shown once. */
  id: string;
  /** Seconds since 1970. */
  timestamp: number;
  kind: "host" | "service" | "message";
  /** `PROBLEM`, `RECOVERY`, ... */
  type?: string;
  /** As the monitoring numbers it: 0 is good. */
  state: number;
  host?: Subject;
  service?: Subject;
  title: string;
  body?: string;
  /** As the sender wrote it: the page decides whether it is safe. */
  icon?: string;
  /** As the sender wrote it: the page decides whether it is safe. */
  url?: string;
  /** There are so many for this user now that this one is to be shown in a digest with others, not by itself. */
  digested?: true;
}

/**
 * Why it is down; a closed set, for the page to translate.
 *
 * While `connecting`:
 * - `start` nothing has gone wrong yet
 * - `lost` the connection ended without a word, or there was none; a wrong key looks the same
 * - `silent` nothing came any more
 * - `moved` the server sent this page elsewhere
 * - `unavailable` the server cannot serve this page now
 * - `behind` the page is too slow for what comes
 * - `no_key` the function `key` gave none
 * - `expired`, `refused` as below, where `key` is a function: it is asked for another one
 *
 * While `disconnected`:
 * - `offline` the browser says that it has no network; goes on by itself when it has, and tries once a minute, because
 *   browsers may be wrong
 * - `refused` key, user or browser are not accepted: connect with others
 * - `expired` the token that was given as `key` has ended: connect with a new one
 * - `incompatible` page and server do not understand each other: load the page again
 * - `unusable` the browser refuses the key or the address
 * - `closed` by `close()`
 */
export type Reason =
  | "start"
  | "lost"
  | "silent"
  | "moved"
  | "unavailable"
  | "behind"
  | "no_key"
  | "offline"
  | "refused"
  | "expired"
  | "incompatible"
  | "unusable"
  | "closed";

export interface Status {
  /** `disconnected`: no attempt is under way or planned, those while `offline` aside. */
  state: "connecting" | "connected" | "disconnected";
  /** `null` while connected. */
  reason: Reason | null;
  /** When the next attempt is planned; `null` where none is, or where one is under way. */
  retryInMs: number | null;
}

/**
 * Something that the page may want to tell; nothing need be done.
 *
 * - `handler_failed` `onNotification` failed and is called again
 * - `handler_gave_up` it failed too often: the notification is acknowledged and not shown by it any more
 * - `no_key` the function `key` gave none; what it threw is reported in its tab. It is asked again later
 * - `unreadable` the server said what this client cannot read
 * - `unusable` see `Reason`
 * - else a code of the protocol: `rate` and `unavailable` answer `test()`
 */
export interface Failure {
  code: "handler_failed" | "handler_gave_up" | "no_key" | "unreadable" | "unusable" | (string & {});
  /** For people. */
  message: string;
  notification?: Notification;
  cause?: unknown;
}

/** What this browser is and has; all its tabs with the same user say the same. */
export interface Info {
  user: string;
  /** Empty until the tabs have agreed on it. */
  browser: string;
  /** How it is connected; `null` while it is not. */
  transport: "websocket" | "events" | null;
  /**
   * Who has the connection: a SharedWorker for all tabs, one of the tabs for all, or this tab alone, where the browser
   * has neither SharedWorker nor Web Locks.
   */
  sharing: "worker" | "leader" | "alone";
  /** How many tabs use this connection. */
  tabs: number;
  /** The server's name for this connection, for its logs. */
  session: string | null;
  /** The server's version. */
  version: string | null;
  /** Milliseconds since 1970, as `heardAt`: when the server last said anything. */
  connectedAt: number | null;
  heardAt: number | null;
  /** How many pings of the server have come by this connection. */
  pings: number;
}

/** They come in every tab. */
export interface Events {
  state: Status;
  /** Once for each notification, whichever tab shows it: for lists. */
  notification: Notification;
  /** Who and how; for each ping too. */
  info: Info;
  /** So many notifications before the next one are gone for good. */
  gap: { dropped: number };
  /** A value of the server for everybody, `export_running` for example: at the start and when it changes. */
  status: { key: string; value: unknown };
  error: Failure;
}

export interface TestRequest {
  title?: string;
  icon?: string;
  kind?: "host" | "service" | "message";
  type?: string;
  state?: number;
}

export interface Options {
  /** ws, wss, http or https; relative to the page. */
  url: string | URL;
  /** Where the event stream is, for networks that break WebSockets. Left out, it is `events` beside `url`. */
  eventsUrl?: string | URL;
  user: string | number;
  /**
   * The shared key, or a token of the user (JWT). A function is asked for each new connection, so that a token may end: by
   * then it must give another one, within 10 s. Where tabs share a connection one of them is asked.
   */
  key: string | (() => string | Promise<string>);
  /** Who this browser is. Left out, it is made once and kept. */
  browser?: string;
  /**
   * Shows a notification. Of all tabs of the browser with the same user, one is asked: a visible one, else the one that
   * was visible last. Called for one after the other; a notification is acknowledged when what this returned is
   * fulfilled. A tab that takes longer than 5 s is passed over for the next one, if there is one. If this throws, it is
   * called again, in this tab or in another, after 0.5, 1, 2 and 4 s, and nothing else is shown meanwhile.
   */
  onNotification: (notification: Notification) => unknown;
  /** `false`: this tab has its own connection. Else one serves all tabs of the browser. */
  shared?: boolean;
  /** For tests, and for pages in unusual places. */
  environment?: Partial<Environment>;
}

export interface Connection {
  readonly status: Status;
  readonly info: Info;
  /** Returns a function that takes the listener away. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void;
  /** Asks for a notification to all browsers of the user. False if it could not be asked for now. */
  test(request?: TestRequest): boolean;
  /**
   * What came lately in this browser, the newest first: at most 10,000, and none older than a day. Listen to
   * `notification` before asking, and drop by id what comes twice.
   */
  recent(): Promise<Notification[]>;
  /** For good, for this tab; the last one that closes ends the connection. What was received and not shown yet comes again by the browser's next connection. */
  close(): void;
}

/** Connects at once, and stays connected until `close()` or until the server says that it is no use. */
export function connect(options: Options): Connection;

/** What is used of a port to a SharedWorker. */
export interface WorkerPort {
  onmessage: ((event: any) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** What is used of a BroadcastChannel. */
export interface Channel {
  onmessage: ((event: any) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** What is used of the Web Locks. */
export interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    held: () => Promise<unknown> | void,
  ): Promise<unknown>;
  query(): Promise<unknown>;
}

/** What is used of a WebSocket. */
export interface Socket {
  readonly readyState: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  setTimeout(task: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface Storage {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}

export interface Environment {
  WebSocket: new (url: string, protocols: string[]) => Socket;
  /** `null`, as for each of the next ones: there is none. They are `null` in a given environment that leaves them out. */
  fetch: typeof fetch | null;
  SharedWorker:
    | (new (
        url: URL,
        options: { type: "module"; name: string },
      ) => { port: WorkerPort; onerror: ((event: any) => void) | null })
    | null;
  BroadcastChannel: (new (name: string) => Channel) | null;
  locks: Locks | null;
  indexedDB: IDBFactory | null;
  clock: Clock;
  /** Milliseconds since 1970, the same in all tabs. */
  date: () => number;
  /** 0 to below 1. */
  random: () => number;
  /** `null`: nothing outlives the page. */
  storage: Storage | null;
  /** Where `online`, `offline`, `visibilitychange`, `pagehide` and `pageshow` are dispatched. */
  events: Pick<EventTarget, "addEventListener" | "removeEventListener">;
  isOnline: () => boolean;
  isVisible: () => boolean;
  /** What a relative `url` is relative to. */
  base: string | null;
  /** Gets what a listener throws. */
  report: (error: unknown) => void;
}

// --- notifications on the desktop ---

/**
 * - `insecure` the page came by plain http from another machine: browsers show nothing then
 * - `unsupported` the browser has no notifications for pages, as on most phones
 */
export type Permission = "granted" | "denied" | "default" | "unsupported" | "insecure";

/** What the person chose on this browser; kept, and the same in all its tabs. */
export interface Preferences {
  /** Problems stay until they are closed or over. */
  problemsStay: boolean;
  /** A click shows the page in one tab that is used again and again. */
  reuseTab: boolean;
}

/**
 * Permission is granted, and yet nothing is seen:
 * - `no_show` the browser did not say within 3 s that it shows it
 * - `error` the browser said that it cannot
 * - `closed` it was gone at once
 */
export type Suppression = "no_show" | "error" | "closed";

/** `{host}` and `{service}` stand for the ids; relative to the page. */
export interface Links {
  host?: string;
  service?: string;
}

export interface Desktop {
  /** `bellwire-digest` for the digest. */
  tag: string;
  title: string;
  /** `null`: the digest. */
  notification: Notification | null;
}

export interface NotifierEvents {
  /** The browser says that it shows it. */
  shown: Desktop;
  /** `url`: where it led. */
  clicked: Desktop & { url: string | null };
  suppressed: Desktop & { reason: Suppression };
  /** It changed, here or in the settings of the browser. */
  permission: Permission;
  /** They may have changed, here or in another tab. */
  prefs: Preferences;
}

export interface NotifierOptions {
  /** `en`, `de`; left out, what the browser prefers. */
  language?: string;
  /** The folder of the icons. Left out, that beside the module. */
  icons?: string | URL;
  /** Where the pages of hosts and services are. Left out, where openITCOCKPIT has them; `null`: nowhere. */
  links?: Links | null;
  /**
   * Where a click on the digest leads: a page that lists all of it. Left out, the page itself comes to the front; it
   * should show the panel then, or a list of its own.
   */
  listUrl?: string | URL;
  /** For tests, and for pages in unusual places. */
  environment?: Partial<NotifierEnvironment>;
}

/** Shows notifications on the desktop: `connect({ ..., onNotification: (n) => notifier.show(n) })`. */
export class Notifier {
  constructor(options?: NotifierOptions);
  readonly permission: Permission;
  /** Why the last one was not seen; `null` after one that was. */
  readonly suppressed: Suppression | null;
  /** What the person can do now so that notifications are seen, in words; `null` where there is nothing to do. */
  readonly advice: string | null;
  /** Settings: write to them. */
  readonly prefs: Preferences;
  /** Fulfilled when the browser has it, and where it may not be shown. Never fails. */
  show(notification: Notification): Promise<void>;
  /** Where a click on it leads: to `http` and `https` only; `null`: nowhere. */
  linkOf(notification: Notification): string | null;
  /** Asks the person, if that is still to be done. Browsers want it to be called in a click. */
  ask(): Promise<Permission>;
  /** Returns a function that takes the listener away. */
  on<Name extends keyof NotifierEvents>(name: Name, listener: (event: NotifierEvents[Name]) => void): () => void;
  /** Hears nothing any more; what is shown stays. */
  close(): void;
}

/** What is used of the browser's Notification. */
export interface DesktopNotification {
  onshow: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onclick: ((event: any) => void) | null;
  close(): void;
}

export interface DesktopNotifications {
  new (title: string, options: any): DesktopNotification;
  readonly permission: string;
  requestPermission(): Promise<string>;
}

export interface NotifierEnvironment extends Pick<Environment, "clock" | "random" | "storage" | "events" | "base" | "report"> {
  /** `null`: there is none. */
  Notification: DesktopNotifications | null;
  /** `navigator.permissions`, where it is. */
  permissions: { query(what: { name: "notifications" }): Promise<{ onchange: any }> } | null;
  isSecure: boolean;
  /** Milliseconds, the same for all tabs. */
  wallClock: () => number;
  /** As `window.open`. */
  open: (url: string, target: string, features?: string) => { focus(): void } | null;
  /** As `window.focus`. */
  focus: () => void;
  userAgent: string;
}
