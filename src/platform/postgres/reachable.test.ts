import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { untilReachable } from "./reachable.ts";

const database = useTestDatabase();

it("waits for a database that takes a connection and says nothing at first", async () => {
  const url = new URL(database.url);
  const there = { host: url.hostname, port: Number(url.port) };
  let connections = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (connections++ === 0) return;
    const onward = connect(there).on("error", () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  url.port = String((server.address() as AddressInfo).port);

  const messages: string[] = [];
  await untilReachable(url.href, (message) => messages.push(message));

  expect(connections).toBeGreaterThan(1);
  expect(messages).toEqual([expect.stringMatching(/does not answer yet; waiting up to 30 s for it$/)]);
});
