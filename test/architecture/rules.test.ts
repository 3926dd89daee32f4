import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { cruise, type ICruiseOptions, type ICruiseResult } from "dependency-cruiser";
import extractOptions from "dependency-cruiser/config-utl/extract-depcruise-options";
import { beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const fixtures = fileURLToPath(new URL("./fixtures/", import.meta.url));

let options: ICruiseOptions;
beforeAll(async () => {
  options = await extractOptions(`${root}.dependency-cruiser.cjs`);
});

async function cruiseBelow(baseDir: string): Promise<ICruiseResult> {
  const { output } = await cruise(["src"], { ...options, baseDir });
  return output as ICruiseResult;
}

function violationsOf({ summary }: ICruiseResult): string[] {
  return summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);
}

describe("the source", () => {
  let source: ICruiseResult;
  beforeAll(async () => {
    source = await cruiseBelow(root);
  });

  it("points its imports the way that the rules say", () => {
    expect(violationsOf(source)).toEqual([]);
  });

  it("was read: a cruiser that does not understand TypeScript finds nothing wrong either", () => {
    const own = source.modules.filter(({ source }) => source.startsWith("src/"));
    expect(own.length).toBeGreaterThan(80);
    expect(own.flatMap(({ dependencies }) => dependencies).length).toBeGreaterThan(250);
  });

  it("has a domain, which the rule about it finds", () => {
    const rule = options.ruleSet?.forbidden?.find(({ name }) => name === "domain-is-pure");
    const domain = new RegExp(String(rule?.from.path));
    const found = source.modules
      .map(({ source }) => source)
      .filter((file) => domain.test(file) && !file.endsWith(".test.ts"));
    const nouns = ["catalog/product", "inventory/reservation", "orders/order", "payments/payment"];
    expect(found).toEqual(expect.arrayContaining(nouns.map((noun) => `src/services/${noun}.ts`)));
    const others = /\/(store|handle|routes|contract|gateways|charging|carriers)(\.ts$|\/)/;
    expect(found.filter((file) => others.test(file))).toEqual([]);
  });
});

it("a domain may use neither the files of other roles nor the folders of what is outside", async () => {
  const reached = violationsOf(await cruiseBelow(`${fixtures}domain-is-pure`));
  const from = "domain-is-pure: src/services/orders/order.ts → src/services/orders";
  expect(reached.sort()).toEqual([`${from}/gateways/port.ts`, `${from}/store.ts`]);
});

describe("each rule", () => {
  const names = readdirSync(fixtures);

  it("has a fixture that breaks it", () => {
    const rules = options.ruleSet?.forbidden?.map(({ name }) => name) ?? [];
    expect([...names].sort()).toEqual([...rules].sort());
  });

  it.each(names)("%s can fail, and alone", async (name) => {
    expect(existsSync(`${fixtures}${name}/src`)).toBe(true);
    const { summary } = await cruiseBelow(`${fixtures}${name}`);
    const broken = new Set(summary.violations.map(({ rule }) => rule.name));
    expect([...broken]).toEqual([name]);
  });
});
