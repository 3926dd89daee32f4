import { readFileSync } from "node:fs";
import { createRegistry } from "../../src/platform/telemetry/metrics.ts";

interface Metric {
  readonly type: string;
  readonly labels: readonly string[];
}

/** What `/metrics` serves: the reference, which is made from it, and the figures about the process itself. */
async function servedMetrics(): Promise<Map<string, Metric>> {
  const page = readFileSync("docs/reference/metrics.md", "utf8").split("## What is not there")[0]!;
  const rows = page.matchAll(/^\| `(\w+)` \| (\w+) \| (.*?) \|/gm);
  const served = new Map<string, Metric>();
  for (const [, name, type, labels] of rows) {
    served.set(name!, { type: type!, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!) });
  }
  const registry = createRegistry();
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    served.set(name, { type: String(type), labels: [] });
  }
  return served;
}

const served = await servedMetrics();
/** What Prometheus itself adds: whether it reached a target, and what fires. */
const ofPrometheus: readonly string[] = ["up", "ALERTS"];
const labelsOfPrometheus: readonly string[] = ["job", "instance", "alertstate", "severity"];

/** What is wrong with the names in a query; nothing where it can be answered. */
export function unknownNames(query: string): string[] {
  const names = metricsIn(query);
  const metrics = names.map(metricNamed);
  const labels = new Set([...metrics.flatMap((metric) => metric?.labels ?? []), ...labelsOfPrometheus]);
  if (names.some((name) => name.endsWith("_bucket"))) labels.add("le");
  return [
    ...names.filter((name, i) => metrics[i] === undefined && !ofPrometheus.includes(name)),
    ...labelsIn(query).filter((label) => !labels.has(label)),
  ];
}

function metricNamed(name: string): Metric | undefined {
  const histogram = served.get(name.replace(/_(bucket|count|sum)$/, ""));
  return served.get(name) ?? (histogram?.type === "histogram" ? histogram : undefined);
}

const grouping = /\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g;
const matchers = /\{([^}]*)\}/g;

function metricsIn(query: string): string[] {
  const bare = query
    .replaceAll(/"[^"]*"/g, "")
    .replaceAll(matchers, " ")
    .replaceAll(grouping, " ")
    .replaceAll(/\[[^\]]*\]|\boffset \w+/g, " ");
  const words = [...bare.matchAll(/\b[a-zA-Z_]\w*\b(?!\s*\()/g)].map(([word]) => word);
  return [
    ...new Set(words.filter((word) => !["and", "or", "unless", "sum", "avg", "min", "max"].includes(word))),
  ];
}

function labelsIn(query: string): string[] {
  const grouped = [...query.matchAll(grouping)].flatMap(([, list]) => list!.split(","));
  const matched = [...query.replaceAll(/"[^"]*"/g, "").matchAll(matchers)].flatMap(([, list]) =>
    list!.split(","),
  );
  return [...grouped, ...matched].map((label) => label.replace(/[=!~].*/, "").trim()).filter(Boolean);
}
