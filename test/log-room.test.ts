import { afterAll, beforeAll, expect, it } from "vitest";
import { useTestDatabase } from "../src/testing/database.ts";
import { query } from "../src/testing/embedded-postgres.ts";
import { WholeServer } from "./whole-server.ts";

const database = useTestDatabase();
let server: WholeServer;

beforeAll(async () => {
  server = await WholeServer.start(database.url);
  await server.stock("MUG", 10);
});
afterAll(() => server?.stop());

/** As if it had been written to for days while nobody looked after it. */
async function fill(service: string): Promise<void> {
  await query(
    database.url,
    `select setval('${service}.log_position', last_value + 100000000) from ${service}.log_position`,
  );
}

it("an order waits for room in the logs that it goes through, and no command is lost", async () => {
  for (const service of ["orders", "inventory", "payments", "fulfillment"]) await fill(service);
  expect((await server.order("first", { sku: "MUG" })).body.status).toBe("completed");
  expect((await server.ask("GET", "/v1/dead-letters")).body.items).toEqual([]);
});
