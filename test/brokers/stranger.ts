import { Producer } from "@platformatic/kafka";
import { connect } from "amqplib";
import type { BrokerName } from "../../src/testing/broker-process.ts";

export interface StrangeMessage {
  readonly key: string;
  readonly headers: Readonly<Record<string, string | Buffer>>;
  /** Where AMQP has a place of its own for it; among Kafka's headers it is `content-type`. */
  readonly contentType: string;
  readonly body: string | Buffer;
}

/** A warehouse or a till with a plain client, which knows nothing of us but the document. */
export interface Stranger {
  send(messages: readonly StrangeMessage[]): Promise<void>;
  close(): Promise<void>;
}

export interface Movement {
  readonly type: "StockIn" | "StockOut";
  readonly id: string;
  readonly sku: string;
  readonly quantity: number;
  /** When it has happened. */
  readonly time?: Date;
}

const source = "/tills/7";

export function binary(name: BrokerName, { type, id, time, ...rest }: Movement): StrangeMessage {
  const prefix = name === "kafka" ? "ce_" : "cloudEvents:";
  const attributes = { ...attributesOf(id, type, time) };
  const headers = Object.entries(attributes).map(([attribute, value]) => [prefix + attribute, value]);
  return {
    key: rest.sku,
    headers: Object.fromEntries(headers),
    contentType: "application/json",
    body: JSON.stringify(dataOf(rest)),
  };
}

export function structured({ type, id, time, ...rest }: Movement): StrangeMessage {
  return {
    key: rest.sku,
    headers: {},
    contentType: "application/cloudevents+json; charset=UTF-8",
    body: JSON.stringify({
      ...attributesOf(id, type, time),
      datacontenttype: "application/json",
      data: dataOf(rest),
    }),
  };
}

function attributesOf(id: string, type: string, time: Date | undefined) {
  return { specversion: "1.0", source, id, type, ...(time && { time: time.toISOString() }) };
}

function dataOf({ sku, quantity }: Pick<Movement, "sku" | "quantity">) {
  return { lines: [{ store_id: "main", sku, quantity }] };
}

export async function strangerOn(name: BrokerName, address: string, topic: string): Promise<Stranger> {
  return name === "kafka" ? kafkaStranger(address, topic) : rabbitStranger(address, topic);
}

function kafkaStranger(address: string, topic: string): Stranger {
  const producer = new Producer({
    clientId: "till-7",
    bootstrapBrokers: [address],
  });
  return {
    async send(messages) {
      const records = messages.map(({ key, headers, contentType, body }) => ({
        topic,
        key: Buffer.from(key),
        value: bytesOf(body),
        headers: headersOf({ ...headers, "content-type": contentType }),
      }));
      await producer.send({ messages: records });
    },
    close: () => producer.close(),
  };
}

async function rabbitStranger(address: string, topic: string): Promise<Stranger> {
  const client = await connect(address);
  const channel = await client.createConfirmChannel();
  return {
    async send(messages) {
      for (const { key, headers, contentType, body } of messages) {
        channel.publish(topic, key, bytesOf(body), { headers, contentType, persistent: true });
      }
      await channel.waitForConfirms();
    },
    close: () => client.close(),
  };
}

function headersOf(headers: StrangeMessage["headers"]): Map<Buffer, Buffer> {
  return new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), bytesOf(value)]));
}

function bytesOf(text: string | Buffer): Buffer {
  return typeof text === "string" ? Buffer.from(text) : text;
}
