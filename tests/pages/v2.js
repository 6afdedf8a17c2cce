// Reconnects 3 s after an error, and takes a closing handshake for the end.
"use strict";

const RETRY_MS = 3000;

class Sockets {
  #subject = null;
  #messages = new rxjs.Subject();
  #clientUuid = null;

  messages() {
    return this.#messages;
  }

  connect({ url, key, user }) {
    if (this.#subject && !this.#subject.closed) return;
    this.#subject = rxjs.webSocket.webSocket({
      url: `${url}?userId=${user.id}&browserUuid=${browserUuid()}`,
      protocol: ["access_token", key],
      openObserver: { next: ({ target }) => this.#opened(target) },
    });
    this.#subject.pipe(rxjs.tap({ error: () => (page.errors += 1) }), rxjs.retry({ delay: RETRY_MS })).subscribe(this.#messages);
  }

  greeted({ clientUuid }) {
    this.#clientUuid = clientUuid;
  }

  send(type, message, payload) {
    const ids = { clientUuid: this.#clientUuid, browserUuid: browserUuid() };
    this.#subject.next(payload ? { type, message, payload: { ...payload, ...ids } } : { type, message });
  }

  // One more pair of timers with each connection; the old ones go on.
  #opened(socket) {
    page.socket = socket;
    const keepAlive = () => this.send("KeepAlive", "KeepAlive");
    setTimeout(keepAlive, 10_000);
    setInterval(keepAlive, 30_000);
  }
}

configuration().then((config) => {
  if (!config) return;
  const sockets = new Sockets();
  sockets.messages().subscribe({
    next: ({ type, message, payload }) => {
      if (type === "ConnectionEstablished") {
        page.greetings += 1;
        sockets.greeted(payload);
        sockets.send("RegisterBrowserPushNotification", "", {});
      }
      if (type === "ProcessPushNotification") {
        const options = { body: message };
        if (payload.icon) options.icon = payload.icon;
        const [kind, id] = payload.type === "service" ? ["services", payload.serviceUuid] : ["hosts", payload.hostUuid];
        show(payload.title, options, payload.hostUuid || payload.serviceUuid ? `/a/${kind}/browser/${id}` : null);
      }
    },
    complete: () => (page.isComplete = true),
  });
  sockets.connect(config);
});
