import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * A port that nobody listens on now: `wanted` if it is free, any other otherwise. It is none of those that systems give
 * to whoever does not mind which, so that it is still free when a broker takes it, and while that is away.
 */
export async function freePort(wanted = anyPort()) {
  const server = createServer();
  server.listen(wanted, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    if (error.code !== "EADDRINUSE") throw error;
    return freePort();
  }
  server.close();
  await once(server, "close");
  return wanted;
}

const given = new Set();

function anyPort() {
  const port = randomInt(10_000, 32_768);
  if (given.has(port)) return anyPort();
  given.add(port);
  return port;
}
