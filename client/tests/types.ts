// Checked by tsc and never run: what users are told is what there is, and mistakes of users are found.

import * as real from "../tab.js";
import * as told from "../bellwire.js";

export const agrees: typeof told.connect = real.connect;
export const agreesToo: typeof real.connect = null as unknown as typeof told.connect;

const connection = real.connect({ url: "ws://h", user: 7, key: "k", onNotification: async (n) => n.title.length });
const off: () => void = connection.on("gap", ({ dropped }) => dropped.toFixed());
connection.on("state", ({ state, reason }) => (state === "connected" ? null : reason?.length));
const asked: boolean = connection.test({ kind: "host" });
connection.on("notification", ({ id, digested }) => (digested === true ? id.length : 0));
connection.on("info", ({ sharing, tabs, transport }) => (sharing === "worker" ? tabs : transport?.length));
export const titles: Promise<string[]> = connection.recent().then((list) => list.map(({ title }) => title));
export const since: number | null = connection.info.heardAt;
real.connect({ url: "ws://h", eventsUrl: "e", user: 7, key: "k", shared: false, onNotification: () => {} });
real.connect({ url: "ws://h", user: 7, key: () => "k", onNotification: () => {} });
real.connect({ url: "ws://h", user: 7, key: async () => "k", onNotification: () => {} });
connection.close();
export { off, asked };

// @ts-expect-error no such event
connection.on("message", () => {});
// @ts-expect-error no such kind
connection.test({ kind: "hosts" });
// @ts-expect-error nothing to show notifications with
real.connect({ url: "ws://h", user: 7, key: "k" });
// @ts-expect-error no key
real.connect({ url: "ws://h", user: 7, key: async () => {}, onNotification: () => {} });
// @ts-expect-error no such way of sharing
connection.info.sharing === "server";
// @ts-expect-error told, not set
connection.status = { state: "connected", reason: null, retryInMs: null };

import * as desktop from "../notifier.js";

export const showsAs: new (options?: told.NotifierOptions) => told.Notifier = desktop.Notifier;
const notifier = new told.Notifier({ links: { host: "/h/{host}" }, language: "de" });
real.connect({ url: "ws://h", user: 7, key: "k", onNotification: (n) => notifier.show(n) });
notifier.on("suppressed", ({ reason, title }) => (reason === "error" ? title : null));
notifier.on("permission", (permission) => permission === "insecure");
notifier.prefs.problemsStay = true;
// @ts-expect-error no such setting
notifier.prefs.sound = true;
// @ts-expect-error told, not set
notifier.permission = "granted";
// @ts-expect-error no such place
new told.Notifier({ links: { user: "/u/{user}" } });
