import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Road } from "../src/platform/batch/road.ts";
import { createPool } from "../src/platform/postgres/pool.ts";
import { EmbeddedPostgresFixture } from "../src/testing/embedded-postgres.ts";
import { WholeServer } from "./whole-server.ts";

const postgres = new EmbeddedPostgresFixture();

it("while the database is away, answers what waits for it, and ends before patience does", async () => {
  const { url, stop } = await postgres.start();
  const server = await WholeServer.start(url);
  const nowhere = createPool(url, { max: 1, name: "nowhere" });
  try {
    await server.stock("MUG", 10);
    await stop();

    // One that nobody tells to stop, and that begins to wait first.
    const patient = new Road({ pool: nowhere, handle: async () => [1], maxWaiting: 1 });
    const outOfPatience = patient.submit(undefined).catch((error) => error.code);
    const waiting = server.ask("PUT", "/v1/reservations/r1", {
      lines: [{ store_id: "main", sku: "MUG", quantity: 1 }],
    });
    // Until all that is done now and then waits as well.
    await sleep(6_000);

    const stopped = server.stop().then(() => "stopped");
    expect(await Promise.race([stopped, outOfPatience])).toBe("stopped");
    expect(await waiting).toMatchObject({ status: 503, body: { code: "platform.unavailable" } });
  } finally {
    await nowhere.end();
  }
});
