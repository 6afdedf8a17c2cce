// Connects once, and never again: there is no handler for the close.
"use strict";

configuration().then((config) => {
  if (!config?.user.hasPushContact) return;
  const socket = new WebSocket(config.url);
  page.socket = socket;
  let uuid = null;
  const say = (task, more) => socket.send(JSON.stringify({ task, key: config.key, uuid, ...more }));

  socket.onerror = () => {
    page.errors += 1;
  };
  socket.onmessage = (event) => {
    const { type, message, data } = JSON.parse(event.data);
    if (type === "connection") {
      page.greetings += 1;
      uuid = data.uuid;
      say("register", { data: { userId: config.user.id, browserUuid: browserUuid() } });
    }
    if (type === "message") {
      const options = { body: message };
      if (data.icon !== null) options.icon = data.icon;
      const [kind, id] = data.type === "service" ? ["services", data.serviceUuid] : ["hosts", data.hostUuid];
      show(data.title, options, data.hostUuid !== null || data.serviceUuid !== null ? `/${kind}/browser/${id}` : null);
    }
  };
  setInterval(() => uuid && say("keepAlive"), 30_000);
});
