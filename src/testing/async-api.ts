import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import type { Attributes } from "../platform/bus/broker/broker.ts";

export interface AsyncApiValidator {
  /** What is wrong with a message as the document describes it; nothing if it is right. */
  check(topic: string, key: string, attributes: Attributes, body: string): string[];
  /** How many messages of each type were right so far, by type; every type of the document is there. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface AsyncApiDocument {
  readonly channels: Readonly<Record<string, Channel>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Channel {
  readonly address: string;
  readonly messages: Readonly<Record<string, Message>>;
}

interface Message {
  readonly name: string;
  readonly headers?: Schema & { readonly anyOf: readonly { readonly $ref: string }[] };
  readonly payload: { readonly $ref?: string };
  readonly "x-key"?: readonly string[];
}

type Schema = Readonly<Record<string, unknown>>;

interface Check {
  readonly headers: ValidateFunction;
  readonly payload: ValidateFunction;
  readonly key: readonly string[] | undefined;
}

export function asyncApiDocument(): AsyncApiDocument {
  const file = new URL("../../docs/reference/asyncapi.json", import.meta.url);
  return JSON.parse(readFileSync(file, "utf8"));
}

export interface AsyncApiOptions {
  readonly document?: AsyncApiDocument;
  /** Stands before the names of all topics. */
  readonly prefix?: string;
}

/**
 * Holds messages to docs/reference/asyncapi.json. Others may be sent fields that they do not know; here such a field is
 * wrong, since nothing that we send shall be undescribed.
 */
export function asyncApiValidator({
  document = asyncApiDocument(),
  prefix = "",
}: AsyncApiOptions = {}): AsyncApiValidator {
  const checks = checksOf(document, prefix);
  const types = [...checks.values()].flatMap((messages) => [...messages.keys()]);
  const counts = new Map(types.map((type) => [type, 0]));
  return {
    counts,
    check(topic, key, attributes, body) {
      const messages = checks.get(topic);
      if (messages === undefined) return [`there is no channel ${topic}`];
      const type = attributes.type ?? "";
      const check = messages.get(type);
      if (check === undefined) return [`there is no message ${type || "without a type"} in ${topic}`];
      const complaints = complaintsAbout(check, key, attributes, body);
      if (complaints.length === 0) counts.set(type, counts.get(type)! + 1);
      return complaints.map((complaint) => `${type}: ${complaint}`);
    },
  };
}

function complaintsAbout(check: Check, key: string, attributes: Attributes, body: string): string[] {
  const complaints = errorsOf(check.headers, headersOf(attributes), "headers");
  let data: unknown;
  try {
    data = JSON.parse(body);
  } catch {
    return [...complaints, "the body is not JSON"];
  }
  return [
    ...complaints,
    ...errorsOf(check.payload, data, "data"),
    ...keyErrors(check, key, attributes, data),
  ];
}

/** As the Kafka binding spells them: the attributes are the same in every other. */
function headersOf({ datacontenttype, ...attributes }: Attributes): Record<string, string> {
  return {
    ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value])),
    ...(datacontenttype !== undefined && { "content-type": datacontenttype }),
  };
}

function errorsOf(validate: ValidateFunction, value: unknown, name: string): string[] {
  if (validate(value)) return [];
  return validate.errors!.map(({ instancePath, message, params }) => {
    const { additionalProperty, unevaluatedProperty, allowedValue, allowedValues } = params;
    const what = additionalProperty ?? unevaluatedProperty ?? allowedValue ?? allowedValues;
    return `${name}${instancePath} ${message}${what === undefined ? "" : ` (${String(what)})`}`;
  });
}

function keyErrors({ key: places }: Check, key: string, attributes: Attributes, data: unknown): string[] {
  if (places === undefined) return [];
  const fields = (data ?? {}) as Record<string, unknown>;
  const candidates = places.map((place) =>
    place === "subject" ? attributes.subject : fields[place.slice("data.".length)],
  );
  const expected = candidates.find((value) => typeof value === "string");
  const differs = (name: string, is: string | undefined, wanted: unknown) =>
    is === wanted ? [] : [`${name} is ${is}, and should be ${wanted}`];
  return [
    ...differs("the key", key, expected),
    ...differs("partitionkey", attributes.partitionkey, expected),
    ...(places[0] === "data.order_id" && typeof fields.order_id === "string"
      ? differs("correlationid", attributes.correlationid, fields.order_id)
      : []),
  ];
}

// ---- what the document says ----------------------------------------------------------------------------------------

function checksOf(
  { channels, components }: AsyncApiDocument,
  prefix: string,
): Map<string, Map<string, Check>> {
  const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true });
  formats.default(ajv);
  // Where the document keeps its schemas.
  ajv.addVocabulary(["components"]);
  const isHeaders = (name: string) => name.endsWith("Headers");
  const schemas = Object.entries(components.schemas).map(([name, schema]) => [
    name,
    isHeaders(name) ? schema : closed(schema),
  ]);
  ajv.addSchema({ components: { schemas: Object.fromEntries(schemas) } }, "document");
  const compile = (reference: string, also: Schema = {}) =>
    ajv.compile({ type: "object", ...also, $ref: `document${reference}` });
  const checkOf = ({ headers, payload, "x-key": key }: Message): Check => {
    const { $ref } = headers!.anyOf.find((reference) => reference.$ref.includes("/Kafka"))!;
    const { properties } = headers!;
    return {
      headers: compile($ref, { properties, unevaluatedProperties: false }),
      payload: compile(payload.$ref!),
      key,
    };
  };
  return new Map(
    Object.values(channels).map(({ address, messages }) => [
      prefix + address,
      // A message in structured mode comes here unfolded, and is then one of the others.
      new Map(
        Object.values(messages)
          .filter(({ headers }) => headers !== undefined)
          .map((message) => [message.name, checkOf(message)]),
      ),
    ]),
  );
}

/** The schema without room for fields that it does not name. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== "object") return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return parts.type === "object" && "properties" in parts ? { additionalProperties: false, ...parts } : parts;
}
