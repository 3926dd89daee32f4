import type { Holdfast } from "../src/index.ts";
import { type BusSettings, busOf, withBus } from "./broker.ts";
import { openEngine, query, stockUp, store_id, withPostgres } from "./database.ts";
import { type Measured, round, run, summary } from "./load.ts";
import type { Result } from "./result.ts";

const skuCount = 1_000;
const seconds = 15;
const warmUpSeconds = 5;

/**
 * Whole orders with two lines each, from the request until they are completed: reserved, paid, shipped and the stock
 * reduced, each step by its own service. The baseline is what the same engine reserves of the same lines, alone. With
 * `--bus=kafka` all events go through a broker instead, and the baseline is the same orders on PostgreSQL's own bus.
 */
export function orders(say: (message: string) => void, args: readonly string[]): Promise<Result> {
  const bus = busOf(args);
  return withPostgres(async (server) => {
    if (bus === "postgres") return measure(await server.createDatabase("orders"), {}, say);
    const url = await server.createDatabase("orders_postgres");
    const baseline = await saturate(url, {});
    say(`  on PostgreSQL's own bus: ${baseline.rate} complete orders/s`);
    const result = await withBus(bus, async (settings) =>
      measure(await server.createDatabase("orders"), settings, say),
    );
    return {
      ...result,
      baseline_rate: baseline.rate,
      ratio: round(result.rate / baseline.rate, 2),
      oversold: result.oversold! + baseline.lost,
    };
  });
}

async function saturate(url: string, settings: BusSettings) {
  const engine = await openEngine(url, settings);
  const skus = await stockUp(engine, skuCount);
  const placed = { count: 0 };
  const full = await run({ callers: 2_000, seconds, warmUpSeconds }, (n) =>
    complete(engine, skus, placed, n),
  );
  await engine.close();
  return { ...full, lost: await lost(url, placed.count) };
}

async function measure(url: string, settings: BusSettings, say: (message: string) => void): Promise<Result> {
  const engine = await openEngine(url, settings);
  const skus = await stockUp(engine, skuCount);
  const placed = { count: 0 };
  const order = (n: number) => complete(engine, skus, placed, n);

  const alone = await run({ callers: 2_000, seconds: 5 }, (n) => reserveTwo(engine, skus, n));
  say(`  reservations of two lines alone: ${alone.rate}/s`);
  const full = await run({ callers: 2_000, seconds, warmUpSeconds }, order);
  say(`  2,000 at once: ${full.rate} complete orders/s, p50 ${full.p50_ms} ms, p99 ${full.p99_ms} ms`);
  const half = await atRate(full.rate / 2, seconds, order);
  say(`  at ${round(full.rate / 2, 0)}/s: p50 ${half.p50_ms} ms, p99 ${half.p99_ms} ms`);
  const few = await run({ callers: 200, seconds, warmUpSeconds }, order);
  say(`  200 at once: ${few.rate} complete orders/s, p50 ${few.p50_ms} ms, p99 ${few.p99_ms} ms`);
  await engine.close();

  return {
    rate: full.rate,
    p50_ms: full.p50_ms,
    p99_ms: full.p99_ms,
    baseline_rate: alone.rate,
    ratio: round(full.rate / alone.rate, 2),
    half_rate: half.rate,
    half_p50_ms: half.p50_ms,
    half_p99_ms: half.p99_ms,
    rate_200: few.rate,
    p50_ms_200: few.p50_ms,
    p99_ms_200: few.p99_ms,
    oversold: await lost(url, placed.count),
  };
}

/** Two different SKUs, so that each order touches two records. */
function linesOf(skus: readonly string[], n: number) {
  return [n * 7, n * 13 + 1].map((i) => ({ store_id, sku: skus[i % skus.length]!, quantity: 1 }));
}

async function complete(
  engine: Holdfast,
  skus: readonly string[],
  placed: { count: number },
  n: number,
): Promise<void> {
  const reply = await engine.placeOrder(`bench-${placed.count++}`, {
    customer_id: `customer-${n % 5_000}`,
    lines: linesOf(skus, n),
    payment: { token: "tok_ok" },
  });
  if (!reply.accepted) throw new Error(`an order was refused: ${reply.refusal.detail}`);
  const ended = await engine.orderEnded(reply.orders[0]!, 60);
  if (ended?.status !== "completed") throw new Error(`an order did not complete: ${JSON.stringify(ended)}`);
}

async function reserveTwo(engine: Holdfast, skus: readonly string[], n: number): Promise<void> {
  const reply = await engine.reserve(`alone-${n}`, linesOf(skus, n));
  if (!reply.accepted) throw new Error(`a reservation was refused: ${reply.refusal.detail}`);
}

/** So many a second, whether those before have been answered or not. */
async function atRate(
  rate: number,
  duration: number,
  call: (n: number) => Promise<void>,
): Promise<Omit<Measured, "calls">> {
  const durations: number[] = [];
  const running = new Set<Promise<void>>();
  const start = performance.now();
  const end = start + duration * 1_000;
  for (let n = 0; performance.now() < end; ) {
    for (const due = ((performance.now() - start) / 1_000) * rate; n < due; n++) {
      const began = performance.now();
      const task = call(n).then(() => {
        durations.push(performance.now() - began);
        running.delete(task);
      });
      running.add(task);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
  return summary(durations, duration);
}

/** Orders that were acknowledged as complete, and whose stock was not reduced by exactly their lines. */
async function lost(url: string, placed: number): Promise<number> {
  const [row] = await query<{ sold: string }>(
    url,
    `select sum(2000000000::bigint - quantity_on_hand) as sold from inventory.stock`,
  );
  return Math.abs(Number(row!.sold) - placed * 2);
}
