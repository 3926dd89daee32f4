import { Gauge, Histogram } from "prom-client";
import type { Logger } from "../../telemetry/logger.ts";
import type { Registry } from "../../telemetry/metrics.ts";
import type { BusEvent, ConsumerState } from "../port.ts";

export interface BusMetrics {
  /** These events have been handled, durably. */
  handled(group: string, events: readonly BusEvent[]): void;
}

type Show = (metric: Gauge, state: ConsumerState) => void;

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
  const gauge = (name: string, help: string, labelNames: string[], show: Show) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        try {
          for (const state of await consumers()) show(this, state);
        } catch (error) {
          logger.warn({ err: error, metric: name }, "how far the consumers are could not be measured");
        }
      },
    });
  gauge(
    "kafka_consumer_lag_messages",
    "What a consumer group has not handled yet of a topic: batches of a log, or events that came through a broker. The " +
      "name holds for every bus, not for Kafka alone. The group relay brings the logs to the broker.",
    ["group", "topic"],
    (metric, { group, topic, lag }) => metric.set({ group, topic }, Number(lag)),
  );
  gauge(
    "bus_consumer_lag_seconds",
    "How long the oldest event has been waiting that a consumer group has not handled yet; 0 when there is none.",
    ["group", "topic"],
    (metric, { group, topic, lag_seconds }) => metric.set({ group, topic }, lag_seconds),
  );
  gauge(
    "bus_dead_letters",
    "Events that a consumer group could not handle: retrying ones are tried again by themselves, dead ones were given up on.",
    ["group", "topic", "status"],
    (metric, { group, topic, retrying, dead }) => {
      metric.set({ group, topic, status: "retrying" }, Number(retrying));
      metric.set({ group, topic, status: "dead" }, Number(dead));
    },
  );
  return {
    handled(group, events) {
      const now = Date.now();
      const ofGroup = duration.labels(group);
      for (const { at } of events) ofGroup.observe(Math.max(0, now - at.getTime()) / 1_000);
    },
  };
}
