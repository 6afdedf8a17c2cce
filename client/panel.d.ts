import type { Connection, Notifier } from "./bellwire.js";

export interface PanelOptions {
  connection: Connection;
  notifier: Notifier;
  /** `en`, `de`; left out, what the browser prefers. */
  language?: string;
}

export interface Panel {
  /** Takes it out of the page. Connection and notifier go on. */
  close(): void;
}

/** Shows the state of the connection, what has come, and what is wrong. The page links `panel.css`. */
export function panel(element: Element, options: PanelOptions): Panel;
