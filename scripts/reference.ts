// `npm run docs` writes docs/reference/ from the code; `npm run docs -- --check` only says what is out of date.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { apiPage } from "./reference/api.ts";
import { configPage } from "./reference/config.ts";
import { errorsPage } from "./reference/errors.ts";
import { eventsPage } from "./reference/events.ts";
import { metricsPage } from "./reference/metrics.ts";
import { describeServer } from "./reference/server.ts";

const directory = fileURLToPath(new URL("../docs/reference/", import.meta.url));

const { openapi, registry } = await describeServer();
const pages: Record<string, string> = {
  "api.md": apiPage(openapi),
  "config.md": configPage(),
  "errors.md": errorsPage(),
  "events.md": eventsPage(),
  "metrics.md": metricsPage(registry),
  "openapi.json": `${JSON.stringify(openapi, undefined, 2)}\n`,
};

mkdirSync(directory, { recursive: true });
const present = readdirSync(directory);
const surplus = present.filter((name) => !(name in pages));

if (process.argv.includes("--check")) check();
else write();

function write(): void {
  for (const [name, text] of Object.entries(pages)) writeFileSync(directory + name, text);
  for (const name of surplus) rmSync(directory + name);
  console.log(`docs/reference: ${Object.keys(pages).join(", ")}`);
}

function check(): void {
  const stale = Object.entries(pages).flatMap(([name, text]) => {
    const written = present.includes(name) ? readFileSync(directory + name, "utf8") : "";
    return written === text ? [] : [`docs/reference/${name}\n${difference(written, text)}`];
  });
  stale.push(...surplus.map((name) => `docs/reference/${name}\n  is made by nothing any more`));
  if (stale.length === 0) {
    console.log("docs/reference says what the code says.");
    return;
  }
  console.error(`${stale.join("\n\n")}\n\nOut of date: run \`npm run docs\` and commit what it writes.`);
  process.exitCode = 1;
}

/** Enough to see what has changed; git shows the rest once it is written. */
function difference(written: string, current: string): string {
  const [before, after] = [written.split("\n"), current.split("\n")];
  const [gone, come] = [without(before, after), without(after, before)];
  if (gone.length + come.length === 0) return "  the same lines in another order";
  const lines = [...gone.map((line) => `  - ${line}`), ...come.map((line) => `  + ${line}`)];
  const more = lines.length > 12 ? [`  … and ${lines.length - 12} lines more`] : [];
  return [...lines.slice(0, 12), ...more].join("\n");
}

function without(lines: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return lines.filter((line) => !known.has(line));
}
