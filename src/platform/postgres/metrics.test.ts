import { expect, it } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createRegistry } from "../telemetry/metrics.ts";
import { databaseMetrics } from "./metrics.ts";
import { createPool } from "./pool.ts";

const database = useTestDatabase();

it("tells how old the oldest open transaction is, until it ends", async () => {
  const pool = createPool(database.url, { max: 3, name: "figures" });
  const registry = createRegistry();
  databaseMetrics(registry, createLogger("silent"), pool);
  const seconds = async () => {
    const text = await registry.getSingleMetricAsString("database_oldest_transaction_seconds");
    return Number(text.split(" ").at(-1));
  };
  const [first, second] = [await pool.connect(), await pool.connect()];
  await first.query("begin; select pg_sleep(0.2)");
  await second.query("begin");
  await expect.poll(seconds).toBeGreaterThanOrEqual(0.2);
  await first.query("commit");
  await expect.poll(seconds).toBeGreaterThan(0);
  await second.query("commit");
  await expect.poll(seconds).toBe(0);
  first.release();
  second.release();
  await pool.end();
});
