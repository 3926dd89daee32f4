import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import { gate } from "../../../testing/bus-contract/bench.ts";
import { newTopic, RabbitBench, until } from "../../../testing/rabbitmq.ts";

describeRabbitmq("a queue of RabbitMQ for what comes in", () => {
  const rabbitmq = useRabbitmq();
  const bench = new RabbitBench(() => rabbitmq.url);

  function receiving(topic: string, handle: () => Promise<void>, registry = new Registry()) {
    return bench.broker({ registry }).receive({ topic, group: "inventory", handle });
  }

  /** Once the queue is there, and whoever made it is given what comes. */
  async function channelTo(topic: string) {
    const client = await bench.outsider();
    const consumers = async () => {
      const channel = await client.createChannel();
      channel.on("error", () => {});
      return (await channel.checkQueue(topic).catch(() => undefined))?.consumerCount;
    };
    await until(consumers);
    return client.createChannel();
  }

  it("counts what is in hand, and what is behind it", async () => {
    const topic = newTopic();
    const { opened, open } = gate();
    const receiver = receiving(topic, () => opened);
    const channel = await channelTo(topic);
    channel.sendToQueue(topic, Buffer.from("first"));
    await expect.poll(() => receiver.waiting()).toEqual({ count: 1 });
    open();
    await expect.poll(() => receiver.waiting()).toEqual({ count: 0 });
  });

  it("says nothing of what another process may have in hand", async () => {
    const topic = newTopic();
    const { opened, open } = gate();
    const active = receiving(topic, () => opened);
    const channel = await channelTo(topic);
    const standby = receiving(topic, async () => {});
    expect(await standby.waiting()).toBeUndefined();
    channel.sendToQueue(topic, Buffer.from("first"));
    await expect.poll(() => active.waiting()).toEqual({ count: 1 });
    expect(await standby.waiting()).toBeUndefined();
    open();
  });

  it("shows how much was set aside because consumers died of it", async () => {
    const topic = newTopic();
    const registry = new Registry();
    receiving(topic, async () => {}, registry);
    const channel = await channelTo(topic);
    const shown = async () => (await registry.metrics()).match(/^rabbitmq_inbound_dead_messages.*$/m)?.[0];
    const labels = `rabbitmq_inbound_dead_messages{queue="${topic}.dead"}`;
    await expect.poll(shown).toBe(`${labels} 0`);
    channel.sendToQueue(`${topic}.dead`, Buffer.from("poison"));
    await expect.poll(shown).toBe(`${labels} 1`);
  });
});
