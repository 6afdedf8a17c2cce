// The SharedWorker that has the connection of all tabs of a user in this browser (one worker per user, address and key).

import { environment } from "./environment.js";
import { workerHubs } from "./share.js";

const connect = workerHubs(environment(null));

addEventListener("connect", (event) => {
  for (const port of /** @type {MessageEvent} */ (event).ports) connect(port);
});
