import { cpus } from "node:os";
import { availability } from "./availability.ts";
import { bus } from "./bus.ts";
import { growth } from "./growth.ts";
import { hotSku } from "./hot-sku.ts";
import { http } from "./http.ts";
import { orders } from "./orders.ts";
import type { Result } from "./result.ts";
import { retail } from "./retail.ts";
import { spread } from "./spread.ts";
import { syncLag } from "./sync-lag.ts";

type Benchmark = (say: (message: string) => void, args: readonly string[]) => Promise<Result>;

const benchmarks: Record<string, Benchmark> = {
  "hot-sku": hotSku,
  spread,
  http,
  growth,
  orders,
  bus,
  availability,
  "sync-lag": syncLag,
  retail,
};

const args = process.argv.slice(2);
const json = args.includes("--json");
const [name, ...rest] = args.filter((arg) => arg !== "--json");
const benchmark = name === undefined ? undefined : benchmarks[name];
if (benchmark === undefined) {
  console.error(
    `Usage: npm run bench -- NAME [--json], where NAME is ${Object.keys(benchmarks).join(", ")}.\n` +
      "orders and sync-lag take --bus=kafka or --bus=rabbitmq.",
  );
  process.exit(1);
}

console.log(
  `${name} on ${cpus().length} × ${cpus()[0]?.model}, Node ${process.versions.node}, everything on one machine`,
);
const result = await benchmark((message) => console.log(message), rest);
for (const [key, value] of Object.entries(result)) console.log(`  ${key.padEnd(24)} ${value}`);
if (json) console.log(JSON.stringify({ name, ...result }));
// A figure that was bought with an oversold unit is worth nothing.
if ((result.oversold ?? 0) !== 0) process.exitCode = 1;
