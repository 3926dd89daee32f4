import { expect, it, onTestFinished, vi } from "vitest";
import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import {
  Listener,
  newTopic,
  numbered,
  numberOf,
  RabbitBench,
  until,
  upTo,
} from "../../../testing/rabbitmq.ts";
import type { ReceivedMessage } from "../broker/broker.ts";

describeRabbitmq("topics in RabbitMQ", () => {
  const rabbitmq = useRabbitmq();
  const bench = new RabbitBench(() => rabbitmq.url);

  it("delivers everything in the order of publishing, with growing offsets", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic);
    for (let from = 0; from < 5_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    await listener.untilNumbers(upTo(5_000));
    expect(listener.heard.map(({ offset }) => offset)).toEqual(upTo(5_000));
  });

  it("carries key, attributes and body unchanged, keys longer than AMQP has room for included", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic);
    const key = "ключ-".repeat(60);
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const message = {
      key,
      attributes: { ...numbered(0, 1)[0]!.attributes, partitionkey: key, traceparent },
      body: '{"number":0,"text":"ünï"}',
    };
    await broker.publish(topic, [message]);
    await until(() => listener.heard.length > 0);
    expect(listener.heard).toEqual([{ ...message, offset: 0 }]);
  });

  it("goes on from the offset that begin answers", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 100));
    await broker.publish(topic, numbered(100, 50));
    const listener = new Listener(broker, topic, { begin: async () => 30 });
    await listener.untilNumbers(upTo(150, 30));
  });

  it("reads all of a stream that was made anew and ends before the offset to go on from", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 3));
    const listener = new Listener(broker, topic, { begin: async () => 1_000 });
    await listener.untilNumbers([0, 1, 2]);
  });

  it("can be looked into and joined while others write without a pause", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const writer = bench.broker();
    const listeners: Listener[] = [];
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      for (; !isOver; written += 5) await writer.publish(topic, numbered(written, 5));
    })();
    try {
      for (let look = 0, last = 0; look < 30; look++) {
        const [end] = await broker.ends(topic);
        expect(end).toBeGreaterThanOrEqual(last);
        last = end!;
      }
      for (let i = 0; i < 5; i++) listeners.push(new Listener(broker, topic));
      await until(() => listeners.every(({ heard }) => heard.length > 0));
    } finally {
      isOver = true;
      await writing;
    }
    for (const listener of listeners) await listener.untilNumbers(upTo(written));
    expect(listeners.map(({ begins }) => begins)).toEqual(listeners.map(() => [undefined]));
  });

  it("asks begin again until it answers", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 3));
    let asked = 0;
    const listener = new Listener(broker, topic, {
      begin: async () => {
        if (++asked < 3) throw new Error("the database is away");
        return 1;
      },
    });
    await listener.untilNumbers([1, 2]);
  });

  it("gives everything to each of two followers", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const one = new Listener(broker, topic);
    const two = new Listener(bench.broker(), topic);
    await broker.publish(topic, numbered(0, 500));
    await one.untilNumbers(upTo(500));
    await two.untilNumbers(upTo(500));
  });

  it("gives no more until a delivery resolves", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    for (let from = 0; from < 10_000; from += 1_000) await broker.publish(topic, numbered(from, 1_000));
    let resolve = () => {};
    let under = 0;
    let most = 0;
    const batches: (readonly ReceivedMessage[])[] = [];
    new Listener(broker, topic, {
      async deliver(_topic, _partition, messages) {
        most = Math.max(most, ++under);
        batches.push(messages);
        await new Promise<void>((go) => {
          resolve = go;
        });
        under--;
      },
    });
    const given = () => batches.reduce((sum, { length }) => sum + length, 0);
    await until(() => given() > 0);
    await broker.ends(topic);
    expect(batches).toHaveLength(1);
    while (given() < 10_000) {
      const before = batches.length;
      resolve();
      await until(() => batches.length > before);
    }
    resolve();
    expect(most).toBe(1);
    expect(Math.max(...batches.map(({ length }) => length))).toBeLessThanOrEqual(1_000);
    expect(batches.flat().map(numberOf)).toEqual(upTo(10_000));
  });

  it("delivers again what a delivery that threw was given", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 3));
    let failures = 0;
    const heard: number[] = [];
    new Listener(broker, topic, {
      async deliver(_topic, _partition, messages) {
        if (failures++ < 2) throw new Error("not now");
        heard.push(...messages.map(numberOf));
      },
    });
    await until(() => heard.length >= 3);
    expect(heard).toEqual([0, 1, 2]);
  });

  it("goes on from where it is told while a delivery hangs, and forgets the rest of that one", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 3_000));
    const hanging: (() => void)[] = [];
    const heard: number[][] = [];
    const listener = new Listener(broker, topic, {
      async deliver(_topic, _partition, messages) {
        heard.push(messages.map(numberOf));
        if (heard.length === 1) await new Promise<void>((go) => hanging.push(go));
      },
    });
    await until(() => heard.length === 1);
    listener.follower.seek(topic, 0, 10);
    listener.follower.seek(topic, 0, 2_990);
    await until(() => heard.flat().includes(2_999));
    expect(heard.slice(1).flat()).toEqual(upTo(3_000, 2_990));

    hanging[0]!();
    await broker.publish(topic, numbered(3_000, 1));
    await until(() => heard.flat().includes(3_000));
    expect(heard.slice(1).flat()).toEqual(upTo(3_001, 2_990));

    listener.follower.seek(topic, 0, undefined);
    await until(() => heard.slice(1).flat().length === 11 + 3_001);
  });

  it("delivers nothing of before once it is told to go on elsewhere, even in the middle of a delivery", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 2_500));
    const heard: number[][] = [];
    const listener: Listener = new Listener(broker, topic, {
      async deliver(_topic, _partition, messages) {
        heard.push(messages.map(numberOf));
        if (heard.length === 1) listener.follower.seek(topic, 0, 2_400);
      },
    });
    await until(() => heard.flat().includes(2_499));
    expect(heard.slice(1).flat()).toEqual(upTo(2_500, 2_400));
  });

  it("delivers nothing more once it is closed, and does not wait for a delivery that hangs", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 2_000));
    let deliveries = 0;
    let resolve = () => {};
    const { follower } = new Listener(broker, topic, {
      async deliver() {
        deliveries++;
        await new Promise<void>((go) => {
          resolve = go;
        });
      },
    });
    await until(() => deliveries === 1);
    await follower.close();
    resolve();
    await broker.publish(topic, numbered(2_000, 1));
    await broker.ends(topic);
    expect(deliveries).toBe(1);
  });

  it("knows the end of a stream exactly, as soon as it is published and without reading it all", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const other = bench.broker();
    expect(await other.ends(topic)).toEqual([0]);
    let end = 0;
    for (const count of [1, 10, 1, 3_000, 1, 1, 250]) {
      await broker.publish(topic, numbered(end, count));
      end += count;
      expect(await other.ends(topic)).toEqual([end]);
    }
    await Promise.all(upTo(30).map((n) => broker.publish(topic, numbered(end + n * 500, 500))));
    expect(await other.ends(topic)).toEqual([end + 15_000]);
  });

  it("finds the first message that is not older than a time, amidst a chunk too", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    expect(await broker.offsetsAt(topic, new Date())).toEqual([0]);
    const start = Date.now();
    const messages = numbered(0, 9_000).map((message, n) => {
      const time = new Date(start + Math.floor(n / 10)).toISOString();
      return { ...message, attributes: { ...message.attributes, time } };
    });
    await broker.publish(topic, messages);
    // It looks for no longer than some seconds, which do not pass here.
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await broker.offsetsAt(topic, new Date(0))).toEqual([0]);
    expect(await broker.offsetsAt(topic, new Date(start))).toEqual([0]);
    expect(await broker.offsetsAt(topic, new Date(start + 7))).toEqual([70]);
    expect(await broker.offsetsAt(topic, new Date(start + 750))).toEqual([7_500]);
    expect(await broker.offsetsAt(topic, new Date(start + 5_000))).toEqual([9_000]);
    expect(await broker.offsetsAt(topic, new Date(start + 3_600_000))).toEqual([9_000]);
  });

  it("shows the message at an offset, and none behind the end", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    expect(await broker.peek(topic, 0, 0)).toBeUndefined();
    await broker.publish(topic, numbered(0, 10));
    expect(await broker.peek(topic, 0, 7)).toMatchObject({ offset: 7, body: '{"number":7}' });
    expect(await broker.peek(topic, 0, 10)).toBeUndefined();
  });

  it("makes topics that are there once more without harm", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    await broker.publish(topic, numbered(0, 3));
    await broker.createTopics([topic, newTopic()]);
    expect(await broker.ends(topic)).toEqual([3]);
  });

  it("makes streams that keep their messages for seven days, in segments of 100 MB", async () => {
    const [, topic] = await bench.brokerWithTopic();
    const channel = await (await bench.outsider()).createChannel();
    await channel.assertQueue(topic, {
      arguments: {
        "x-queue-type": "stream",
        "x-max-age": "7D",
        "x-stream-max-segment-size-bytes": 100_000_000,
      },
    });
  });

  it("says what to do when a topic is there with other properties", async () => {
    const [, topic] = await bench.brokerWithTopic({ retentionMs: 3_600_000 });
    await expect(bench.broker().createTopics([topic])).rejects.toMatchObject({
      code: "bus.topic_differs",
      retryable: false,
      message: expect.stringMatching(/x-max-age.*retention back.*policy/s),
    });
  });

  it("lets others bind queues of their own, by key", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const channel = await (await bench.outsider()).createChannel();
    const { queue } = await channel.assertQueue("", { exclusive: true });
    await channel.bindQueue(queue, topic, "key-3");
    await broker.publish(topic, numbered(0, 7));
    const message = await channel.get(queue, { noAck: true });
    if (message === false) throw new Error("nothing came");
    expect(message.content.toString()).toBe('{"number":3}');
    expect(message.properties).toMatchObject({
      contentType: "application/json",
      messageId: "numbers-3-0",
      headers: { "cloudEvents:type": "Counted", "cloudEvents:specversion": "1.0" },
    });
    expect(await channel.get(queue, { noAck: true })).toBe(false);
  });
});
