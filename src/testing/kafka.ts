import { randomUUID } from "node:crypto";
import { type API, Connection } from "@platformatic/kafka";
import { Registry } from "prom-client";
import { afterEach, expect } from "vitest";
import type {
  Broker,
  Follower,
  FollowOptions,
  OutgoingMessage,
  ReceivedMessage,
} from "../platform/bus/broker/broker.ts";
import { createKafkaBroker, type KafkaOptions } from "../platform/bus/kafka/index.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { patience } from "./patience.ts";

/** Clients that end with the test that opened them. However slow they are, they count as alive. */
export class KafkaBench {
  private readonly brokers: () => string;
  private readonly open: Broker[] = [];

  constructor(brokers: () => string) {
    this.brokers = brokers;
    afterEach(async () => {
      await Promise.all(this.open.splice(0).map((broker) => broker.close()));
    });
  }

  broker(changes: Partial<KafkaOptions> = {}): Broker {
    const broker = createKafkaBroker({
      brokers: [this.brokers()],
      groupPrefix: "test.",
      partitions: 3,
      // What is published may tell of times long ago.
      retentionMs: -1,
      requestTimeoutMs: patience.timeout,
      sessionTimeoutMs: 60_000,
      logger: createLogger("silent"),
      registry: new Registry(),
      ...changes,
    });
    this.open.push(broker);
    return broker;
  }

  /** Both of the same topic, which nobody else has. */
  async brokerWithTopic(changes: Partial<KafkaOptions> = {}): Promise<[Broker, string]> {
    const broker = this.broker(changes);
    const topic = newName();
    await broker.createTopics([topic]);
    return [broker, topic];
  }
}

/** As tools do, with a connection of its own. */
export async function ask<A extends unknown[], R>(brokers: string, api: API<A, R>, ...args: A): Promise<R> {
  const [host, port] = brokers.split(":") as [string, string];
  const { timeout } = patience;
  const connection = new Connection("tool", { connectTimeout: timeout, requestTimeout: timeout });
  await connection.connect(host, Number(port));
  try {
    return await api.async(connection, ...args);
  } finally {
    await connection.close();
  }
}

/** For a topic or a group. */
export function newName(): string {
  return `test-${randomUUID()}`;
}

/** Of seven keys in turn. */
export function numbered(from: number, count: number): OutgoingMessage[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    const attributes = { id: `numbers-${number}-0`, source: "/test", specversion: "1.0", type: "Counted" };
    return { key: `key-${number % 7}`, attributes, body: JSON.stringify({ number }) };
  });
}

export function numberOf({ body }: { readonly body: string }): number {
  return JSON.parse(body).number;
}

export function upTo(end: number): number[] {
  return Array.from({ length: end }, (_, index) => index);
}

/** Remembers what it was given, and goes on from there. */
export class Listener {
  readonly heard: (ReceivedMessage & { readonly partition: number })[] = [];
  /** The partitions that are its own now. */
  readonly owned = new Set<number>();
  readonly follower: Follower;

  constructor(broker: Broker, topic: string, changes: Partial<FollowOptions> = {}) {
    this.follower = broker.follow({
      group: newName(),
      topics: [topic],
      begin: async (_, partition) => {
        this.owned.add(partition);
        const last = this.heard.findLast((message) => message.partition === partition);
        return last && last.offset + 1;
      },
      deliver: async (_, partition, messages) => {
        this.heard.push(...messages.map((message) => ({ ...message, partition })));
      },
      end: (_, partition) => this.owned.delete(partition),
      ...changes,
    });
  }

  /** Sorted, since each partition has an order of its own. */
  get numbers(): number[] {
    return this.heard.map(numberOf).sort((a, b) => a - b);
  }

  /** What came again is left out: a publication that was repeated. */
  get numbersOnce(): number[] {
    return [...new Set(this.numbers)];
  }

  /** The numbers of each key as they came for the first time. */
  inOrder(): boolean {
    const last = new Map<string, number>();
    const seen = new Set<number>();
    return this.heard.every((message) => {
      const number = numberOf(message);
      if (seen.has(number)) return true;
      seen.add(number);
      const isLater = number > (last.get(message.key) ?? -1);
      last.set(message.key, number);
      return isLater;
    });
  }

  async untilHas(numbers: readonly number[]): Promise<void> {
    await until(() => this.numbersOnce.length >= numbers.length);
    expect(this.numbersOnce).toEqual(numbers);
    expect(this.inOrder()).toBe(true);
  }
}

export async function until(condition: () => unknown): Promise<void> {
  await expect.poll(async () => Boolean(await condition())).toBe(true);
}
