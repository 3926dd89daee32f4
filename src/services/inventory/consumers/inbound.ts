import { createHash } from "node:crypto";
import { Compile } from "typebox/compile";
import type { InboundMessage } from "../../../platform/bus/broker/broker.ts";
import type { BusEvent } from "../../../platform/bus/port.ts";
import { parseTraceparent } from "../../../platform/telemetry/trace.ts";
import { type MoveStock, type Origin, StockMovement } from "../contract/index.ts";

export const inboundTopic = "inventory.inbound";

/** Why a message cannot be carried out, in words for people: a stack would tell them nothing. */
export class RefusedMessage extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "RefusedMessage";
    delete this.stack;
  }
}

/** The message in the form in which the bus keeps what has failed, so that it is tried again like any event. */
export function eventOf(message: InboundMessage): BusEvent {
  const event_id = nameOf(message);
  const kept = keptOf(message);
  const { type = "", traceparent } = kept.attributes;
  return {
    id: event_id,
    topic: inboundTopic,
    type,
    subject: message.place.slice(0, longestPlace),
    key: event_id,
    at: new Date(),
    data: kept,
    ...(traceparent !== undefined && parseTraceparent(traceparent) !== undefined && { traceparent }),
  };
}

/** Sent again, it is the same; another content under the same name is not, and must not be lost for it. */
function nameOf({ attributes: { source, id, type = "" }, body, unreadable }: InboundMessage): string {
  const parts = [source, id, type, ...(unreadable === undefined ? [] : [unreadable])];
  // The body is not part of the JSON, which would be too long for a string when the body nearly is.
  const hash = createHash("sha256").update(JSON.stringify(parts)).update(body);
  return `inbound-${hash.digest("hex").slice(0, 32)}`;
}

/** Several times what all the lines that a message may have take at most. */
const longestMessage = 10_000_000;
const longestPlace = 500;
const keptOfBody = 10_000;
const keptOfAttribute = 200;

type Kept = Omit<InboundMessage, "place">;

/** What can be tried again; of what is too long, enough for people to see what it was. */
function keptOf({ place, ...message }: InboundMessage): Kept {
  const length = lengthOf(message);
  if (length <= longestMessage) return message;
  const named = Object.entries(message.attributes).filter(([name]) => /^(source|id|type)$/.test(name));
  return {
    attributes: Object.fromEntries(named.map(([name, value]) => [name, value.slice(0, keptOfAttribute)])),
    body: message.body.slice(0, keptOfBody),
    unreadable: `The message has ${length} characters; at most ${longestMessage} are read.`,
  };
}

function lengthOf({ attributes, body }: Kept): number {
  let length = body.length;
  for (const name in attributes) length += name.length + attributes[name]!.length;
  return length;
}

const directions: ReadonlyMap<string, { readonly sign: 1 | -1; readonly reason: string }> = new Map([
  ["StockIn", { sign: 1, reason: "stock in" }],
  ["StockOut", { sign: -1, reason: "stock out" }],
]);

/** What it asks for. Throws `RefusedMessage` when that cannot be understood. */
export function movementOf({ data, traceparent }: BusEvent): MoveStock & Origin {
  const { attributes, body, unreadable } = data as Kept;
  if (unreadable !== undefined) throw new RefusedMessage(unreadable);
  const source = named(attributes, "source");
  const id = named(attributes, "id");
  const direction = directions.get(named(attributes, "type"));
  if (direction === undefined) {
    throw new RefusedMessage(
      `The type ${JSON.stringify(attributes.type)} is not known here: there are StockIn and StockOut.`,
    );
  }
  const { lines, reason = direction.reason, occurred_at } = contentOf(body);
  return {
    type: "MoveStock",
    adjustment_id: `inbound/${encodeURIComponent(source)}/${encodeURIComponent(id)}`,
    lines: lines.map((line) => ({ ...line, quantity: direction.sign * line.quantity })),
    reason,
    actor: source,
    occurred_at: momentOf(occurred_at ?? attributes.time),
    cause: id,
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** Together they are the key of a row, which has an end. */
const nameFormat = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

function named(attributes: InboundMessage["attributes"], attribute: "source" | "id" | "type"): string {
  const value = attributes[attribute] ?? "";
  if (value === "") throw new RefusedMessage(`The message has no ${attribute}.`);
  if (!nameFormat.test(value)) {
    throw new RefusedMessage(`The message's ${attribute} is not 1 to 128 printable characters.`);
  }
  return value;
}

const content = Compile(StockMovement);
const mostFindings = 5;

function contentOf(body: string) {
  const value = parsed(body);
  if (content.Check(value)) return value;
  const findings = content
    .Errors(value)
    // Of a field too much another finding tells as well, in better words.
    .filter(({ keyword }) => keyword !== "boolean")
    .slice(0, mostFindings)
    .map(({ instancePath, message }) => `${instancePath.slice(1).replaceAll("/", ".") || "data"} ${message}`);
  throw new RefusedMessage(`The message's data is not as agreed: ${findings.join("; ")}.`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new RefusedMessage("The message's data is not JSON.");
  }
}

function momentOf(text: string | undefined): Date | null {
  if (text === undefined) return null;
  const moment = new Date(text);
  if (!Number.isNaN(moment.getTime())) return moment;
  throw new RefusedMessage(`${JSON.stringify(text)} is no moment that a clock can show.`);
}
