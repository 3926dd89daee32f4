import { cpus } from "node:os";
import { growth } from "./growth.ts";
import { hotSku } from "./hot-sku.ts";
import { http } from "./http.ts";
import { orders } from "./orders.ts";
import type { Result } from "./result.ts";
import { spread } from "./spread.ts";

const benchmarks: Record<string, (say: (message: string) => void) => Promise<Result>> = {
  "hot-sku": hotSku,
  spread,
  http,
  growth,
  orders,
};

const args = process.argv.slice(2);
const json = args.includes("--json");
const name = args.find((arg) => !arg.startsWith("--"));
const benchmark = name === undefined ? undefined : benchmarks[name];
if (benchmark === undefined) {
  console.error(
    `Usage: npm run bench -- NAME [--json], where NAME is ${Object.keys(benchmarks).join(", ")}.`,
  );
  process.exit(1);
}

console.log(
  `${name} on ${cpus().length} × ${cpus()[0]?.model}, Node ${process.versions.node}, everything on one machine`,
);
const result = await benchmark((message) => console.log(message));
for (const [key, value] of Object.entries(result)) console.log(`  ${key.padEnd(24)} ${value}`);
if (json) console.log(JSON.stringify({ name, ...result }));
// A figure that was bought with an oversold unit is worth nothing.
if (result.oversold !== 0) process.exitCode = 1;
