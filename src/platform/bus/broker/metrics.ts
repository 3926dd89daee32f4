import { Counter, Gauge } from "prom-client";
import type { Registry } from "../../telemetry/metrics.ts";
import type { Broker } from "./broker.ts";

export type BrokerMetrics = ReturnType<typeof createBrokerMetrics>;

export function createBrokerMetrics(registry: Registry, broker: Pick<Broker, "name" | "state">) {
  const registers = [registry];
  new Gauge({
    name: "bus_broker_up",
    help: "1 while the broker answers, 0 while it does not.",
    labelNames: ["broker"],
    registers,
    collect() {
      this.set({ broker: broker.name }, Number(broker.state().isUp));
    },
  });
  const duplicates = new Counter({
    name: "kafka_duplicate_events_detected_total",
    help: "Events that came again and were passed over. The name holds for every broker, not for Kafka alone.",
    labelNames: ["group"],
    registers,
  });
  const failures = new Counter({
    name: "order_event_publish_failures_total",
    help: "Batches of events that the broker did not confirm. They are sent again until it does.",
    registers,
  });
  failures.inc(0);
  return {
    duplicates: (group: string, count: number) => duplicates.inc({ group }, count),
    publishFailed: () => failures.inc(),
  };
}
