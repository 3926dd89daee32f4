import { openEngine, oversold, reserve, stockUp, withPostgres } from "./database.ts";
import { round, run } from "./load.ts";
import { oneByOne } from "./one-by-one.ts";
import type { Result } from "./result.ts";

const skuCount = 10_000;
const linesEach = 3;

/** Three lines for each reservation, every one of 10,000 SKUs equally likely; the baseline is the same, one by one. */
export function spread(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (server) => {
    const url = await server.createDatabase("spread");
    const engine = await openEngine(url);
    const skus = await stockUp(engine, skuCount);
    const pick = () => {
      const picked = new Set<string>();
      while (picked.size < linesEach) picked.add(skus[Math.floor(Math.random() * skuCount)]!);
      return [...picked];
    };
    say("  10,000 SKUs stocked");

    let reservations = 0;
    const oneEach = async (connections: number) => {
      const measured = await oneByOne(url, connections, 4, pick);
      reservations += measured.calls;
      say(`  one transaction each, ${connections} connections: ${measured.rate}/s`);
      return measured.rate;
    };
    const baseline = [await oneEach(8)];
    const many = await run({ callers: 2_000, seconds: 10 }, (n) => reserve(engine, `spread-${n}`, pick()));
    reservations += many.calls;
    baseline.push(await oneEach(16), await oneEach(32));
    await engine.close();

    const best = Math.max(...baseline);
    return {
      rate: many.rate,
      lines_rate: many.rate * linesEach,
      p50_ms: many.p50_ms,
      p99_ms: many.p99_ms,
      baseline_rate: best,
      ratio: round(many.rate / best, 2),
      oversold: await oversold(url, reservations * linesEach),
    };
  });
}
