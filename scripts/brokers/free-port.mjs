import { once } from "node:events";
import { createServer } from "node:net";

/** A port that nobody listens on now: `wanted` if it is free, any other otherwise. */
export async function freePort(wanted = 0) {
  const server = createServer();
  server.listen(wanted, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    if (wanted === 0) throw error;
    return freePort();
  }
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
