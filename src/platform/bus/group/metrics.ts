import { Histogram } from "prom-client";
import type { Logger } from "../../telemetry/logger.ts";
import { askedGauges, type Registry } from "../../telemetry/metrics.ts";
import type { BusEvent, ConsumerState } from "../port.ts";

export interface BusMetrics {
  /** These events have been handled, durably, and for the first time: the age of replayed ones tells nothing. */
  handled(group: string, events: readonly BusEvent[]): void;
}

export function createBusMetrics(
  registry: Registry,
  logger: Logger,
  consumers: () => Promise<ConsumerState[]>,
): BusMetrics {
  const duration = new Histogram({
    name: "order_event_processing_duration_seconds",
    help: "Time from an event's place in the log until what a consumer group did about it was committed; without what is replayed.",
    labelNames: ["group"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers: [registry],
  });
  const gauge = askedGauges(registry, logger, consumers);
  gauge({
    name: "kafka_consumer_lag_messages",
    help:
      "What a consumer group has not handled yet of a topic: batches of a log, or events that came through a broker. The " +
      "name holds for every bus, not for Kafka alone. The group relay brings the logs to the broker. Absent where it " +
      "cannot be told.",
    labelNames: ["group", "topic"],
    show(metric, states) {
      for (const { group, topic, lag } of states) {
        if (lag !== undefined) metric.set({ group, topic }, Number(lag));
      }
    },
  });
  gauge({
    name: "bus_consumer_lag_seconds",
    help:
      "How long the oldest event has been waiting that a consumer group has not handled yet; 0 when there is none, absent " +
      "where it cannot be told.",
    labelNames: ["group", "topic"],
    show(metric, states) {
      for (const { group, topic, lag_seconds } of states) {
        if (lag_seconds !== undefined) metric.set({ group, topic }, lag_seconds);
      }
    },
  });
  gauge({
    name: "bus_dead_letters",
    help: "Events that a consumer group could not handle: retrying ones are tried again by themselves, dead ones were given up on.",
    labelNames: ["group", "topic", "status"],
    show(metric, states) {
      for (const { group, topic, retrying, dead } of states) {
        metric.set({ group, topic, status: "retrying" }, Number(retrying));
        metric.set({ group, topic, status: "dead" }, Number(dead));
      }
    },
  });
  return {
    handled(group, events) {
      const now = Date.now();
      const ofGroup = duration.labels(group);
      for (const { at } of events) ofGroup.observe(Math.max(0, now - at.getTime()) / 1_000);
    },
  };
}
