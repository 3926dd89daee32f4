import type { BusEvent } from "../../platform/bus/port.ts";
import type { OrderEvent } from "../orders/contract.ts";
import type { FulfillmentCommand } from "./contract.ts";

export const heardTopics = {
  orders: ["OrderPaid", "OrderCancellationRequested", "OrderCancelled", "OrderFailed"],
} as const;

/** What the orders' events ask of fulfilment. */
export function commandsFrom(events: readonly BusEvent[]): FulfillmentCommand[] {
  return events.flatMap((event): FulfillmentCommand[] => {
    const heard = event as unknown as OrderEvent;
    const origin = {
      cause: event.id,
      ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
    };
    switch (heard.type) {
      case "OrderPaid": {
        const { order_id, reservation_id, lines } = heard.data;
        return [{ type: "OpenShipment", order_id, reservation_id, lines, ...origin }];
      }
      case "OrderCancellationRequested":
      case "OrderCancelled":
      case "OrderFailed": {
        const { order_id, reservation_id, reason } = heard.data;
        const order_ended = heard.type !== "OrderCancellationRequested";
        return [{ type: "CancelShipment", order_id, reservation_id, reason, order_ended, ...origin }];
      }
      default:
        return [];
    }
  });
}
