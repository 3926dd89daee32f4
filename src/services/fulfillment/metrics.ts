import { Counter, Histogram, type Registry } from "prom-client";
import type { FulfillmentEvent, FulfillmentReply } from "./contract.ts";

const outcomes: Partial<Record<FulfillmentEvent["type"], string>> = {
  OrderPartlyShipped: "partly_shipped",
  OrderFulfilled: "shipped",
  ShipmentCancelled: "cancelled",
  FulfillmentFailed: "failed",
};

export type FulfillmentMetrics = ReturnType<typeof fulfillmentMetrics>;

export function fulfillmentMetrics(registry: Registry) {
  const registers = [registry];
  const shipments = new Counter({
    name: "fulfillment_shipments_total",
    help: "Shipments and parts of them, by what came of them.",
    labelNames: ["outcome"],
    registers,
  });
  const durations = new Histogram({
    name: "fulfillment_carrier_duration_seconds",
    help: "Time that the carrier took to answer, or not to.",
    labelNames: ["result"],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });

  return {
    answered(reply: FulfillmentReply) {
      if (!reply.accepted) return;
      for (const { type } of reply.events) {
        const outcome = outcomes[type];
        if (outcome !== undefined) shipments.inc({ outcome });
      }
    },
    called(result: "answered" | "unanswered", seconds: number) {
      durations.observe({ result }, seconds);
    },
  };
}
