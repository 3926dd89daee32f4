import { randomUUID } from "node:crypto";
import {
  ConfigResourceTypes,
  createTopicsV7,
  IncrementalAlterConfigOperationTypes,
  incrementalAlterConfigsV1,
} from "@platformatic/kafka";
import { expect, it } from "vitest";
import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { BusBench, listener, told } from "../../../testing/bus-contract/bench.ts";
import { ask, until } from "../../../testing/kafka.ts";
import { patience } from "../../../testing/patience.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createBrokerBus } from "../broker/index.ts";
import { createKafkaBroker } from "./index.ts";

/** Of the protocol's ways to change a setting. */
const set = IncrementalAlterConfigOperationTypes.SET;

describeKafka("an event that Kafka refuses", () => {
  const kafka = useKafka();
  const prefix = `${randomUUID()}.`;
  const resourceName = `${prefix}holdfast.teller`;
  const bench = new BusBench((setting) => {
    const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
    const broker = createKafkaBroker({
      ...telemetry,
      groupPrefix: prefix,
      brokers: [kafka.brokers],
      partitions: 1,
    });
    const options = { ...setting, ...telemetry, tracer: untraced, pollMs: 500 };
    return createBrokerBus({ ...options, broker, prefix, logs: ["teller", "crier"] });
  }, "key");

  /** The broker takes a change of it only a moment after it has said so. */
  async function createTopic(largestBytes: number): Promise<void> {
    const configs = [{ name: "max.message.bytes", value: String(largestBytes) }];
    const topic = { name: resourceName, numPartitions: 1, replicationFactor: 1, assignments: [], configs };
    await ask(kafka.brokers, createTopicsV7.api, [topic], patience.timeout, false);
  }

  async function allowBytes(bytes: number): Promise<void> {
    const configs = [{ name: "max.message.bytes", value: String(bytes), configOperation: set }];
    const topic = { resourceType: ConfigResourceTypes.TOPIC, resourceName, configs };
    await ask(kafka.brokers, incrementalAlterConfigsV1.api, [topic], false);
  }

  it("is waited for, and heard in its place once Kafka takes it", async () => {
    await createTopic(100_000);
    const { bus } = bench.process([listener()]);
    await bench.write("teller", [told("first")]);
    await bench.untilHeard(["first"]);
    const large = told("large", { text: "x".repeat(200_000) });
    await bench.write("teller", [told("second"), large, told("third")]);
    await bench.untilHeard(["first", "second"]);
    await until(async () => (await bus.consumers()).some(({ group, lag }) => group === "relay" && lag! > 0));
    expect((await bus.deadLetters({}, undefined, 10)).items).toEqual([]);
    await allowBytes(1_000_000);
    await bench.untilHeard(["first", "second", "large", "third"]);
    expect(await bench.heard()).toEqual(["first", "second", "large", "third"]);
  });
});
