import specifications from "@asyncapi/specs";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { attributesOf, unfold } from "../../../src/platform/bus/broker/cloud-events.ts";
import { type AsyncApiDocument, asyncApiValidator } from "../../../src/testing/async-api.ts";
import { publishedEvents } from "../schemas.ts";
import { asyncApiDocument } from "./document.ts";
import { exampleOf } from "./examples.ts";

const publication = publishedEvents();
const document = asyncApiDocument(publication, "1.2.3") as unknown as AsyncApiDocument & Described;

interface Described {
  readonly channels: Record<string, { messages: Record<string, { examples: Sample[] }> }>;
  readonly operations: Record<
    string,
    {
      channel: Reference;
      messages: Reference[];
      bindings: { kafka: { groupId?: { enum: string[] } } };
    }
  >;
}
interface Reference {
  readonly $ref: string;
}
interface Sample {
  readonly headers: Record<string, string>;
  readonly payload: object;
}

it("is what the AsyncAPI initiative calls an AsyncAPI 3.0 document", () => {
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats.default(ajv);
  const validate = ajv.compile(specifications.schemasWithoutId["3.0.0"] as object);
  validate(document);
  expect(validate.errors).toBeNull();
  expect(validate({ ...document, operations: { odd: { action: "shout" } } })).toBe(false);
});

it("refers to nothing that it does not have", () => {
  const missing = references(document).filter((reference) => resolve(reference) === undefined);
  expect(missing).toEqual([]);
  expect(references(document).length).toBeGreaterThan(100);
});

it("every message of every channel is sent or received by one operation", () => {
  const messages = Object.entries(document.channels).flatMap(([channel, { messages }]) =>
    Object.keys(messages).map((name) => `#/channels/${channel}/messages/${name}`),
  );
  const used = Object.values(document.operations).flatMap(({ channel, messages }) =>
    messages.map(({ $ref }) => {
      expect($ref).toContain(`${channel.$ref}/`);
      return $ref;
    }),
  );
  expect(used.sort()).toEqual(messages.sort());
});

it("names the consumer group as Kafka knows it", () => {
  const groups = Object.values(document.operations).flatMap(({ bindings }) => bindings.kafka.groupId ?? []);
  expect(groups).toEqual([{ type: "string", enum: ["holdfast.inventory.inbound"] }]);
});

describe("the examples are right", () => {
  const validator = asyncApiValidator({ document });

  it.each(publication.events.map((event) => [event.type, event] as const))("%s", (_, event) => {
    const { key, headers, payload } = exampleOf(event);
    const attributes = attributesOf(headers);
    expect(validator.check(event.topic.address, key, attributes, JSON.stringify(payload))).toEqual([]);
  });

  it("and those in structured mode too", () => {
    const examples = document.channels["inventory.inbound"]!.messages.StructuredEvent!.examples;
    expect(examples).toHaveLength(2);
    for (const { headers, payload } of examples) {
      const { attributes, body } = unfold(headers["content-type"], headers, JSON.stringify(payload));
      const binary = { datacontenttype: "application/json", ...attributes };
      expect(validator.check("inventory.inbound", "any", binary, body)).toEqual([]);
    }
  });
});

describe("the published schemas", () => {
  it.each(publication.events.map(({ file, schema, type }) => [file, schema, type] as const))(
    "%s",
    (...event) => {
      const [, schema, type] = event;
      const ajv = new Ajv2020({ allowUnionTypes: true });
      formats.default(ajv);
      ajv.addVocabulary(["x-topic", "x-key"]);
      const validate = ajv.compile(schema);
      const { payload } = exampleOf(publication.events.find((published) => published.type === type)!);
      expect(validate(payload)).toBe(true);
      for (const field of schema.required ?? []) {
        expect(validate({ ...payload, [field]: { odd: true } }), field).toBe(false);
      }
      const isOpen = !type.startsWith("Stock") || schema["x-topic"] !== "inventory.inbound";
      expect(validate({ ...payload, added_later: 1 })).toBe(isOpen);
    },
  );
});

function references(node: unknown): string[] {
  if (node === null || typeof node !== "object") return [];
  return Object.entries(node).flatMap(([name, value]) =>
    name === "$ref" && typeof value === "string" ? [value] : references(value),
  );
}

function resolve(reference: string): unknown {
  const path = reference.replace(/^#\//, "").split("/");
  return path.reduce<unknown>(
    (node, name) => (node as Record<string, unknown> | undefined)?.[name],
    document,
  );
}
