import { unreachable } from "../../../kernel/decision.ts";
import { placeOf } from "../../../kernel/place.ts";
import type { BusEvent } from "../../../platform/bus/port.ts";
import type { CartEvent } from "../../carts/contract.ts";
import type { ProductEvent } from "../../catalog/contract.ts";
import type { FulfillmentEvent } from "../../fulfillment/contract.ts";
import type { OrderEvent } from "../../orders/contract.ts";
import type { PaymentEvent } from "../../payments/contract.ts";
import type { InventoryCommand, Line } from "../contract/index.ts";
import { inboundTopic, movementOf } from "./inbound.ts";

/** What the stock follows. */
export const topics = {
  catalog: ["ProductCreated", "ProductUpdated"],
  orders: ["OrderCreated", "OrderCancelled", "OrderFailed"],
  payments: ["PaymentSucceeded", "PaymentDelayed"],
  fulfillment: ["OrderPartlyShipped", "OrderFulfilled"],
  carts: ["CartHoldRequested", "CartHoldReleased"],
} as const satisfies Record<string, readonly AnyEvent["type"][]>;

type AnyEvent = ProductEvent | OrderEvent | PaymentEvent | FulfillmentEvent | CartEvent;
type FollowedType = (typeof topics)[keyof typeof topics][number];
type FollowedEvent = Extract<AnyEvent, { type: FollowedType }>;

/** What the events of the others ask of the stock, in their order. */
export function commandsFrom(events: readonly BusEvent[]): InventoryCommand[] {
  return events.map((event) => {
    // A message from outside that is tried again.
    if (event.topic === inboundTopic) return movementOf(event);
    const { id, type, data, traceparent } = event;
    return {
      ...commandFrom({ type, data } as FollowedEvent, id),
      cause: id,
      ...(traceparent === undefined ? {} : { traceparent }),
    };
  });
}

function commandFrom(event: FollowedEvent, id: string): InventoryCommand {
  switch (event.type) {
    case "ProductCreated":
    case "ProductUpdated": {
      const { product_id, skus } = event.data;
      const [position, index] = placeOf(id)!;
      return { type: "SyncProduct", product_id, skus: skus.map(({ sku }) => sku), position, index };
    }
    case "OrderCreated": {
      const { reservation_id, order_id, lines } = event.data;
      return {
        type: "ReserveStock",
        reservation_id,
        order_id,
        lines: lines.map(withoutPrice),
        remember_refusal: true,
      };
    }
    case "OrderCancelled":
    case "OrderFailed": {
      const { reservation_id, order_id, reason } = event.data;
      return { type: "ReleaseReservation", reservation_id, order_id, reason, restock: true };
    }
    case "PaymentSucceeded": {
      const { reservation_id, order_id } = event.data;
      return { type: "SecureReservation", reservation_id, order_id };
    }
    case "PaymentDelayed":
      return {
        type: "ExtendReservation",
        reservation_id: event.data.reservation_id,
        key: id,
        retake: true,
      };
    case "OrderPartlyShipped": {
      const { reservation_id, order_id, lines, part } = event.data;
      return { type: "CommitReservation", reservation_id, order_id, lines, key: `part-${part}` };
    }
    case "OrderFulfilled":
      return { type: "CommitReservation", reservation_id: event.data.reservation_id, settle: true };
    case "CartHoldRequested": {
      const { reservation_id, lines, ttl_seconds, key } = event.data;
      return { type: "ReserveStock", reservation_id, lines, ttl_seconds, key };
    }
    case "CartHoldReleased": {
      const { reservation_id, reason } = event.data;
      return { type: "ReleaseReservation", reservation_id, reason, unless_adopted: true };
    }
    default:
      return unreachable(event);
  }
}

function withoutPrice({ store_id, sku, quantity }: Line): Line {
  return { store_id, sku, quantity };
}
