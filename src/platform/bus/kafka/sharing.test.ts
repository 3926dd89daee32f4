import { expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { KafkaBench, Listener, newName, numbered, numberOf, until, upTo } from "../../../testing/kafka.ts";
import type { ReceivedMessage } from "../broker/broker.ts";

describeKafka("groups of one process", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  /** What it is given, as it is given. */
  function collector(from?: number) {
    const given: ReceivedMessage[] = [];
    const changes = {
      begin: async () => from,
      deliver: async (_topic: string, _partition: number, messages: readonly ReceivedMessage[]) => {
        given.push(...messages);
      },
    };
    return { given, changes, numbers: () => given.map(numberOf) };
  }

  it("are given the very same messages where they stand together", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const [one, two] = [collector(), collector()];
    for (const { changes } of [one, two]) new Listener(broker, topic, changes);
    await broker.publish(topic, numbered(0, 1));
    await until(() => one.given.length === 1 && two.given.length === 1);
    await broker.publish(topic, numbered(1, 500));
    await until(() => one.given.length === 501 && two.given.length === 501);
    expect(one.numbers()).toEqual(upTo(501));
    expect(two.given.every((message, i) => i === 0 || message === one.given[i])).toBe(true);
  });

  it("each get everything from their own place on, though one is far behind", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    // Some fetches' worth.
    for (let from = 0; from < 10_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    const [ahead, behind] = [collector(10_000), collector()];
    for (const { changes } of [ahead, behind]) new Listener(broker, topic, changes);
    for (let n = 0; n < 20; n++) await broker.publish(topic, numbered(10_000 + n, 1));
    await until(() => ahead.given.length === 20 && behind.given.length === 10_020);
    expect(ahead.numbers()).toEqual(upTo(10_020).slice(10_000));
    expect(behind.numbers()).toEqual(upTo(10_020));
    await broker.publish(topic, numbered(10_020, 1));
    await until(() => ahead.given.length === 21 && behind.given.length === 10_021);
    expect(behind.given.at(-1)).toBe(ahead.given.at(-1));
  });

  it("go on while one of them takes nothing, and that one loses nothing", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const quick = collector();
    new Listener(broker, topic, quick.changes);
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow: ReceivedMessage[] = [];
    new Listener(broker, topic, {
      deliver: async (_topic, _partition, messages) => {
        await released;
        slow.push(...messages);
      },
    });
    for (let from = 0; from < 10_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    await until(() => quick.given.length === 10_000);
    expect(slow).toEqual([]);
    release();
    await until(() => slow.length === 10_000);
    expect(slow.map(numberOf)).toEqual(upTo(10_000));
  });

  it("go on when one of them closes", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 1 });
    const [one, two] = [collector(), collector()];
    const [first] = [one, two].map(({ changes }) => new Listener(broker, topic, changes));
    await broker.publish(topic, numbered(0, 5));
    await until(() => one.given.length === 5 && two.given.length === 5);
    await first!.follower.close();
    await broker.publish(topic, numbered(5, 5));
    await until(() => two.given.length === 10);
    expect(one.given).toHaveLength(5);
  });
});

describeKafka("what is published to several topics at once", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("arrives in each of them, and is refused in the one that is to blame alone", async () => {
    const [broker, good] = await bench.brokerWithTopic();
    const bad = newName();
    await broker.createTopics([bad]);
    await Promise.all([broker.publish(good, numbered(0, 7)), broker.publish(bad, numbered(0, 7))]);
    const huge = { ...numbered(0, 1)[0]!, body: JSON.stringify({ text: "x".repeat(17_000_000) }) };
    const [refused, taken] = await Promise.allSettled([
      broker.publish(bad, [huge]),
      broker.publish(good, numbered(7, 7)),
    ]);
    expect(refused).toMatchObject({ status: "rejected", reason: { code: "bus.refused" } });
    expect(taken.status).toBe("fulfilled");
    await new Listener(broker, good).untilHas(upTo(14));
    await new Listener(broker, bad).untilHas(upTo(7));
  });
});
