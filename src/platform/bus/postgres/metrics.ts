import { Gauge, Histogram } from "prom-client";
import type { Logger } from "../../telemetry/logger.ts";
import type { Registry } from "../../telemetry/metrics.ts";
import type { BusEvent, ConsumerState } from "../port.ts";

export interface BusMetrics {
  /** These events have been handled, durably. */
  handled(group: string, events: readonly BusEvent[]): void;
}

export function createBusMetrics(
  registry: Registry,
  logger: Logger,
  consumers: () => Promise<ConsumerState[]>,
): BusMetrics {
  const duration = new Histogram({
    name: "order_event_processing_duration_seconds",
    help: "Time from an event's place in the log until what a consumer group did about it was committed.",
    labelNames: ["group"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers: [registry],
  });
  const setAside = new Gauge({
    name: "bus_dead_letters",
    help: "Events that a consumer group could not handle: retrying are tried again by themselves, dead were given up on.",
    labelNames: ["group", "topic", "status"],
    registers: [registry],
  });
  new Gauge({
    name: "kafka_consumer_lag_messages",
    help: "Batches of a topic's log that a consumer group has not handled yet. The name holds for every bus, not for Kafka alone.",
    labelNames: ["group", "topic"],
    registers: [registry],
    async collect() {
      try {
        for (const { group, topic, lag, retrying, dead } of await consumers()) {
          this.set({ group, topic }, lag);
          setAside.set({ group, topic, status: "retrying" }, Number(retrying));
          setAside.set({ group, topic, status: "dead" }, Number(dead));
        }
      } catch (error) {
        this.reset();
        setAside.reset();
        logger.warn({ err: error }, "the consumers' lag could not be measured");
      }
    },
  });
  return {
    handled(group, events) {
      const now = Date.now();
      for (const { at } of events) duration.observe({ group }, Math.max(0, now - at.getTime()) / 1_000);
    },
  };
}
