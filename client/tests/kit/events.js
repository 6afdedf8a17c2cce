// The event stream's side of a server, behind `fetch`: one stream after the other, and what is said by calls.

export class FakeEvents {
  /** Every stream that was ever opened, the newest last. */
  streams = [];
  calls = [];
  /** What the next call is answered with. */
  status = 204;
  /** What streams are answered with. */
  streamStatus = 200;
  /** "refused": nobody listens. */
  refused = false;

  get stream() {
    return this.streams.at(-1);
  }

  fetch = async (url, { method = "GET", headers, body, signal } = {}) => {
    await null;
    if (this.refused) throw new TypeError("failed to fetch");
    if (method === "POST") return this.#call(headers, JSON.parse(body));
    if (this.streamStatus !== 200) return new Response("", { status: this.streamStatus });
    const stream = new Stream(new URL(url), headers, this.streams.length);
    this.streams.push(stream);
    signal.addEventListener("abort", () => stream.abort());
    return new Response(stream.body, { headers: { "Content-Type": "text/event-stream" } });
  };

  #call(headers, call) {
    this.calls.push({ headers, ...call });
    return new Response(null, { status: this.status });
  }

  said(op) {
    return this.calls.map(({ say }) => say).filter((say) => say.op === op);
  }
}

class Stream {
  aborted = false;
  #controller;

  constructor(url, headers, number) {
    this.url = url;
    this.headers = headers;
    this.number = number;
    this.body = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
  }

  get cursor() {
    return this.url.searchParams.get("cursor");
  }

  abort() {
    if (this.aborted) return;
    this.aborted = true;
    this.#controller.error(new DOMException("aborted", "AbortError"));
  }

  /** @param {string} text  as it goes over the wire */
  write(text) {
    this.#controller.enqueue(new TextEncoder().encode(text));
  }

  bytes(bytes) {
    this.#controller.enqueue(bytes);
  }

  say(message) {
    this.write(`data: ${JSON.stringify(message)}\n\n`);
  }

  welcome() {
    const [session, token] = [`e-${this.number}`, `t-${this.number}`];
    this.say({ op: "welcome", session, token, user: "7", browser: "b1", version: "1", ping_interval_ms: 25_000 });
  }

  notify(number) {
    const [id, cursor] = [`n${number}`, `log-0:${number}`];
    const whole = { op: "notification", id, cursor, timestamp: 1, kind: "message", state: 0, title: id };
    this.write(`id: ${cursor}\ndata: ${JSON.stringify(whole)}\n\n`);
  }

  end() {
    this.#controller.close();
  }
}
