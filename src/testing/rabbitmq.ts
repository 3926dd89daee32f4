import { randomUUID } from "node:crypto";
import { type ChannelModel, connect } from "amqplib";
import { Registry } from "prom-client";
import { afterEach, expect } from "vitest";
import type {
  Broker,
  Follower,
  FollowOptions,
  OutgoingMessage,
  ReceivedMessage,
} from "../platform/bus/broker/broker.ts";
import { createRabbitBroker, type RabbitBrokerOptions } from "../platform/bus/rabbitmq/index.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { patience } from "./patience.ts";

/** Brokers and clients that end with the test that opened them. */
export class RabbitBench {
  private readonly address: () => string;
  private readonly closing: (() => Promise<void>)[] = [];

  constructor(address: () => string) {
    this.address = address;
    afterEach(async () => {
      await Promise.all(this.closing.splice(0).map((close) => close()));
    });
  }

  broker(changes: Partial<RabbitBrokerOptions> = {}): Broker {
    const broker = createRabbitBroker({
      url: this.address(),
      groupPrefix: "test.",
      logger: createLogger("silent"),
      registry: new Registry(),
      requestTimeoutMs: patience.timeout,
      ...changes,
    });
    this.closing.push(() => broker.close());
    return broker;
  }

  /** Somebody outside, who knows nothing of us. */
  async outsider(): Promise<ChannelModel> {
    const client = await connect(this.address());
    client.on("error", () => {});
    this.closing.push(() => client.close().catch(() => {}));
    return client;
  }

  /** Both of the same topic, which nobody else has. */
  async brokerWithTopic(changes: Partial<RabbitBrokerOptions> = {}): Promise<[Broker, string]> {
    const broker = this.broker(changes);
    const topic = newTopic();
    await broker.createTopics([topic]);
    return [broker, topic];
  }
}

export function newTopic(): string {
  return `test-${randomUUID()}`;
}

export function numbered(from: number, count: number): OutgoingMessage[] {
  return Array.from({ length: count }, (_, index) => {
    const key = `key-${(from + index) % 7}`;
    const attributes = {
      id: `numbers-${from + index}-0`,
      source: "/test",
      specversion: "1.0",
      type: "Counted",
      time: new Date().toISOString(),
      datacontenttype: "application/json",
      partitionkey: key,
    };
    return { key, attributes, body: JSON.stringify({ number: from + index }) };
  });
}

export function numberOf({ body }: { readonly body: string }): number {
  return JSON.parse(body).number;
}

export function upTo(end: number, from = 0): number[] {
  return Array.from({ length: end - from }, (_, index) => from + index);
}

/** Follows a topic and remembers what it was given. */
export class Listener {
  readonly heard: ReceivedMessage[] = [];
  readonly begins: (number | undefined)[] = [];
  readonly follower: Follower;

  constructor(broker: Broker, topic: string, changes: Partial<FollowOptions> = {}) {
    this.follower = broker.follow({
      group: "listener",
      topics: [topic],
      begin: async () => {
        const offset = this.heard.length === 0 ? undefined : this.heard.at(-1)!.offset + 1;
        this.begins.push(offset);
        return offset;
      },
      deliver: async (_topic, _partition, messages) => {
        this.heard.push(...messages);
      },
      end: () => {},
      ...changes,
    });
  }

  get numbers(): number[] {
    return this.heard.map(numberOf);
  }

  async untilNumbers(expected: readonly number[]): Promise<void> {
    await expect.poll(() => this.heard.length).toBeGreaterThanOrEqual(expected.length);
    expect(this.numbers).toEqual(expected);
  }
}

export async function until(condition: () => unknown): Promise<void> {
  await expect.poll(async () => Boolean(await condition())).toBe(true);
}
