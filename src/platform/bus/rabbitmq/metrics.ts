import { Histogram, type Registry } from "prom-client";
import type { Logger } from "../../telemetry/logger.ts";
import { askedGauges } from "../../telemetry/metrics.ts";

export type PublishDuration = Histogram<"outcome">;

export function publishDuration(registry: Registry): PublishDuration {
  return new Histogram({
    name: "rabbitmq_publish_duration_seconds",
    help: "Time from handing messages to RabbitMQ until it had confirmed all of them, or the call failed.",
    labelNames: ["outcome"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
}

export function deadInboundMessages(
  registry: Registry,
  logger: Logger,
  ask: () => Promise<ReadonlyMap<string, number>>,
): void {
  askedGauges(
    registry,
    logger,
    ask,
  )({
    name: "rabbitmq_inbound_dead_messages",
    help: "Messages from outside that every process died of which took them, by the queue in which they are kept.",
    labelNames: ["queue"],
    show(metric, counts) {
      for (const [queue, count] of counts) metric.set({ queue }, count);
    },
  });
}
