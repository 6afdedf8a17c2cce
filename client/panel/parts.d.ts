// Types of the panel's inside.

import type { Connection, Notifier, Status } from "../bellwire.js";
import type { wordsOf } from "../language.js";
import type { SelfCheck } from "./check.js";
import type { Times } from "./clock.js";

export type Words = ReturnType<typeof wordsOf>["panel"];

/** What each part of the panel gets. */
export interface Parts {
  connection: Connection;
  notifier: Notifier;
  words: Words;
  times: Times;
  /** The language of numbers. */
  lang: string;
  /** What is to be done when the panel is closed. */
  until(end: () => void): void;
  /** Again and again, while somebody can see it. */
  every(ms: number, task: () => void): void;
}

/** What somebody wants to see of the list. */
export interface Filter {
  /** Empty for all. */
  kind: string;
  /** Empty for all. */
  state: string;
  /** Only what is not good. */
  problems: boolean;
  /** Words that must all occur somewhere. */
  text: string;
}

/** What the self-check looks at. */
export interface Facts {
  secure: boolean;
  permission: string;
  status: Pick<Status, "state" | "reason">;
  transport: "websocket" | "events" | null;
  /** Seen on this connection. */
  pings: number;
  /** How long this connection has been there. */
  openMs: number;
  tabs: number;
}

export type Result = "waiting" | "running" | "passed" | "doubtful" | "failed" | "skipped";

export interface Step {
  name: string;
  result: Result;
  /** A word for the page to translate; empty where there is nothing to say. */
  why: string;
  /** While it runs: how long it may still take. */
  secondsLeft: number | null;
}

/** `null`: nobody knows yet. */
export type Verdict = { result: Result; why?: string } | null;

export interface Rule {
  name: string;
  /** Steps without which this one cannot be told. */
  needs?: string[];
  withinMs?: number;
  judge(facts: Facts, check: SelfCheck): Verdict;
  /** What to say when that time is over. */
  late?(facts: Facts, check: SelfCheck): Verdict;
}

export interface World {
  facts(): Facts;
  /** Milliseconds that never go back. */
  now(): number;
  /** Asks for the test notification; false if it could not be asked for. */
  test(): boolean;
}
