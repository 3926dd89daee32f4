import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { describeWith } from "../../src/testing/tools.ts";
import { unknownNames } from "./metrics-reference.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const filesIn = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yml"))
    .map((name) => join(folder, name));
const ruleFiles = filesIn("deploy/alerts");
const testFiles = filesIn("deploy/alerts/tests");
const rules: Rule[] = ruleFiles.flatMap((file) =>
  parse(readFileSync(file, "utf8")).groups.flatMap((group: { rules: Rule[] }) => group.rules),
);
const titled = rules.map((rule) => [`${rule.alert} ${Object.values(rule.labels).join(" ")}`, rule] as const);
const manual = readFileSync("docs/OPERATIONS.md", "utf8");
const sections = [...manual.matchAll(/^### ([A-Z][A-Za-z]+)$/gm)].map(([, title]) => title!);

describe("every rule", () => {
  it.each(titled)("%s asks for what is measured", (_, { expr }) => {
    expect(unknownNames(expr)).toEqual([]);
  });

  it.each(titled)("%s says what it means, and where to read on", (_, { alert, labels, annotations }) => {
    expect(["critical", "warning", "info"]).toContain(labels.severity);
    expect(annotations.summary).toMatch(/^[A-Z].{10,}[^.]$/);
    expect(annotations.description).toMatch(/\.$/);
    expect(annotations.runbook).toBe(`docs/OPERATIONS.md#${alert.toLowerCase()}`);
    expect(sections).toContain(alert);
  });

  it.each(titled)("%s fires in a test", (_, { alert, labels }) => {
    const expected = testFiles.flatMap((file) => firing(readFileSync(file, "utf8")));
    expect(expected).toContainEqual({ alertname: alert, ...labels });
  });

  it("has the only section of its name, and no section is left over", () => {
    const alerts = sections.filter((title) => /[a-z][A-Z]/.test(title));
    expect(alerts.sort()).toEqual([...new Set(rules.map(({ alert }) => alert))].sort());
  });
});

/** The alerts that a file of tests expects, by their labels. */
function firing(text: string): Record<string, string>[] {
  return [...text.matchAll(/labels: '\{(.*)\}'/g)].map(([, labels]) =>
    Object.fromEntries([...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
  );
}

const run = promisify(execFile);
describeWith("promtool")("promtool", () => {
  it("finds the rules well-formed, and the configuration", async () => {
    const { stdout } = await run("promtool", ["check", "config", "deploy/prometheus.yml"]);
    const found = [...stdout.matchAll(/(\d+) rules found/g)].map(([, count]) => Number(count));
    expect(found).toHaveLength(ruleFiles.length);
    expect(found.reduce((sum, count) => sum + count)).toBe(rules.length);
  });

  it("sees every rule fire beyond its threshold and keep still below it", async () => {
    await expect(run("promtool", ["test", "rules", ...testFiles])).resolves.toBeDefined();
  });
});
