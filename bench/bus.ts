import { transact } from "../src/platform/batch/transaction.ts";
import { createBrokerBus, relayMigrations } from "../src/platform/bus/broker/index.ts";
import { openBroker } from "../src/platform/bus/open.ts";
import type { Bus, BusEvent } from "../src/platform/bus/port.ts";
import { createPostgresBus } from "../src/platform/bus/postgres/index.ts";
import { logWriter } from "../src/platform/log/append.ts";
import { migrate } from "../src/platform/postgres/migrate.ts";
import { createPool, type Pool } from "../src/platform/postgres/pool.ts";
import { logMigrations } from "../src/platform/service.ts";
import { createLogger } from "../src/platform/telemetry/logger.ts";
import { createRegistry } from "../src/platform/telemetry/metrics.ts";
import { untraced } from "../src/platform/telemetry/tracer.ts";
import { isInstalled } from "../src/testing/broker-process.ts";
import { type BusName, type BusSettings, busNames, withBus } from "./broker.ts";
import { withPostgres } from "./database.ts";
import { round, summary } from "./load.ts";
import type { Result } from "./result.ts";

const schemas = ["teller", "listener"];
const eventsPerBatch = 200;
const batches = 1_000;
const seconds = 8;
const steadyBatchesPerSecond = 100;
const steadyEventsPerBatch = 20;

interface Figures {
  readonly rate: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/**
 * The three buses side by side: how many events a second a group handles that finds a log full of them, and how long an
 * event takes from its place in the log until it is handled, durably, at 2,000 events a second. The events go through
 * everything that they go through in production: log, relay, broker, and the transaction that moves the group's cursor.
 */
export function bus(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (server) => {
    const figures = new Map<BusName, Figures>();
    for (const name of busNames) {
      if (name !== "postgres" && !isInstalled(name)) {
        say(`  ${name} is not installed here: npm run brokers -- --install --${name}`);
        continue;
      }
      const url = await server.createDatabase(`bus_${name}`);
      const measured = await withBus(name, (settings) => measure(url, settings));
      say(`  ${name}: ${measured.rate} events/s, p50 ${measured.p50_ms} ms, p99 ${measured.p99_ms} ms`);
      figures.set(name, measured);
    }
    const baseline = figures.get("postgres")!;
    const others = [...figures].flatMap(([name, { rate, p50_ms, p99_ms }]) => [
      [`${name}_rate`, rate],
      [`${name}_p50_ms`, p50_ms],
      [`${name}_p99_ms`, p99_ms],
    ]);
    const { rate, p50_ms, p99_ms } = figures.get("kafka") ?? baseline;
    return {
      rate,
      p50_ms,
      p99_ms,
      baseline_rate: baseline.rate,
      ratio: round(rate / baseline.rate, 2),
      ...Object.fromEntries(others),
    };
  });
}

async function measure(url: string, settings: BusSettings): Promise<Figures> {
  await migrate(url, [...schemas.map(logMigrations), relayMigrations]);
  const pool = createPool(url, { max: 8, name: "bench" });
  try {
    await fill(pool);
    const listener = new Listener();
    const open = await openBus(pool, url, settings, listener);
    const began = performance.now();
    open.start();
    await listener.heard(batches * eventsPerBatch);
    const rate = Math.round((batches * eventsPerBatch) / ((performance.now() - began) / 1_000));
    listener.delays.length = 0;
    await writeSteadily(pool);
    await listener.heard(batches * eventsPerBatch + seconds * steadyBatchesPerSecond * steadyEventsPerBatch);
    await open.stop();
    const { p50_ms, p99_ms } = summary(listener.delays, seconds);
    return { rate, p50_ms, p99_ms };
  } finally {
    await pool.end();
  }
}

/** Counts what it has handled durably, and how long that took. */
class Listener {
  readonly delays: number[] = [];
  private count = 0;
  private wake = () => {};

  handle = async (_tx: unknown, events: readonly BusEvent[]) => () => {
    const now = Date.now();
    for (const { data } of events) this.delays.push(now - (data as { at: number }).at);
    this.count += events.length;
    this.wake();
  };

  async heard(count: number): Promise<void> {
    while (this.count < count) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}

async function openBus(pool: Pool, url: string, settings: BusSettings, listener: Listener): Promise<Bus> {
  const telemetry = { logger: createLogger("warn"), registry: createRegistry() };
  const options = { ...telemetry, pool, url, schemas, tracer: untraced };
  const broker = await openBroker(settings, telemetry);
  const open =
    broker === undefined
      ? createPostgresBus(options)
      : createBrokerBus({ ...options, broker, logs: ["teller"], prefix: settings.topicPrefix ?? "" });
  open.subscribe({
    group: "listener",
    topics: { teller: ["Told"] },
    afterFailure: "wait",
    handle: listener.handle,
  });
  return open;
}

async function fill(pool: Pool): Promise<void> {
  for (let n = 0; n < batches; n++) await write(pool, n, eventsPerBatch);
}

async function writeSteadily(pool: Pool): Promise<void> {
  const began = performance.now();
  const writing: Promise<void>[] = [];
  for (let n = 0; n < seconds * steadyBatchesPerSecond; n++) {
    const dueMs = (n * 1_000) / steadyBatchesPerSecond - (performance.now() - began);
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
    writing.push(write(pool, n, steadyEventsPerBatch));
  }
  await Promise.all(writing);
}

/** About as large as an order's events are, of many keys. */
async function write(pool: Pool, n: number, count: number): Promise<void> {
  const log = logWriter("teller");
  const lines = [1, 2].map((i) => ({ store_id: "main", sku: `SKU-${n % 1_000}`, quantity: i }));
  await transact(pool, async (tx) => {
    const mark = await log.mark(tx);
    const events = Array.from({ length: count }, (_, i) => {
      const order_id = `order-${n * count + i}`;
      return { type: "Told", subject: order_id, data: { order_id, lines, at: mark.now.getTime() } };
    });
    log.append(tx, mark, events);
  });
}
