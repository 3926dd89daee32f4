import { ConfigResourceTypes, describeConfigsV4, offsetFetchV8 } from "@platformatic/kafka";
import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import {
  ask,
  KafkaBench,
  Listener,
  newName,
  numbered,
  numberOf,
  until,
  upTo,
} from "../../../testing/kafka.ts";
import type { Broker, OutgoingMessage } from "../broker/broker.ts";

describeKafka("topics in Kafka", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("are made with their partitions and their retention, and stay as they are after that", async () => {
    const topic = newName();
    const broker = bench.broker({ partitions: 4, retentionMs: 86_400_000 });
    await broker.createTopics([topic]);
    await bench.broker({ partitions: 9, retentionMs: 1_000 }).createTopics([topic, newName()]);

    expect(await broker.ends(topic)).toEqual([0, 0, 0, 0]);
    expect(await settingOf(topic, "retention.ms")).toBe("86400000");
  });

  it("are made once by several at the same time", async () => {
    const topic = newName();
    const brokers = upTo(4).map(() => bench.broker());
    await Promise.all(brokers.map((broker) => broker.createTopics([topic])));
    expect(await brokers[0]!.ends(topic)).toEqual([0, 0, 0]);
  });

  it("take messages at once after they were made, and by clients that saw them missing", async () => {
    const topic = newName();
    const early = bench.broker();
    const published = early.publish(topic, numbered(0, 7));
    await bench.broker().createTopics([topic]);
    await published;
    await new Listener(early, topic).untilHas(upTo(7));
  });

  it("give everything in the order of each key, with growing offsets", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic);
    for (let from = 0; from < 5_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    await listener.untilHas(upTo(5_000));

    const offsets = [0, 1, 2].map((partition) => listener.heard.filter((m) => m.partition === partition));
    for (const some of offsets) expect(some.map(({ offset }) => offset)).toEqual(upTo(some.length));
    expect(listener.heard).toHaveLength(5_000);
  });

  it("keep the order of calls that did not wait for each other", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic);
    await broker.publish(topic, numbered(0, 10));
    const calls = upTo(29).map((call) => broker.publish(topic, numbered(10 + call * 10, 10)));
    await Promise.all(calls);
    await listener.untilHas(upTo(300));
  });

  it("carry key, attributes and body unchanged", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic);
    const message = {
      key: "ключ",
      attributes: {
        id: "orders-1-0",
        source: "/holdfast/orders",
        specversion: "1.0",
        type: "OrderPlaced",
        subject: "o-1",
        time: "2020-02-29T12:00:00.123Z",
        datacontenttype: "application/json",
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      },
      body: '{"text":"ünï😀"}',
    };
    await broker.publish(topic, [message]);
    await until(() => listener.heard.length === 1);
    const { partition, ...heard } = listener.heard[0]!;
    expect(heard).toEqual({ ...message, offset: 0 });
    expect(await broker.peek(topic, partition, 0)).toEqual(heard);
    expect(await broker.peek(topic, partition, 1)).toBeUndefined();
    expect(await broker.peek(topic, partition, 1_000)).toBeUndefined();
  });

  it("take more in one call than the broker takes in one batch", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const listener = new Listener(broker, topic);
    const large = numbered(0, 40).map((message, number) => {
      return { ...message, body: JSON.stringify({ number, text: "€".repeat(30_000) }) };
    });
    await broker.publish(topic, large);
    await listener.untilHas(upTo(40));
  });

  it("refuse for good what is larger than any batch may be", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const message = { ...numbered(0, 1)[0]!, body: JSON.stringify({ text: "x".repeat(17_000_000) }) };
    const refusal = { code: "bus.refused", retryable: false };
    await expect(broker.publish(topic, [message])).rejects.toMatchObject(refusal);
    await broker.publish(topic, numbered(0, 7));
    await new Listener(broker, topic).untilHas(upTo(7));
  });

  it("are found by the time of what is in them", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const start = Date.parse("2024-01-01T00:00:00.000Z");
    const days = upTo(90).map((day): OutgoingMessage => {
      const [message] = numbered(day, 1);
      const time = new Date(start + day * 86_400_000).toISOString();
      return { ...message!, attributes: { ...message!.attributes, time } };
    });
    await broker.publish(topic, days);

    const at = (time: number) => broker.offsetsAt(topic, new Date(time));
    expect(await at(0)).toEqual([0]);
    expect(await at(start + 50 * 86_400_000)).toEqual([50]);
    expect(await at(start + 50 * 86_400_000 + 1)).toEqual([51]);
    expect(await at(Date.now())).toEqual([90]);
  });

  it("are measured when they are published to", async () => {
    const registry = new Registry();
    const [broker, topic] = await bench.brokerWithTopic({ registry });
    await broker.publish(topic, numbered(0, 1));
    await broker.publish(topic, numbered(1, 1));
    const figures = await registry.metrics();
    expect(figures).toContain("kafka_producer_request_latency_ms_count 2");
    // Milliseconds: nothing takes less than 0.05 of them.
    expect(Number(/latency_ms_sum (\S+)/.exec(figures)![1])).toBeGreaterThan(0.05);
  });

  it("tell whoever watches a group from outside how far it has come", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const group = newName();
    const listener = new Listener(broker, topic, { group });
    await broker.publish(topic, numbered(0, 7));
    await listener.untilHas(upTo(7));
    expect(await committed(topic, group)).toBe(-1n);
    listener.follower.done(topic, 0, 5);
    await until(async () => (await committed(topic, group)) === 5n);
    listener.follower.done(topic, 0, 7);
    await listener.follower.close();
    expect(await committed(topic, group)).toBe(7n);
  });

  async function settingOf(topic: string, name: string): Promise<unknown> {
    const wanted = [
      { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configurationKeys: [name] },
    ];
    const { results } = await ask(kafka.brokers, describeConfigsV4.api, wanted, false, false);
    return results[0]!.configs[0]!.value;
  }

  async function committed(topic: string, group: string): Promise<bigint> {
    const groupId = `test.${group}`;
    const topics = [{ name: topic, partitionIndexes: [0] }];
    const wanted = [{ groupId, memberEpoch: -1, topics }];
    const answer = await ask(kafka.brokers, offsetFetchV8.api, wanted, true);
    return answer.groups[0]!.topics[0]!.partitions[0]!.committedOffset;
  }
});

describeKafka("a follower of Kafka's topics", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("begins where it is told to", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 100));
    await broker.publish(topic, numbered(100, 50));
    const listener = new Listener(broker, topic, { begin: async () => 30 });
    await until(() => listener.heard.length === 120);
    expect(listener.numbers).toEqual(upTo(150).slice(30));
  });

  it("begins with the oldest when what it asks for is not there", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 10));
    await new Listener(broker, topic, { begin: async () => 5_000 }).untilHas(upTo(10));
  });

  it("asks again where to begin when that fails", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 10));
    let asked = 0;
    const begin = async () => {
      if (++asked < 3) throw new Error("The database is away.");
      return undefined;
    };
    await new Listener(broker, topic, { begin }).untilHas(upTo(10));
  });

  it("gives again what was not taken, and nothing behind it before", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const tries: number[] = [];
    const taken: number[] = [];
    new Listener(broker, topic, {
      deliver: async (_topic, _partition, messages) => {
        tries.push(numberOf(messages[0]!));
        if (tries.length < 3) throw new Error("Not now.");
        taken.push(...messages.map(numberOf));
      },
    });
    await broker.publish(topic, numbered(0, 1));
    await broker.publish(topic, numbered(1, 1));
    await until(() => taken.length === 2);
    expect(tries.slice(0, 3)).toEqual([0, 0, 0]);
    expect(taken).toEqual([0, 1]);
  });

  it("goes on elsewhere while a delivery hangs", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 20));
    let hanging = 0;
    const listener: Listener = new Listener(broker, topic, {
      deliver: async (_topic, partition, messages) => {
        if (hanging++ === 0) await new Promise(() => undefined);
        listener.heard.push(...messages.map((message) => ({ ...message, partition })));
      },
    });
    await until(() => hanging === 1);
    listener.follower.seek(topic, 0, 15);
    await until(() => listener.numbers.length === 5);
    listener.follower.seek(topic, 0, undefined);
    await until(() => listener.numbers.length === 25);
    await broker.publish(topic, numbered(20, 1));
    await until(() => listener.numbers.length === 26);
    expect(listener.heard.map(numberOf)).toEqual([15, 16, 17, 18, 19, ...upTo(21)]);
  });

  it("goes on elsewhere at once while it waits for messages", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const listener = new Listener(broker, topic);
    await broker.publish(topic, numbered(0, 7));
    await listener.untilHas(upTo(7));
    // So often that the test could not wait each time until Kafka answers that there is nothing.
    for (let round = 1; round <= 100; round++) {
      listener.follower.seek(topic, 0, 0);
      await until(() => listener.heard.length === 7 + round * 7);
    }
  });

  it("is not given more while it works on what it has, and the other partitions go on", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    let release: (() => void) | undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const open = new Map<number, number>();
    let most = 0;
    const listener: Listener = new Listener(broker, topic, {
      deliver: async (_topic, partition, messages) => {
        open.set(partition, (open.get(partition) ?? 0) + messages.length);
        most = Math.max(most, open.get(partition)!);
        if (partition === 0) await released;
        open.set(partition, open.get(partition)! - messages.length);
        listener.heard.push(...messages.map((message) => ({ ...message, partition })));
      },
    });
    for (let from = 0; from < 20_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    const ends = await broker.ends(topic);
    expect(ends[0]).toBeGreaterThan(1_000);
    const heardOf = (partition: number) => listener.heard.filter((m) => m.partition === partition).length;
    await until(() => open.has(0) && heardOf(1) === ends[1] && heardOf(2) === ends[2]);
    expect(heardOf(0)).toBe(0);
    expect(open.get(0)).toBeLessThan(ends[0]!);
    release?.();
    await listener.untilHas(upTo(20_000));
    expect(most).toBeLessThan(4_000);
  });
});

describeKafka("what comes in from outside by Kafka", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("goes on behind what was carried out, in the next process too", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const group = newName();
    await broker.publish(topic, numbered(0, 10));
    const first = collect(broker, topic, group);
    await until(() => first.bodies.length === 10);
    await first.receiver.close();
    await broker.publish(topic, numbered(10, 5));
    const second = collect(bench.broker(), topic, group);
    await until(() => second.bodies.length === 5);
    expect(second.bodies.map((body) => numberOf({ body }))).toEqual([10, 11, 12, 13, 14]);
    expect(second.places[0]).toBe(`${topic}/0@10`);
  });

  it("is given again after a failure, and nothing behind it before", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    await broker.publish(topic, numbered(0, 3));
    const inbound = collect(broker, topic, newName(), 2);
    await broker.publish(topic, numbered(3, 3));
    await until(() => inbound.bodies.length === 6);
    expect(inbound.bodies.map((body) => numberOf({ body }))).toEqual(upTo(6));
    expect(inbound.failures).toBe(2);
  });

  it("may be in structured mode", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const event = { id: "1", source: "/erp", specversion: "1.0", type: "StockCounted", data: { sku: "A" } };
    const datacontenttype = "application/cloudevents+json; charset=UTF-8";
    await broker.publish(topic, [{ key: "A", attributes: { datacontenttype }, body: JSON.stringify(event) }]);
    const inbound = collect(broker, topic, newName());
    await until(() => inbound.bodies.length === 1);
    expect(inbound.bodies).toEqual(['{"sku":"A"}']);
    const { data, ...attributes } = event;
    expect(inbound.attributes).toEqual([attributes]);
  });

  function collect(broker: Broker, topic: string, group: string, failing = 0) {
    const inbound = {
      bodies: [] as string[],
      attributes: [] as object[],
      places: [] as string[],
      failures: 0,
      receiver: broker.receive({
        topic,
        group,
        handle: async (messages) => {
          if (inbound.failures < failing) {
            inbound.failures++;
            throw new Error("Not now.");
          }
          for (const message of messages) {
            inbound.bodies.push(message.body);
            inbound.attributes.push(message.attributes);
            inbound.places.push(message.place);
          }
        },
      }),
    };
    return inbound;
  }
});
