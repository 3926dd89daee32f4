import { Counter, type Registry } from "prom-client";
import type { FulfillmentEvent, FulfillmentReply } from "./contract.ts";

const outcomes: Partial<Record<FulfillmentEvent["type"], string>> = {
  OrderPartlyShipped: "partly_shipped",
  OrderFulfilled: "shipped",
  ShipmentCancelled: "cancelled",
  FulfillmentFailed: "failed",
};

export function fulfillmentMetrics(registry: Registry) {
  const registers = [registry];
  const shipments = new Counter({
    name: "fulfillment_shipments_total",
    help: "Shipments and parts of them, by what came of them.",
    labelNames: ["outcome"],
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
  };
}
