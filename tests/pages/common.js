// What both front ends do before they connect.
"use strict";

/** What the tests look at. */
const page = { socket: null, greetings: 0, shown: [], errors: 0, isComplete: false };

function browserUuid() {
  let uuid = localStorage.getItem("browserUuid");
  if (!uuid) {
    uuid = crypto.randomUUID();
    localStorage.setItem("browserUuid", uuid);
  }
  return uuid;
}

/** The user, the address and the key; nothing where the person has not allowed notifications. */
async function configuration() {
  if (!("Notification" in window)) return null;
  if (Notification.permission !== "granted") {
    if (Notification.permission === "denied") return null;
    if ((await Notification.requestPermission()) !== "granted") return null;
  }
  const answer = await fetch("/angular/push_configuration.json?angular=true&includeUser=true");
  const { websocket, user } = await answer.json();
  return { user, url: websocket["PUSH_NOTIFICATIONS.URL"], key: websocket["SUDO_SERVER.API_KEY"] };
}

function show(title, options, link) {
  const notification = new Notification(title, options);
  if (link) notification.onclick = () => window.open(link, "_blank");
  page.shown.push(title);
}
