import { randomUUID } from "node:crypto";
import { expect, vi } from "vitest";
import type { Broker, Follower, ReceivedMessage } from "../../src/platform/bus/broker/broker.ts";
import { openBroker } from "../../src/platform/bus/open.ts";
import type { BusEvent } from "../../src/platform/bus/port.ts";
import { createLogger } from "../../src/platform/telemetry/logger.ts";
import { createRegistry } from "../../src/platform/telemetry/metrics.ts";
import type { BrokerName } from "../../src/testing/broker-process.ts";
import { describeKafka, describeRabbitmq } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";

export const brokers = [
  ["kafka", describeKafka],
  ["rabbitmq", describeRabbitmq],
] as const;

export interface Witnessed extends ReceivedMessage {
  readonly partition: number;
}

/** Somebody outside who reads some topics from their oldest message on. */
export class Witness {
  /** By topic, in the order in which they came. */
  readonly heard = new Map<string, Witnessed[]>();
  readonly broker: Broker;
  private readonly follower: Follower;

  private constructor(broker: Broker, topics: readonly string[]) {
    this.broker = broker;
    for (const topic of topics) this.heard.set(topic, []);
    this.follower = broker.follow({
      group: `witness-${randomUUID()}`,
      topics,
      begin: async () => undefined,
      deliver: async (topic, partition, messages) => {
        this.heard.get(topic)!.push(...messages.map((message) => ({ ...message, partition })));
      },
      end: () => {},
    });
  }

  static async of(name: BrokerName, address: string, topics: readonly string[]): Promise<Witness> {
    const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
    return new Witness((await openBroker(brokerSettings(name, address), telemetry))!, topics);
  }

  async close(): Promise<void> {
    await this.follower.close();
    await this.broker.close();
  }

  /** Everything that is there by now, topic by topic. */
  async all(): Promise<ReadonlyMap<string, readonly Witnessed[]>> {
    for (const [topic, heard] of this.heard) {
      const ends = await this.broker.ends(topic);
      const isThere = (end: number, partition: number) =>
        end === 0 || heard.some((message) => message.partition === partition && message.offset >= end - 1);
      await vi.waitFor(() => expect(ends.every(isThere), topic).toBe(true), patience);
    }
    return this.heard;
  }
}

/**
 * Every event is there, each partition in the order of the log: whatever comes again is a run of what came before, up to
 * its end or to where the next one breaks off. Answers how many came again.
 */
export function expectPublished(events: readonly BusEvent[], messages: readonly Witnessed[]): number {
  expect(messages.map(({ attributes }) => attributes.type)).not.toContain(undefined);
  const ids = new Set(messages.map(({ attributes }) => attributes.id));
  expect(events.filter(({ id }) => !ids.has(id)).map(({ id, type }) => `${type} ${id} is missing`)).toEqual(
    [],
  );
  expect(ids.size, "nothing else").toBe(events.length);
  const order = new Map(events.map(({ id }, place) => [id, place]));
  const skipped: string[] = [];
  for (const partition of new Set(messages.map((message) => message.partition))) {
    const came = messages
      .filter((message) => message.partition === partition)
      .map(({ attributes }) => order.get(attributes.id!)!);
    const ranks = new Map([...new Set(came)].sort((a, b) => a - b).map((place, rank) => [place, rank]));
    let last = -1;
    for (const place of came) {
      const rank = ranks.get(place)!;
      if (rank > last + 1) skipped.push(`${partition}: ${events[place]!.id} came too early`);
      last = rank;
    }
  }
  expect(skipped).toEqual([]);
  return messages.length - ids.size;
}
