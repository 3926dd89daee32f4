import { createServer } from "node:net";
import { expect, it } from "vitest";
import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import { Listener, newTopic, numbered, RabbitBench, until } from "../../../testing/rabbitmq.ts";

describeRabbitmq("publishing to RabbitMQ", () => {
  const rabbitmq = useRabbitmq();
  const bench = new RabbitBench(() => rabbitmq.url);
  const unreachable = { code: "bus.unreachable", retryable: true };

  it("fails when a queue refuses a message, and works again when it takes them", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const channel = await (await bench.outsider()).createChannel();
    const limits = { maxLength: 1, overflow: "reject-publish" };
    const { queue } = await channel.assertQueue("", { exclusive: true, ...limits });
    await channel.bindQueue(queue, topic, "#");
    await expect(broker.publish(topic, numbered(0, 10))).rejects.toMatchObject(unreachable);
    await channel.deleteQueue(queue);
    await broker.publish(topic, numbered(0, 10));
  });

  it("fails when no queue takes a message, and binds the stream again for the next call", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const channel = await (await bench.outsider()).createChannel();
    await broker.publish(topic, numbered(0, 1));
    await channel.unbindQueue(topic, topic, "#");
    await expect(broker.publish(topic, numbered(1, 10))).rejects.toMatchObject({
      ...unreachable,
      message: expect.stringContaining("no queue takes"),
    });
    expect(await broker.ends(topic)).toEqual([1]);
    await broker.publish(topic, numbered(1, 10));
    expect(await broker.ends(topic)).toEqual([11]);
  });

  it("makes a topic again that was deleted, for the next call, and followers find it", async () => {
    const [broker, topic] = await bench.brokerWithTopic();
    const listener = new Listener(broker, topic, { begin: async () => undefined });
    await broker.publish(topic, numbered(0, 2));
    await listener.untilNumbers([0, 1]);
    const channel = await (await bench.outsider()).createChannel();
    await channel.deleteExchange(topic);
    await channel.deleteQueue(topic);
    await expect(broker.publish(topic, numbered(2, 2))).rejects.toMatchObject(unreachable);
    await broker.publish(topic, numbered(2, 2));
    await listener.untilNumbers([0, 1, 2, 3]);
  });

  it("fails to a topic that nobody has made", async () => {
    await expect(bench.broker().publish(newTopic(), numbered(0, 1))).rejects.toMatchObject(unreachable);
  });

  it("gives up in time on a broker that takes connections and never says a word", async () => {
    const silent = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { port: number };
    const broker = bench.broker({ url: `amqp://127.0.0.1:${port}`, requestTimeoutMs: 200 });
    const calls = [
      broker.publish("any", numbered(0, 1)),
      broker.createTopics(["any"]),
      broker.ends("any"),
      broker.offsetsAt("any", new Date()),
      broker.peek("any", 0, 0),
    ];
    for (const call of calls) call.catch(() => {});
    for (const call of calls) await expect(call).rejects.toMatchObject(unreachable);
    expect(broker.state()).toMatchObject({ isUp: false, reason: expect.any(String) });
    await broker.close();
    await new Promise((resolve) => silent.close(resolve));
  });

  it("says why when it is not let in", async () => {
    const url = new URL(rabbitmq.url);
    url.password = "wrong";
    const broker = bench.broker({ url: url.href });
    await until(() => broker.state().reason?.includes("ACCESS_REFUSED"));
    expect(broker.state().isUp).toBe(false);
  });

  it.each(["", "localhost:5672", "http://localhost:5672"])("refuses %o as its URL", (url) => {
    expect(() => bench.broker({ url })).toThrow(/must be like amqp:/);
  });
});
