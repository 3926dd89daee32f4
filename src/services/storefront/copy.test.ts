import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import { Degraded } from "../../platform/http/health.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { patience } from "../../testing/patience.ts";
import { type StorefrontService, storefrontMigrations, storefrontService } from "./index.ts";

/** The inventory is elsewhere: what the bus brings of its log is all that there is. */
const database = useTestDatabase();
const hourMs = 3_600_000;
let pool: Pool;
let service: StorefrontService;
let ageMs: number | undefined;

beforeAll(async () => {
  await migrate(database.url, storefrontMigrations);
  pool = createPool(database.url, { max: 8, name: "storefront" });
  service = storefrontService({
    pool,
    reads: pool,
    maxWaiting: 1,
    registry: createRegistry(),
    logger: createLogger("silent"),
    tracer: untraced,
    settings: { max_streams: 1 },
    follows: "storefront",
    watch: () => {},
    copyAgeMs: async () => ageMs,
  });
  service.start();
});
afterAll(async () => {
  await service.stop();
  await pool.end();
});

function copied(type: string, data: object, n: number): Promise<unknown> {
  const id = `inventory-${n}-0`;
  const event: BusEvent = { id, topic: "inventory", type, subject: "A", key: "A", at: new Date(), data };
  return transact(pool, (tx) => service.subscription!.handle(tx, [event]));
}

const answered = () => JSON.parse(service.storefront.answer(["A"], undefined));

it("does not say that it is whole before it was told so, however much of the log there is", async () => {
  await copied("StockOpened", { store_id: "main", sku: "A", product_id: "P" }, 1);
  await vi.waitFor(() => expect(answered().items).toHaveLength(1), patience);
  expect(service.storefront.isReady).toBe(false);
  ageMs = 0;
  await vi.waitFor(() => expect(service.storefront.isReady).toBe(true), patience);
});

it("is as old as it was told, also when something comes in, and no older while it is told again", async () => {
  await vi.waitFor(() => expect(service.storefront.health()).not.toBeInstanceOf(Degraded), patience);
  const before = Date.parse(answered().items[0].as_of);
  ageMs = undefined;
  const toldLast = Date.now();
  const line = { store_id: "main", sku: "A", quantity: 3, quantity_available: 3, version: 2 };
  await copied("InventoryAdjusted", { lines: [line] }, 2);
  await vi.waitFor(() => expect(answered().items[0].quantity_available).toBe(3), patience);
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  expect(Date.parse(answered().items[0].as_of)).toBeGreaterThanOrEqual(before);
  expect(Date.parse(answered().items[0].as_of)).toBeLessThanOrEqual(toldLast);
  expect(answered().age_ms).toBeGreaterThanOrEqual(1_000);

  ageMs = hourMs; // what is told later may tell of an earlier moment
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(answered().age_ms).toBeLessThan(hourMs);
  ageMs = 0;
  await vi.waitFor(() => expect(answered().age_ms).toBeLessThan(1_000), patience);
});

it("is proven by what it has copied", async () => {
  await service.stop();
  const findings = await service.verify(readerOf(pool), () => {});
  expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
  expect(findings[0]!.looked_at).toBe("2 events against 1 records");
});
