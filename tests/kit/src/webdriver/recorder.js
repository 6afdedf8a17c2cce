// Runs before a page's own scripts: notes each Notification that it makes, where every window of the origin can read it.
(() => {
  "use strict";
  const Native = window.Notification;
  if (!Native || window.clickRecorded) return;
  const made = [];

  class Notification extends Native {
    constructor(title, options) {
      super(title, options);
      const own = performance.timeOrigin + performance.now();
      this.entry = {
        title: String(title),
        page: location.href,
        at: Math.round(own),
        number: made.length,
        options: options ?? {},
        shown: false,
        closed: false,
        clicked: false,
      };
      this.place = `recorded ${own} ${Math.random()}`;
      for (const [event, field] of [["show", "shown"], ["click", "clicked"]]) {
        this.addEventListener(event, () => note(this, field));
      }
      made.push(this);
      note(this, null);
    }

    close() {
      note(this, "closed");
      super.close();
    }
  }

  function note(notification, field) {
    if (field) notification.entry[field] = true;
    try {
      localStorage.setItem(notification.place, JSON.stringify(notification.entry));
    } catch {
      // A page without storage has nothing that is recorded.
    }
  }

  window.Notification = Notification;
  const last = (title) => made.filter((notification) => notification.entry.title === title).at(-1);
  Object.defineProperty(window, "hasRecorded", { value: (title) => last(title) !== undefined });
  Object.defineProperty(window, "clickRecorded", {
    value: (title) => {
      const found = last(title);
      return found ? found.dispatchEvent(new Event("click", { cancelable: true })) || true : false;
    },
  });
})();
