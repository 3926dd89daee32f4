import { openEngine, oversold, reserve, stockUp, withPostgres } from "./database.ts";
import { round, run } from "./load.ts";
import { oneByOne } from "./one-by-one.ts";
import type { Result } from "./result.ts";

/** Everybody wants the same SKU: callers in this process against one transaction for each reservation. */
export function hotSku(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (server) => {
    const url = await server.createDatabase("hot_sku");
    const engine = await openEngine(url);
    const [sku] = await stockUp(engine, 1);
    let acknowledged = 0;

    const batched = async (callers: number) => {
      const measured = await run({ callers, seconds: 6 }, (n) =>
        reserve(engine, `hot-${callers}-${n}`, [sku!]),
      );
      acknowledged += measured.calls;
      say(`  ${callers} callers: ${measured.rate}/s, p50 ${measured.p50_ms} ms, p99 ${measured.p99_ms} ms`);
      return measured;
    };
    const baseline = async (connections: number) => {
      const measured = await oneByOne(url, connections, 4, () => [sku!]);
      acknowledged += measured.calls;
      say(`  one transaction each, ${connections} connections: ${measured.rate}/s`);
      return measured;
    };

    const eight = await baseline(8);
    const many = await batched(2_000);
    const sixteen = await baseline(16);
    const few = await batched(64);
    const thirtyTwo = await baseline(32);
    const best = Math.max(eight.rate, sixteen.rate, thirtyTwo.rate);
    await engine.close();

    return {
      rate: many.rate,
      p50_ms: many.p50_ms,
      p99_ms: many.p99_ms,
      baseline_rate: best,
      ratio: round(many.rate / best, 2),
      rate_64: few.rate,
      p50_ms_64: few.p50_ms,
      p99_ms_64: few.p99_ms,
      ratio_64: round(few.rate / best, 2),
      oversold: await oversold(url, acknowledged),
    };
  });
}
