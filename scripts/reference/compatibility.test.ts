import { describe, expect, it } from "vitest";
import { type Direction, incompatibilities } from "./compatibility.ts";
import type { JsonSchema } from "./json-schema.ts";

const before: JsonSchema = {
  type: "object",
  properties: {
    order_id: { type: "string" },
    note: { type: "string" },
    status: { type: "string", enum: ["open", "shut"] },
    at: { type: ["string", "null"], format: "date-time" },
    quantity: { type: "integer", minimum: 1, maximum: 9 },
    name: { type: "string", minLength: 1, maxLength: 5, pattern: "^a" },
    share: { type: "number" },
    lines: { type: "array", items: { $ref: "#/$defs/Line" } },
    refusal: { anyOf: [{ $ref: "#/$defs/Line" }, { type: "null" }] },
  },
  required: ["order_id", "status", "at", "quantity", "name", "share", "lines", "refusal"],
  $defs: {
    Line: {
      type: "object",
      properties: { sku: { type: "string" }, level: { type: ["integer", "null"] } },
      required: ["sku"],
    },
  },
  ...{ "x-topic": "holdfast.orders", "x-key": ["data.order_id"] },
};

type Change = (schema: Draft) => void;
// biome-ignore lint/suspicious/noExplicitAny: each case reaches into the place that it changes.
type Draft = any;

/** Whether the change is refused in what we send, and in what we take, and in which words. */
const cases: [title: string, change: Change, sent: string | null, taken: string | null][] = [
  ["nothing", () => {}, null, null],
  ["other words", (s) => Object.assign(s, { title: "x", description: "y", examples: [1] }), null, null],
  ["a new optional field", (s) => (s.properties.extra = { type: "string" }), null, null],
  [
    "a new required field",
    (s) => {
      s.properties.extra = { type: "string" };
      s.required.push("extra");
    },
    null,
    "data.extra is new",
  ],
  [
    "an optional field that is gone",
    (s) => delete s.properties.note,
    "data.note is gone",
    "data.note is gone",
  ],
  [
    "a required field that is gone",
    (s) => {
      delete s.properties.status;
      drop(s.required, "status");
    },
    "data.status is gone",
    "data.status is gone",
  ],
  [
    "a renamed field",
    (s) => {
      s.properties.condition = s.properties.status;
      delete s.properties.status;
      s.required.splice(s.required.indexOf("status"), 1, "condition");
    },
    "data.status is gone",
    "data.status is gone; data.condition is new",
  ],
  ["required to optional", (s) => drop(s.required, "status"), "data.status may be missing now", null],
  ["optional to required", (s) => s.required.push("note"), null, "data.note must be there now"],
  [
    "another type",
    (s) => (s.properties.order_id.type = "integer"),
    "data.order_id was string and is number",
    "data.order_id was string and is number",
  ],
  ["one value more", (s) => s.properties.status.enum.push("ajar"), 'data.status may be "ajar" now', null],
  ["one value less", (s) => drop(s.properties.status.enum, "shut"), null, 'data.status is never "shut" now'],
  [
    "a list that is opened",
    (s) => delete s.properties.status.enum,
    "data.status is not one of a list any more",
    null,
  ],
  [
    "a text that becomes a list",
    (s) => (s.properties.note.enum = ["a"]),
    null,
    "data.note is one of a list now",
  ],
  [
    "a list spelt with anyOf and const is the same list",
    (s) => (s.properties.status = { anyOf: [{ const: "open" }, { const: "shut" }] }),
    null,
    null,
  ],
  [
    "alternatives of one type",
    (s) =>
      (s.properties.quantity = {
        anyOf: [
          { type: "integer", maximum: -1 },
          { type: "integer", minimum: 1 },
        ],
      }),
    "data.quantity has other alternatives, which are not compared",
    "data.quantity has other alternatives, which are not compared",
  ],
  [
    "nullable",
    (s) => (s.properties.order_id.type = ["string", "null"]),
    "data.order_id may be null now",
    null,
  ],
  ["not null any more", (s) => (s.properties.at.type = "string"), null, "data.at is null no more"],
  [
    "nullable to another nullable",
    (s) => (s.properties.at = { type: ["integer", "null"] }),
    "data.at may be number now",
    "data.at is string no more",
  ],
  [
    "a wider union",
    (s) => s.properties.refusal.anyOf.push({ type: "string" }),
    "data.refusal may be string now",
    null,
  ],
  ["anything", (s) => (s.properties.note = {}), "data.note was string and may be anything", null],
  [
    "a time that is any text",
    (s) => delete s.properties.at.format,
    'data.at had format "date-time" and has none',
    null,
  ],
  [
    "a lower bound further down",
    (s) => (s.properties.quantity.minimum = 0),
    "data.quantity had minimum 1 and has 0",
    null,
  ],
  [
    "a lower bound further up",
    (s) => (s.properties.quantity.minimum = 2),
    null,
    "data.quantity had minimum 1 and has 2",
  ],
  [
    "an upper bound that goes",
    (s) => delete s.properties.quantity.maximum,
    "data.quantity had maximum 9 and has unbounded",
    null,
  ],
  [
    "an upper bound that comes",
    (s) => (s.properties.note.maxLength = 9),
    null,
    "data.note had maxLength unbounded and has 9",
  ],
  [
    "another pattern",
    (s) => (s.properties.name.pattern = "^b"),
    'data.name had pattern "^a" and has "^b"',
    'data.name had pattern "^a" and has "^b"',
  ],
  [
    "a fraction",
    (s) => (s.properties.quantity.type = "number"),
    "data.quantity was a whole number and may be a fraction",
    null,
  ],
  [
    "no fraction any more",
    (s) => (s.properties.share.type = "integer"),
    null,
    "data.share might be a fraction and is a whole number",
  ],
  [
    "deep inside, everywhere it is used",
    (s) => delete s.$defs.Line.properties.level,
    "data.lines[].level is gone; data.refusal.level is gone",
    "data.lines[].level is gone; data.refusal.level is gone",
  ],
  [
    "a keyword that nobody compares",
    (s) => (s.properties.note.not = { const: "b" }),
    null,
    'data.note has not {"const":"b"} now',
  ],
  [
    "closed to fields that it does not know",
    (s) => (s.additionalProperties = false),
    null,
    "data has additionalProperties false now",
  ],
  [
    "another key",
    (s) => (s["x-key"] = ["subject"]),
    'the key was ["data.order_id"] and is ["subject"]',
    'the key was ["data.order_id"] and is ["subject"]',
  ],
  [
    "another topic",
    (s) => (s["x-topic"] = "holdfast.carts"),
    'the topic was "holdfast.orders" and is "holdfast.carts"',
    'the topic was "holdfast.orders" and is "holdfast.carts"',
  ],
];

describe.each([
  ["sent", 2],
  ["taken", 3],
] as const)("in what is %s", (direction: Direction, column) => {
  it.each(cases)("%s", (...[_, change, sent, taken]) => {
    const after = structuredClone(before);
    change(after);
    expect(incompatibilities(before, after, direction).join("; ") || null).toBe([sent, taken][column - 2]);
  });
});

it("the way back of what is refused in what we send is refused in what we take", () => {
  for (const [title, change] of cases) {
    const after = structuredClone(before);
    change(after);
    const there = incompatibilities(before, after, "sent");
    const isOnlyNew = title.startsWith("a new") || title.includes("gone") || title.startsWith("a renamed");
    if (!isOnlyNew && !title.startsWith("deep inside")) {
      expect(incompatibilities(after, before, "taken").length, title).toBe(there.length);
    }
  }
});

function drop(list: unknown[], value: unknown): void {
  list.splice(list.indexOf(value), 1);
}
