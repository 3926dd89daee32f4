// `npm run docs` writes docs/reference/ from the code; `npm run docs -- --check` only says what is out of date. Neither
// lets a published version of an event become something else than its readers know.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { version } from "../src/version.ts";
import { apiPage } from "./reference/api.ts";
import { asyncApiDocument } from "./reference/asyncapi/document.ts";
import { configPage } from "./reference/config.ts";
import { errorsPage } from "./reference/errors.ts";
import { eventsPage } from "./reference/events.ts";
import { metricsPage } from "./reference/metrics.ts";
import { refusals } from "./reference/refusals.ts";
import { publishedEvents, schemaDirectory } from "./reference/schemas.ts";
import { describeServer } from "./reference/server.ts";

const { values: options } = parseArgs({
  options: {
    check: { type: "boolean" },
    directory: { type: "string", default: fileURLToPath(new URL("../docs/reference", import.meta.url)) },
  },
});

const { openapi, registry, withBroker } = await describeServer();
const publication = publishedEvents();
const pages: Record<string, string> = {
  "api.md": apiPage(openapi),
  "asyncapi.json": json(asyncApiDocument(publication, version)),
  "config.md": configPage(),
  "errors.md": errorsPage(),
  "events.md": eventsPage(publication),
  "metrics.md": metricsPage(registry, withBroker),
  "openapi.json": json(openapi),
  ...Object.fromEntries(publication.events.map(({ file, schema }) => [file, json(schema)])),
};

const present = filesIn(options.directory);
const surplus = present.filter((name) => !(name in pages));

const published = present.filter((name) => name.startsWith(`${schemaDirectory}/`) && name.endsWith(".json"));
const refused = refusals(
  new Map(published.map((name) => [name, JSON.parse(read(name))])),
  publication.events,
);

if (refused.length > 0) {
  console.error(`${refused.join("\n\n")}\n\nNothing was written.`);
  process.exitCode = 1;
} else if (options.check) check();
else write();

function json(document: object): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function filesIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(directory, name)).isFile())
    .map((name) => name.replaceAll("\\", "/"))
    .sort();
}

function read(name: string): string {
  return readFileSync(join(options.directory, name), "utf8");
}

function write(): void {
  for (const [name, text] of Object.entries(pages)) {
    const file = join(options.directory, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  for (const name of surplus) rmSync(join(options.directory, name));
  const others = Object.keys(pages).filter((name) => !name.startsWith(schemaDirectory));
  console.log(`docs/reference: ${others.join(", ")}, and ${publication.events.length} schemas of events`);
}

function check(): void {
  const stale = Object.entries(pages).flatMap(([name, text]) => {
    const written = present.includes(name) ? read(name) : "";
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
