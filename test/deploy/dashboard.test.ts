import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { unknownNames } from "./metrics-reference.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { uid: string };
  readonly targets?: readonly { expr: string; datasource: { uid: string } }[];
  readonly fieldConfig?: { defaults: { unit: string; thresholds: object } };
}

const dashboard = JSON.parse(readFileSync("deploy/grafana/dashboards/holdfast.json", "utf8"));
const panels: Panel[] = dashboard.panels.filter(({ type }: Panel) => type !== "row");
const source = parse(readFileSync("deploy/grafana/provisioning/datasources/prometheus.yml", "utf8"));

describe("every panel of the dashboard", () => {
  const titled = panels.map((panel) => [panel.title, panel] as const);

  it.each(titled)("%s asks for what is measured", (_, { targets = [] }) => {
    expect(targets).not.toEqual([]);
    for (const { expr } of targets) expect(unknownNames(expr), expr).toEqual([]);
  });

  it.each(titled)("%s says what it shows, in which unit, and asks the source that is there", (_, panel) => {
    expect(panel.description).toMatch(/\.$/);
    expect(panel.fieldConfig?.defaults).toMatchObject({
      unit: expect.any(String),
      thresholds: expect.anything(),
    });
    const asked = [panel.datasource, ...(panel.targets ?? []).map(({ datasource }) => datasource)];
    expect(new Set(asked.map((datasource) => datasource?.uid))).toEqual(new Set([source.datasources[0].uid]));
  });
});

it("keeps its address, and no two panels share an id", () => {
  expect(dashboard.uid).toBe("holdfast");
  const ids = dashboard.panels.map(({ id }: Panel) => id);
  expect(new Set(ids).size).toBe(ids.length);
});
