import { openEngine, stockUp, withPostgres } from "./database.ts";
import type { HttpLoad } from "./http-load.ts";
import { round } from "./load.ts";
import type { Result } from "./result.ts";
import { putUnderLoad, withServer } from "./server.ts";

const skuCount = 10_000;

/** What a shop window asks all day; the baseline is an empty route of the same server. */
export function availability(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (postgres) => {
    const url = await postgres.createDatabase("availability");
    const engine = await openEngine(url);
    const skus = await stockUp(engine, skuCount);
    await engine.close();

    return withServer(url, async (port) => {
      const measure = async (kind: HttpLoad["kind"], seconds: number) => {
        const load = { port, connections: 256, seconds, warmUpSeconds: 2, kind, skus, batchSize: 1 };
        const measured = await putUnderLoad(load);
        say(`  ${kind}: ${measured.rate} requests/s, p50 ${measured.p50_ms} ms, p99 ${measured.p99_ms} ms`);
        return measured;
      };
      const before = await measure("empty", 4);
      const read = await measure("availability", 8);
      const after = await measure("empty", 4);
      const empty = Math.round((before.rate + after.rate) / 2);
      return {
        rate: read.rate,
        p50_ms: read.p50_ms,
        p99_ms: read.p99_ms,
        baseline_rate: empty,
        ratio: round(read.rate / empty, 2),
      };
    });
  });
}
