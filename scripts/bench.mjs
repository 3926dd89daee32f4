// Sets up what a fresh clone lacks, then runs one benchmark: npm run bench -- NAME [--json]
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setUp } from "./setup.mjs";

setUp({ build: true });
const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url));
const { status } = spawnSync(
  process.execPath,
  ["--max-semi-space-size=64", "--import", "tsx", main, ...process.argv.slice(2)],
  {
    stdio: "inherit",
  },
);
process.exit(status ?? 1);
