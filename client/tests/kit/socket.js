// A WebSocket that a test drives from the server's side.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class FakeSocket {
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  /** What the page said, read. */
  sent = [];
  closedByPage = null;
  /** For a fake server that listens. */
  onSend = null;
  onPageClose = null;

  constructor(url, protocols) {
    if (!protocols.every((name) => TOKEN.test(name))) throw new SyntaxError("a subprotocol has invalid characters");
    this.url = url;
    this.protocols = protocols;
  }

  // --- what the page calls ---

  send(text) {
    if (this.readyState === 0) throw new Error("InvalidStateError");
    if (this.readyState !== 1) return;
    this.sent.push(JSON.parse(text));
    this.onSend?.(this.sent.at(-1));
  }

  close(code = 1005) {
    if (this.readyState >= 2) return;
    this.closedByPage = code;
    this.readyState = 2;
    this.onPageClose?.();
  }

  // --- what the server does ---

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** Also while it closes: browsers hand out what has come already. */
  say(message) {
    this.raw(JSON.stringify(message));
  }

  raw(data) {
    if (this.readyState !== 3) this.onmessage?.({ data });
  }

  end(code) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code });
  }

  welcome(more = {}) {
    if (this.readyState === 0) this.open();
    const whole = { op: "welcome", session: "a-1", user: "7", browser: "b1", version: "0", ping_interval_ms: 25_000 };
    this.say({ ...whole, ...more });
  }

  notify(number, more = {}) {
    const [id, cursor] = [`n${number}`, `log-0:${number}`];
    const whole = { op: "notification", id, cursor, timestamp: 1, kind: "message", state: 0, title: id };
    this.say({ ...whole, ...more });
  }

  said(op) {
    return this.sent.filter((message) => message.op === op);
  }
}
