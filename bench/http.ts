import { openEngine, oversold, stockUp, withPostgres } from "./database.ts";
import type { HttpLoad } from "./http-load.ts";
import { round } from "./load.ts";
import type { Result } from "./result.ts";
import { putUnderLoad, withServer } from "./server.ts";

const batchSize = 500;

/** One PUT for each reservation from another process; the baseline is an empty route of the same server. */
export function http(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (postgres) => {
    const url = await postgres.createDatabase("http");
    const engine = await openEngine(url);
    const [sku] = await stockUp(engine, 1);
    await engine.close();

    return withServer(url, async (port) => {
      const measure = async (kind: HttpLoad["kind"], connections: number, seconds: number) => {
        const measured = await putUnderLoad({
          port,
          connections,
          seconds,
          warmUpSeconds: 2,
          kind,
          skus: [sku!],
          batchSize,
        });
        say(`  ${kind}: ${measured.rate} requests/s, p50 ${measured.p50_ms} ms, p99 ${measured.p99_ms} ms`);
        return measured;
      };
      const emptyBefore = await measure("empty", 256, 4);
      const put = await measure("reserve", 256, 8);
      const batch = await measure("batch", 8, 6);
      const emptyAfter = await measure("empty", 256, 4);
      const empty = Math.round((emptyBefore.rate + emptyAfter.rate) / 2);
      return {
        rate: put.rate,
        p50_ms: put.p50_ms,
        p99_ms: put.p99_ms,
        baseline_rate: empty,
        ratio: round(put.rate / empty, 2),
        batch_rate: batch.rate * batchSize,
        batch_p50_ms: batch.p50_ms,
        batch_p99_ms: batch.p99_ms,
        oversold: await oversold(url, put.calls + batch.calls * batchSize),
      };
    });
  });
}
