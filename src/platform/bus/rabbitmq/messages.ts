import type { ConsumeMessage, Options } from "amqplib";
import type { Attributes, InboundMessage, OutgoingMessage, ReceivedMessage } from "../broker/broker.ts";
import { attributesOf, unfold } from "../broker/cloud-events.ts";

const longestRoutingKey = 255;

export function propertiesOf({ attributes }: OutgoingMessage): Options.Publish {
  return {
    headers: headersOf(attributes),
    persistent: true,
    mandatory: true,
    ...(attributes.datacontenttype === undefined ? {} : { contentType: attributes.datacontenttype }),
    ...(attributes.id === undefined ? {} : { messageId: attributes.id }),
  };
}

/**
 * The binary mode of CloudEvents for AMQP. The content type has its own place in a message, and tracers look for
 * `traceparent` under its plain name.
 */
function headersOf(attributes: Attributes): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name in attributes) {
    if (name !== "datacontenttype") headers[`cloudEvents:${name}`] = attributes[name]!;
  }
  if (attributes.traceparent !== undefined) headers.traceparent = attributes.traceparent;
  return headers;
}

/** AMQP has room for 255 bytes; the whole key is among the attributes. */
export function routingKeyOf({ key }: OutgoingMessage): string {
  const bytes = Buffer.from(key);
  if (bytes.length <= longestRoutingKey) return key;
  return bytes
    .subarray(0, longestRoutingKey)
    .toString()
    .replace(/\uFFFD+$/, "");
}

export function receivedMessage(message: ConsumeMessage): ReceivedMessage {
  const { headers = {}, contentType } = message.properties;
  const attributes = attributesOf(headers);
  return {
    offset: offsetOf(message),
    key: attributes.partitionkey ?? message.fields.routingKey,
    attributes: contentType === undefined ? attributes : { ...attributes, datacontenttype: contentType },
    body: message.content.toString(),
  };
}

export function inboundMessage(topic: string, message: ConsumeMessage): InboundMessage {
  const { headers = {}, contentType, messageId } = message.properties;
  const unfolded = unfold(contentType, headers, message.content.toString());
  const name = messageId ?? unfolded.attributes.id;
  return { ...unfolded, place: name === undefined ? topic : `${topic} ${name}` };
}

export function offsetOf(message: ConsumeMessage): number {
  return message.properties.headers!["x-stream-offset"];
}

/** NaN when it does not say. */
export function timeOf(message: ConsumeMessage): number {
  return Date.parse(attributesOf(message.properties.headers ?? {}).time ?? "");
}
