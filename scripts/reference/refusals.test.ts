import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { EventSchema } from "./json-schema.ts";
import { refusals } from "./refusals.ts";
import { type PublishedEvent, publishedEvents, versionOf } from "./schemas.ts";

const { events } = publishedEvents();
const orderCreated = "schemas/orders/OrderCreated.v1.json";
const stockIn = "schemas/inventory/StockIn.v1.json";

type Draft = { -readonly [Name in keyof EventSchema]: EventSchema[Name] } & {
  properties: Record<string, object>;
  required: string[];
};

describe("what has been published", () => {
  it("may stay as it is", () => {
    expect(refusals(published(), events)).toEqual([]);
  });

  it("may get fields, and events beside it", () => {
    const before = published();
    edit(before, orderCreated, ({ properties, required }) => {
      delete properties.total_minor;
      required.splice(required.indexOf("total_minor"), 1);
    });
    before.delete("schemas/orders/OrderPaid.v1.json");
    expect(refusals(before, events)).toEqual([]);
  });

  it("loses no field: it is told which event, which field, and what to do instead", () => {
    const before = published();
    edit(before, orderCreated, ({ properties, required }) => {
      properties.gift_note = { type: "string" };
      required.push("gift_note");
    });
    const [told, ...others] = refusals(before, events);
    expect(others).toEqual([]);
    expect(told).toContain("OrderCreated would not be what whoever reads it knows");
    expect(told).toContain(`docs/reference/${orderCreated}`);
    expect(told).toContain("- data.gift_note is gone");
    expect(told).toContain('"OrderCreated.v2"');
    expect(told).toContain("src/services/orders/contract.ts");
  });

  it("is held to the other way round where we are the reader", () => {
    const before = published();
    edit(before, stockIn, ({ properties }) => {
      properties.reason = { type: "string" };
    });
    expect(refusals(before, events).join()).toMatch(
      /StockIn would not be what whoever sends it knows[\s\S]*maxLength/,
    );
    edit(before, stockIn, ({ properties }) => {
      properties.reason = { type: "string", minLength: 1, maxLength: 2, pattern: "^[^\\p{Cc}\\p{Cs}]+$" };
    });
    expect(refusals(before, events)).toEqual([]);
  });

  it("does not vanish with its type", () => {
    const left = events.filter(({ type }) => type !== "OrderCreated");
    expect(refusals(published(), left)).toEqual([
      expect.stringContaining("OrderCreated: no contract has it any more"),
    ]);
  });

  it("may have a successor, and the next one is told its number", () => {
    const second = successor();
    expect(refusals(published(), [...events, second])).toEqual([]);
    const both = published([...events, second]);
    expect(refusals(both, [...events, second])).toEqual([]);
    edit(both, orderCreated, ({ properties }) => {
      properties.gift_note = { type: "string" };
    });
    expect(refusals(both, [...events, second]).join()).toContain('"OrderCreated.v3"');
  });
});

describe("a type says which version it is", () => {
  it.each([
    ["OrderCreated", { name: "OrderCreated", version: 1 }],
    ["OrderCreated.v2", { name: "OrderCreated", version: 2 }],
    ["OrderCreated.v10", { name: "OrderCreated", version: 10 }],
  ])("%s", (type, expected) => {
    expect(versionOf(type)).toEqual(expected);
  });

  it.each(["OrderCreated.v1", "OrderCreated.v0", "OrderCreated.2", "orderCreated", "OrderCreated.v2.v3"])(
    "%s is none",
    (type) => {
      expect(() => versionOf(type)).toThrow(type);
    },
  );
});

describe("the command", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-reference-"));
  afterAll(() => rmSync(directory, { recursive: true }));

  it("refuses to check, and to write, what would break a published version", () => {
    expect(run()).toMatchObject({ status: 0 });
    const file = join(directory, orderCreated);
    const schema = JSON.parse(readFileSync(file, "utf8"));
    schema.properties.gift_note = { type: "string" };
    const promised = JSON.stringify(schema);
    writeFileSync(file, promised);
    writeFileSync(join(directory, "metrics.md"), "as it was");

    for (const options of [["--check"], []]) {
      const { status, stderr } = run(...options);
      expect(status).toBe(1);
      expect(stderr).toContain("data.gift_note is gone");
    }

    expect(readFileSync(file, "utf8")).toBe(promised);
    expect(readFileSync(join(directory, "metrics.md"), "utf8")).toBe("as it was");
  });

  function run(...options: string[]) {
    const root = fileURLToPath(new URL("../../", import.meta.url));
    const command = ["node_modules/tsx/dist/cli.mjs", "scripts/reference.ts", "--directory", directory];
    return spawnSync(process.execPath, [...command, ...options], { cwd: root, encoding: "utf8" });
  }
});

function published(all: readonly PublishedEvent[] = events): Map<string, Draft> {
  return new Map(all.map(({ file, schema }) => [file, structuredClone(schema) as Draft]));
}

function edit(schemas: Map<string, Draft>, file: string, change: (schema: Draft) => void): void {
  change(schemas.get(file)!);
}

function successor(): PublishedEvent {
  const first = events.find(({ file }) => file === orderCreated)!;
  const type = "OrderCreated.v2";
  return {
    ...first,
    type,
    file: orderCreated.replace("v1", "v2"),
    schema: { ...first.schema, title: type, properties: {}, required: [] },
  };
}
