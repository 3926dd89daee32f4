import type { BusEvent } from "../port.ts";
import type { OutgoingMessage, ReceivedMessage } from "./broker.ts";

/** An event on its way through a broker: a CloudEvent whose data is the body. */
export function messageOf(event: BusEvent, logid: string): OutgoingMessage {
  const { id, topic, type, subject, key, at, data, traceparent, cause } = event;
  const { order_id } = data as { order_id?: unknown };
  const source = `/holdfast/${topic}`;
  const attributes = cloudEvent({ id, source, type, subject, time: at, partitionkey: key });
  attributes.logid = logid;
  if (typeof order_id === "string") attributes.correlationid = order_id;
  if (cause !== undefined) attributes.causationid = cause;
  if (traceparent !== undefined) attributes.traceparent = traceparent;
  return { key, attributes, body: JSON.stringify(data) };
}

interface About {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: Date;
  readonly partitionkey: string;
}

/** Spelt out, since it is done for every event there is: copying `about` takes longer. */
export function cloudEvent(about: About): Record<string, string> {
  const { id, source, type, subject, time, partitionkey } = about;
  return {
    specversion: "1.0",
    id,
    source,
    type,
    subject,
    partitionkey,
    time: textOf(time),
    datacontenttype: "application/json",
  };
}

let lastTime = new Date(0);
let lastText = lastTime.toISOString();

/** What was written in one transaction has one time. */
function textOf(time: Date): string {
  if (time !== lastTime) {
    lastTime = time;
    lastText = time.toISOString();
  }
  return lastText;
}

/**
 * Where an event stands in its topic's log; undefined when the message is of no log, or of another one than this. Whoever
 * does not have the log in his database does not know which one it is.
 */
export function standsAt(
  { attributes }: ReceivedMessage,
  logid = attributes.logid,
): { position: number; index: number } | undefined {
  if (attributes.logid === undefined || attributes.logid !== logid) return undefined;
  const match = /-(\d{1,15})-(\d{1,9})$/.exec(attributes.id ?? "");
  return match === null ? undefined : { position: Number(match[1]), index: Number(match[2]) };
}

const events = new WeakMap<ReceivedMessage, BusEvent>();

/** Read once for all groups that are given the same message; undefined when it cannot be read. */
export function eventOf(topic: string, message: ReceivedMessage): BusEvent | undefined {
  const known = events.get(message);
  if (known !== undefined) return known;
  const event = read(topic, message);
  if (event !== undefined) events.set(message, event);
  return event;
}

function read(topic: string, { key, attributes, body }: ReceivedMessage): BusEvent | undefined {
  const { id, type, subject, time, traceparent, causationid } = attributes;
  const at = new Date(time!);
  const data = parsed(body);
  if (type === undefined || subject === undefined || Number.isNaN(at.getTime()) || data === undefined) {
    return undefined;
  }
  const event: { -readonly [Key in keyof BusEvent]: BusEvent[Key] } = {
    id: id!,
    topic,
    type,
    subject,
    key,
    at,
    data,
  };
  if (traceparent !== undefined) event.traceparent = traceparent;
  if (causationid !== undefined) event.cause = causationid;
  return event;
}

function parsed(body: string): object | undefined {
  try {
    const data: unknown = JSON.parse(body);
    return typeof data === "object" && data !== null ? data : undefined;
  } catch {
    return undefined;
  }
}
