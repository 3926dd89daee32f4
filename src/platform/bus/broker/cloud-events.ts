import type { Attributes, InboundMessage } from "./broker.ts";

// AMQP 1.0 clients that may not use a colon write the underscore, and some Kafka clients know only the one of HTTP.
const prefixes = ["ce_", "cloudEvents:", "cloudEvents_", "ce-"];

/** The attributes in the headers of a message in binary mode, in whichever binding's spelling. */
export function attributesOf(headers: Readonly<Record<string, unknown>>): Attributes {
  const attributes: Record<string, string> = {};
  for (const header in headers) {
    const name = attributeIn(header);
    const value = name === undefined ? undefined : textOf(headers[header]);
    if (value !== undefined) attributes[name!] = value;
  }
  const traceparent = attributes.traceparent ?? textOf(headers.traceparent);
  if (traceparent !== undefined) attributes.traceparent = traceparent;
  return attributes;
}

/** A message from outside: what an event says, or why that cannot be told. */
type Unfolded = Omit<InboundMessage, "place">;

/**
 * A message from outside, in either mode. What says that it is in structured mode and is not, comes out with its body
 * as it was and without the attributes that are asked of an event, for the reader to refuse.
 */
export function unfold(
  contentType: string | undefined,
  headers: Readonly<Record<string, unknown>>,
  body: string,
): Unfolded {
  if (contentType && /^application\/cloudevents\+json\s*(;|$)/i.test(contentType)) {
    const event = parseObject(body);
    if (event) return unfoldStructured(event, body);
  }
  const attributes = attributesOf(headers);
  if (contentType === undefined) return { attributes, body };
  return { attributes: { ...attributes, datacontenttype: contentType }, body };
}

function unfoldStructured(event: Record<string, unknown>, whole: string): Unfolded {
  const { data, data_base64, ...rest } = event;
  const attributes: Record<string, string> = {};
  for (const name in rest) {
    const value = textOf(rest[name]);
    if (value !== undefined) attributes[name] = value;
  }
  if (typeof data_base64 === "string") {
    return { attributes, body: Buffer.from(data_base64, "base64").toString() };
  }
  const isJson = /[/+]json\s*(;|$)/i.test(attributes.datacontenttype ?? "application/json");
  if (typeof data === "string" && !isJson) return { attributes, body: data };
  try {
    return { attributes, body: data === undefined ? "" : JSON.stringify(data) };
  } catch (error) {
    // What can be parsed, however deeply nested, cannot always be written again.
    const unreadable = `The event's data cannot be read: ${(error as Error).message}.`;
    return { attributes, body: whole, unreadable };
  }
}

const known = new Map<string, string | undefined>();

/** Asked for every header there is; what they are called, hardly ever changes. */
function attributeIn(header: string): string | undefined {
  const name = known.get(header);
  if (name !== undefined || known.has(header)) return name;
  const found = attributeNamedIn(header);
  if (known.size < 1_000) known.set(header, found);
  return found;
}

function attributeNamedIn(header: string): string | undefined {
  if (header.toLowerCase() === "content-type") return "datacontenttype";
  const prefix = prefixes.find((candidate) => header.startsWith(candidate));
  return prefix === undefined ? undefined : header.slice(prefix.length).toLowerCase();
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return `${value}`;
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (value instanceof Date) return value.toISOString();
  return undefined;
}

function parseObject(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
