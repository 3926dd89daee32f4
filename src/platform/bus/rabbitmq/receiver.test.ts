import type { Channel } from "amqplib";
import { expect, it } from "vitest";
import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import { newTopic, RabbitBench, until } from "../../../testing/rabbitmq.ts";
import type { InboundMessage, ReceiveOptions } from "../broker/broker.ts";
import { deliveryLimit } from "./topics.ts";

describeRabbitmq("receiving from RabbitMQ", () => {
  const rabbitmq = useRabbitmq();
  const bench = new RabbitBench(() => rabbitmq.url);

  /** Receives until the test ends, once its queue is there. */
  async function receiving(topic: string, handle: ReceiveOptions["handle"]) {
    const broker = bench.broker();
    const receiver = broker.receive({ topic, group: "inventory", handle });
    const channel = await (await bench.outsider()).createChannel();
    channel.on("error", () => {});
    await until(async () => (await consumersOf(topic)) === 1);
    return { receiver, channel };
  }

  async function consumersOf(queue: string): Promise<number> {
    const channel = await (await bench.outsider()).createChannel();
    channel.on("error", () => {});
    return channel.checkQueue(queue).then(
      ({ consumerCount }) => consumerCount,
      () => -1,
    );
  }

  async function left(channel: Channel, queue: string): Promise<number> {
    return (await channel.checkQueue(queue)).messageCount;
  }

  const event = { specversion: "1.0", id: "erp-1", source: "/erp", type: "StockCounted" };

  it("takes what comes to the exchange and to the queue, in binary and in structured mode", async () => {
    const received: InboundMessage[] = [];
    const topic = newTopic();
    const { channel } = await receiving(topic, async (messages) => void received.push(...messages));
    channel.publish(topic, "any.key", Buffer.from('{"on_hand":1}'), {
      contentType: "application/json",
      messageId: "erp-1",
      headers: { "cloudEvents:id": "erp-1", "cloudEvents:type": "StockCounted" },
    });
    channel.sendToQueue(topic, Buffer.from(JSON.stringify({ ...event, data: { on_hand: 2 } })), {
      contentType: "application/cloudevents+json; charset=utf-8",
    });
    channel.sendToQueue(topic, Buffer.from("not even JSON"));
    await until(() => received.length === 3);
    expect(received).toEqual([
      {
        attributes: { id: "erp-1", type: "StockCounted", datacontenttype: "application/json" },
        body: '{"on_hand":1}',
        place: `${topic} erp-1`,
      },
      { attributes: event, body: '{"on_hand":2}', place: `${topic} erp-1` },
      { attributes: {}, body: "not even JSON", place: topic },
    ]);
  });

  it("gives what is nested too deeply with the reason, between its neighbours, to be handled with them", async () => {
    const received: InboundMessage[] = [];
    const topic = newTopic();
    const { channel } = await receiving(topic, async (messages) => void received.push(...messages));
    const data = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const deep = `${JSON.stringify(event).slice(0, -1)},"data":${data}}`;
    channel.sendToQueue(topic, Buffer.from("before"));
    channel.sendToQueue(topic, Buffer.from(deep), { contentType: "application/cloudevents+json" });
    channel.sendToQueue(topic, Buffer.from("behind"));
    await until(() => received.length === 3);
    const unreadable = "The event's data cannot be read: Maximum call stack size exceeded.";
    expect(received).toEqual([
      { attributes: {}, body: "before", place: topic },
      { attributes: event, body: deep, place: `${topic} erp-1`, unreadable },
      { attributes: {}, body: "behind", place: topic },
    ]);
  });

  it("keeps what cannot be handled now and tries it again, before anything that came behind it", async () => {
    const tries: string[][] = [];
    const topic = newTopic();
    const { channel, receiver } = await receiving(topic, async (messages) => {
      tries.push(messages.map(({ body }) => body));
      if (tries.length < 4) throw new Error("the database is away");
    });
    channel.sendToQueue(topic, Buffer.from("first"));
    await until(() => tries.length > 0);
    channel.sendToQueue(topic, Buffer.from("second"));
    await until(() => tries.flat().includes("second"));
    expect(tries).toEqual([["first"], ["first"], ["first"], ["first"], ["second"]]);
    await receiver.close();
    expect(await left(channel, topic)).toBe(0);
    expect(await left(channel, `${topic}.dead`)).toBe(0);
  });

  it("acknowledges what it has handled when it is closed, and leaves the rest", async () => {
    let resolve = () => {};
    const handled: string[] = [];
    const topic = newTopic();
    const { channel, receiver } = await receiving(topic, async (messages) => {
      await new Promise<void>((go) => {
        resolve = go;
      });
      handled.push(...messages.map(({ body }) => body));
    });
    const underWay = () => resolve.toString() !== "() => {}";
    channel.sendToQueue(topic, Buffer.from("first"));
    await until(underWay);
    channel.sendToQueue(topic, Buffer.from("second"));
    const closed = receiver.close();
    resolve();
    await closed;
    expect(handled).toEqual(["first"]);
    await until(async () => (await left(channel, topic)) === 1);
  });

  it("lets one process at a time take it all, so that the order holds, and another go on", async () => {
    const topic = newTopic();
    const by: string[] = [];
    const writeDown = (name: string) => async (messages: readonly InboundMessage[]) => {
      by.push(...messages.map(() => name));
    };
    const { channel, receiver } = await receiving(topic, writeDown("first"));
    const second = bench.broker();
    second.receive({ topic, group: "inventory", handle: writeDown("second") });
    await until(() => second.state().isUp);
    for (let n = 1; n <= 50; n++) {
      channel.sendToQueue(topic, Buffer.from(`${n}`));
      await until(() => by.length === n);
    }
    expect(new Set(by)).toEqual(new Set(["first"]));
    await receiver.close();
    channel.sendToQueue(topic, Buffer.from("one more"));
    await until(() => by.length === 51);
    expect(by.at(-1)).toBe("second");
  });

  it("sets aside a message that its consumer has died of too often, with the reason", async () => {
    const topic = newTopic();
    const { channel, receiver } = await receiving(topic, async () => {});
    await receiver.close();
    await until(async () => (await consumersOf(topic)) === 0);
    channel.sendToQueue(topic, Buffer.from("poison"), { messageId: "erp-13" });
    const client = await bench.outsider();
    const isDead = until(async () => (await left(channel, `${topic}.dead`)) === 1);
    let deaths = 0;
    while ((await left(channel, `${topic}.dead`)) === 0) {
      const dying = await client.createChannel();
      const isGiven = new Promise<void>((resolve) => {
        dying.consume(topic, () => resolve()).catch(() => {});
      });
      await Promise.race([isGiven.then(() => deaths++), isDead]);
      await dying.close();
    }
    await isDead;
    expect(deaths).toBe(deliveryLimit + 1);
    const message = await channel.get(`${topic}.dead`, { noAck: true });
    if (message === false) throw new Error("it is gone");
    expect(message.content.toString()).toBe("poison");
    expect(message.properties).toMatchObject({
      messageId: "erp-13",
      headers: { "x-death": [{ reason: "delivery_limit", queue: topic }] },
    });
  });
});
