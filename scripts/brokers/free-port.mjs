import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A port that nobody listens on now: `wanted` if it is free, any other otherwise. It lies below those that systems give
 * away, to connections too, so that nobody is given it until it is used, or while whoever uses it is down.
 */
export async function freePort(wanted = randomInt(10_000, 32_000)) {
  const server = createServer();
  server.listen(wanted, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    if (error.code !== "EADDRINUSE" && error.code !== "EACCES") throw error;
    return freePort();
  }
  server.close();
  await once(server, "close");
  return wanted;
}
