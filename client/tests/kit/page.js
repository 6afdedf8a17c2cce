// A page that keeps what it was told.

import { connect } from "../../bellwire.js";

export class Page {
  shown = [];
  states = [];
  gaps = [];
  statuses = [];
  errors = [];
  handler = () => {};

  constructor(world, options = {}) {
    this.world = world;
    this.connection = connect({
      url: "wss://monitoring.example/bell",
      user: 7,
      key: "secret",
      browser: "b1",
      environment: world.environment(),
      onNotification: async (notification) => {
        await this.handler(notification);
        this.shown.push(notification.id);
      },
      ...options,
    });
    this.connection.on("state", (status) => this.states.push(status));
    this.connection.on("gap", ({ dropped }) => this.gaps.push(dropped));
    this.connection.on("status", (status) => this.statuses.push(status));
    this.connection.on("error", (failure) => this.errors.push(failure));
  }

  get state() {
    const { state, reason } = this.connection.status;
    return reason ? `${state} ${reason}` : state;
  }

  get codes() {
    return this.errors.map(({ code }) => code);
  }
}

/** A page with a link that serves. */
export async function connected(world, options) {
  const page = new Page(world, options);
  world.socket.welcome();
  await world.clock.advance(0);
  return page;
}

export const acks = (socket) => socket.said("ack").map(({ cursor }) => cursor);
