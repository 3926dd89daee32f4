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
  const { attributes, body, place } = message;
  const { source, id, type = "", traceparent } = attributes;
  // Sent again, it is the same; another content under the same name is not, and must not be lost for it.
  const name = JSON.stringify([source, id, type, body]);
  const event_id = `inbound-${createHash("sha256").update(name).digest("hex").slice(0, 32)}`;
  return {
    id: event_id,
    topic: inboundTopic,
    type,
    subject: place,
    key: event_id,
    at: new Date(),
    data: { attributes, body },
    ...(traceparent !== undefined && parseTraceparent(traceparent) !== undefined && { traceparent }),
  };
}

const directions: ReadonlyMap<string, { readonly sign: 1 | -1; readonly reason: string }> = new Map([
  ["StockIn", { sign: 1, reason: "stock in" }],
  ["StockOut", { sign: -1, reason: "stock out" }],
]);

/** What it asks for. Throws `RefusedMessage` when that cannot be understood. */
export function movementOf({ data, traceparent }: BusEvent): MoveStock & Origin {
  const { attributes, body } = data as InboundMessage;
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
