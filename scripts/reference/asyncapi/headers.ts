import type { JsonSchema } from "../json-schema.ts";
import type { Topic } from "../topics.ts";

/** Bindings of CloudEvents in binary mode: what stands before an attribute's name in a header. */
const bindings = { Kafka: "ce_", Amqp: "cloudEvents:" } as const;
type Binding = keyof typeof bindings;

const text: JsonSchema = { type: "string", minLength: 1 };
const traceparent: JsonSchema = {
  type: "string",
  pattern: "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
  description: "W3C Trace Context.",
};

const everywhere = {
  specversion: { type: "string", enum: ["1.0"] },
  id: text,
  source: text,
  type: { ...text, description: "The message's name in this document." },
} satisfies Record<string, JsonSchema>;

const sent: Readonly<Record<string, JsonSchema>> = {
  ...everywhere,
  id: { ...text, description: "The same message always has the same id, however often it comes." },
  source: { ...text, pattern: "^/holdfast/[a-z]+$", description: "The service that it happened in." },
  subject: { ...text, description: "What it happened to: an order's id, a reservation's, a product's, …" },
  time: { type: "string", format: "date-time", description: "When it happened." },
  partitionkey: { ...text, description: "The message's key." },
  logid: {
    ...text,
    description:
      "The log that it comes from. Another one than before: its database was made anew, and its versions too.",
  },
  correlationid: { ...text, description: "The order that it belongs to." },
  causationid: { ...text, description: "The id of the event that led to it." },
  traceparent,
};

const taken: Readonly<Record<string, JsonSchema>> = {
  ...everywhere,
  id: {
    ...text,
    maxLength: 128,
    description: "With `source` it names the message: the same pair is carried out once.",
  },
  source: { ...text, maxLength: 128, description: "Your system, as a URI: `/warehouse/berlin`." },
  subject: text,
  time: { type: "string", format: "date-time", description: "When it happened, unless `data` says so." },
  partitionkey: text,
  traceparent,
};

const optional = new Set(["correlationid", "causationid", "traceparent"]);
const asked = new Set(Object.keys(everywhere));

/** The headers that all messages of a direction have, by the name of their schema. */
export const headerSchemas: Readonly<Record<string, JsonSchema>> = Object.fromEntries(
  (Object.keys(bindings) as Binding[]).flatMap((binding) => [
    [`${binding}Headers`, headers(binding, sent, (name) => !optional.has(name))],
    [`${binding}InboundHeaders`, headers(binding, taken, (name) => asked.has(name))],
  ]),
);

function headers(
  binding: Binding,
  attributes: Readonly<Record<string, JsonSchema>>,
  isRequired: (name: string) => boolean,
): JsonSchema {
  const spelt = (name: string) => bindings[binding] + name;
  // AMQP has a property of its own for it.
  const contentType = binding === "Kafka" && {
    "content-type": { type: "string", enum: ["application/json"] },
  };
  return {
    type: "object",
    description:
      binding === "Kafka"
        ? "CloudEvents 1.0 in binary mode: the attributes are headers of the record."
        : "CloudEvents 1.0 in binary mode: the attributes are application headers; `content_type` is `application/json`, `message_id` is the id.",
    properties: {
      ...contentType,
      ...Object.fromEntries(Object.entries(attributes).map(([name, schema]) => [spelt(name), schema])),
      traceparent: { ...traceparent, description: "The same once more, where tracers look for it." },
    },
    required: [...Object.keys(contentType || {}), ...Object.keys(attributes).filter(isRequired).map(spelt)],
  };
}

/** Those of one message: either binding's, with what is always the same in it. */
export function headersOf({ direction, service }: Topic, type: string): object {
  const inbound = direction === "taken" ? "Inbound" : "";
  const names = Object.keys(bindings) as Binding[];
  const fixed = names.flatMap((binding) => [
    [`${bindings[binding]}type`, { const: type }],
    ...(direction === "sent" ? [[`${bindings[binding]}source`, { const: sourceOf(service) }]] : []),
  ]);
  return {
    type: "object",
    properties: Object.fromEntries(fixed),
    anyOf: names.map((binding) => ({ $ref: `#/components/schemas/${binding}${inbound}Headers` })),
  };
}

export function sourceOf(service: string): string {
  return `/holdfast/${service}`;
}
