import { expect, it } from "vitest";
import { describeKafka, ownKafka } from "../../../testing/brokers.ts";
import { KafkaBench, Listener, newName, numbered, until, upTo } from "../../../testing/kafka.ts";
import type { Broker } from "../broker/broker.ts";

/** So that the outage outlives what is patient. */
const impatient = { requestTimeoutMs: 2_000, sessionTimeoutMs: 2_000 };
const unreachable = { code: "bus.unreachable", retryable: true };

describeKafka("while Kafka is away", () => {
  const kafka = ownKafka();
  const bench = new KafkaBench(() => kafka.address);

  it("everything arrives, in the order of each key, when it was killed in the middle", async () => {
    const [, topic] = await bench.brokerWithTopic();
    const broker = bench.broker(impatient);
    const listener = new Listener(broker, topic);
    let published = 0;
    const publishing = (async () => {
      for (; published < 3_000; published += 50) await publishAtLast(broker, topic, published);
    })();
    await until(() => published > 500);
    await kafka.kill();
    await until(() => broker.state().reason?.includes("ECONNREFUSED"));
    expect(broker.state().isUp).toBe(false);
    await kafka.start();
    await publishing;
    await listener.untilHas(upTo(3_000));
    await until(() => broker.state().isUp);
  });

  it("calls fail in bounded time, and may be tried again; what begins then goes on when it is back", async () => {
    await kafka.stop();
    const topic = newName();
    const broker = bench.broker({ ...impatient, requestTimeoutMs: 500 });
    expect(broker.state()).toMatchObject({ isUp: false });
    const listener = new Listener(broker, topic);
    const calls = [
      () => broker.createTopics([topic]),
      () => broker.publish(topic, numbered(0, 1)),
      () => broker.ends(topic),
      () => broker.offsetsAt(topic, new Date()),
      () => broker.peek(topic, 0, 0),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject(unreachable);
    await kafka.start();
    await until(() => broker.state().isUp);
    await until(async () => {
      await broker.createTopics([topic]);
      return true;
    });
    await publishAtLast(broker, topic, 0);
    await listener.untilHas(upTo(50));
  });

  it("clients close all the same, and let go of what they had", async () => {
    const [, topic] = await bench.brokerWithTopic();
    const broker = bench.broker(impatient);
    const listener = new Listener(broker, topic);
    await until(() => listener.owned.size === 3);
    await kafka.kill();
    await broker.close();
    expect(listener.owned.size).toBe(0);
  });
});

/** As the relay does: the whole call again until it works. */
async function publishAtLast(broker: Broker, topic: string, from: number): Promise<void> {
  for (;;) {
    try {
      return await broker.publish(topic, numbered(from, 50));
    } catch (error) {
      expect(error).toMatchObject(unreachable);
    }
  }
}
