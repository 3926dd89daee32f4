import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createHoldfast, type Holdfast } from "../src/index.ts";
import { createPool, type Pool } from "../src/platform/postgres/pool.ts";
import { createLogger } from "../src/platform/telemetry/logger.ts";
import { createRegistry } from "../src/platform/telemetry/metrics.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { startServer, type TestServer } from "../src/testing/http-server.ts";
import { patience } from "../src/testing/patience.ts";

const database = useTestDatabase();
const registry = createRegistry();
let engine: Holdfast;
let server: TestServer;
let pool: Pool;

beforeAll(async () => {
  engine = await createHoldfast({ databaseUrl: database.url, registry, logger: createLogger("silent") });
  server = await startServer((app) => {
    for (const service of engine.services) service.registerRoutes(app);
  });
  pool = createPool(database.url, { max: 1, name: "test" });
});
afterAll(async () => {
  await server?.app.close();
  await engine?.close();
  await pool?.end();
});

async function violations(): Promise<number | undefined> {
  const metric = await registry.getSingleMetric("inventory_invariant_violations_total")?.get();
  return metric?.values[0]?.value;
}

it("sets aside the command that would break the golden rule, raises the alarm and carries out the rest", async () => {
  for (const sku of ["MUG", "PEN"]) {
    await engine.putProduct(sku, { name: sku, skus: [{ sku, price_minor: 100, currency: "EUR" }] });
    const count = () => engine.count({ store_id: "main", sku }, 100, { reason: "first count" });
    await vi.waitFor(async () => expect(await count()).toMatchObject({ accepted: true }), patience);
  }
  const line = (sku: string) => ({ store_id: "main", sku, quantity: 3 });
  await engine.reserve("forgotten", [line("MUG")]);
  // A record that has lost track of a hold: releasing the hold would take the reserved quantity below zero.
  await pool.query(
    "update inventory.stock set quantity_reserved = 0, quantity_available = quantity_on_hand where sku = 'MUG'",
  );
  expect(await violations()).toBe(0);

  const others = Array.from({ length: 20 }, (_, i) => engine.reserve(`other-${i}`, [line("PEN")]));
  const release = server.call("/v1/reservations/forgotten/release", { method: "POST" });

  expect((await Promise.all(others)).every(({ accepted }) => accepted)).toBe(true);
  expect(await release).toMatchObject({ status: 500, body: { code: "platform.internal" } });
  expect(await violations()).toBe(1);
  await expect
    .poll(async () => (await pool.query("select command, error from inventory.dead_letters")).rows)
    .toEqual([
      {
        command: expect.objectContaining({ type: "ReleaseReservation", reservation_id: "forgotten" }),
        error: expect.stringContaining("golden rule"),
      },
    ]);
  expect(await engine.reservation("forgotten")).toMatchObject({ status: "held" });
  expect(await engine.stock({ store_id: "main", sku: "MUG" })).toMatchObject({
    quantity_reserved: 0,
    version: 3,
  });
});

it("has the database refuse what the last look would let through", async () => {
  const oversold =
    "update inventory.stock set quantity_available = -1, quantity_reserved = 101 where sku = 'PEN'";
  await expect(pool.query(oversold)).rejects.toMatchObject({ code: "23514", constraint: "never_oversold" });
  const unequal = "update inventory.stock set quantity_available = quantity_available + 1 where sku = 'PEN'";
  await expect(pool.query(unequal)).rejects.toMatchObject({ code: "23514", constraint: "golden_rule" });
});
