import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openEngine, oversold, stockUp, withPostgres } from "./database.ts";
import type { HttpLoad } from "./http-load.ts";
import { type Measured, round } from "./load.ts";
import type { Result } from "./result.ts";

const batchSize = 500;

/** One PUT for each reservation from another process; the baseline is an empty route of the same server. */
export function http(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (postgres) => {
    const url = await postgres.createDatabase("http");
    const engine = await openEngine(url);
    const [sku] = await stockUp(engine, 1);
    await engine.close();

    const server = await startServer(url);
    try {
      const measure = async (kind: HttpLoad["kind"], connections: number, seconds: number) => {
        const measured = await putUnderLoad({
          port: server.port,
          connections,
          seconds,
          warmUpSeconds: 2,
          kind,
          sku: sku!,
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
    } finally {
      server.process.kill("SIGTERM");
      await once(server.process, "exit");
    }
  });
}

async function startServer(databaseUrl: string): Promise<{ process: ChildProcess; port: number }> {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const server = spawn(process.execPath, [main, "start"], {
    env: { ...process.env, HOLDFAST_DATABASE_URL: databaseUrl, HOLDFAST_PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface(server.stdout!)) {
    const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    server.stdout!.resume();
    return { process: server, port: Number(port) };
  }
  throw new Error("the server ended before it listened");
}

async function putUnderLoad(load: HttpLoad): Promise<Measured> {
  const script = fileURLToPath(new URL("http-load.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--import",
    "tsx",
    script,
    JSON.stringify(load),
  ]);
  return JSON.parse(stdout);
}
