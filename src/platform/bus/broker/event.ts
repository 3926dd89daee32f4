import type { BusEvent } from "../port.ts";
import type { Attributes, OutgoingMessage, ReceivedMessage } from "./broker.ts";

/** An event on its way through a broker: a CloudEvent whose data is the body. */
export function messageOf(event: BusEvent, logid: string): OutgoingMessage {
  const { id, topic, type, subject, key, at, data, traceparent, cause } = event;
  const { order_id } = data as { order_id?: unknown };
  const attributes = {
    ...cloudEvent({ id, source: `/holdfast/${topic}`, type, subject, time: at, partitionkey: key }),
    logid,
    ...(typeof order_id === "string" ? { correlationid: order_id } : {}),
    ...(cause === undefined ? {} : { causationid: cause }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
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

export function cloudEvent({ time, ...about }: About): Attributes {
  return { specversion: "1.0", ...about, time: time.toISOString(), datacontenttype: "application/json" };
}

/** Where an event stands in its topic's log; undefined when a message is none of ours. */
export function standsAt({ attributes }: ReceivedMessage): { position: number; index: number } | undefined {
  const match = /-(\d{1,15})-(\d{1,9})$/.exec(attributes.id ?? "");
  return match === null ? undefined : { position: Number(match[1]), index: Number(match[2]) };
}

export function eventOf(topic: string, { key, attributes, body }: ReceivedMessage): BusEvent {
  const { id, type, subject, time, traceparent, causationid } = attributes;
  const event: { -readonly [Key in keyof BusEvent]: BusEvent[Key] } = {
    id: id!,
    topic,
    type: type!,
    subject: subject!,
    key,
    at: new Date(time!),
    data: JSON.parse(body),
  };
  if (traceparent !== undefined) event.traceparent = traceparent;
  if (causationid !== undefined) event.cause = causationid;
  return event;
}
