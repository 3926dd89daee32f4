import { expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { KafkaBench } from "../../../testing/kafka.ts";
import { heartbeatOf, lastHeartbeat } from "./heartbeat.ts";
import type { Topics } from "./topics.ts";

describeKafka("the last heartbeat", () => {
  const kafka = useKafka();
  const bench = new KafkaBench(() => kafka.brokers);

  it("is the newest of a topic, whatever else somebody has sent there", async () => {
    const [broker, topic] = await bench.brokerWithTopic({ partitions: 4 });
    const topics = { nameOf: (name: string) => (name === heartbeatOf("inventory") ? topic : name) } as Topics;
    const last = () => lastHeartbeat(broker, topics, "inventory");
    expect(await last()).toBeUndefined();

    // Into every partition, before what is ours and after it.
    const stray = async (time: string) => {
      const keys = Array.from({ length: 40 }, (_, n) => `key-${n}`);
      await broker.publish(
        topic,
        keys.map((key) => ({ key, attributes: { id: key, type: "Noise", time }, body: "" })),
      );
    };
    await stray("2020-01-01T00:00:00.000Z");
    expect(await last()).toBeUndefined();
    const time = "2030-01-01T00:00:00.000Z";
    const attributes = { id: "1", type: "Heartbeat", time };
    await broker.publish(topic, [{ key: "inventory", attributes, body: "{}" }]);
    expect(await last()).toEqual(new Date(time));
  });
});
