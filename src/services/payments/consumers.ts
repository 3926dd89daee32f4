import type { BusEvent } from "../../platform/bus/port.ts";
import { holdsOfCarts } from "../carts/contract.ts";
import type { OrderEvent } from "../orders/contract.ts";
import type { PaymentCommand } from "./contract.ts";

/** What payments listen to. */
export const topics = {
  orders: ["OrderCreated", "OrderCancelled", "OrderFailed"],
  inventory: ["InventoryReserved", "InventoryRetaken", "InventoryReleased"],
} as const;

/**
 * Holds that belong to no order are none of our business, and there may be thousands of them a second. A client may name
 * an order for a hold of its own: an order of ours has a hold of its own name, or that of its cart.
 */
export function isOfOrder({ topic, data }: BusEvent): boolean {
  if (topic !== "inventory") return true;
  const { order_id, reservation_id } = data as HoldEvent["data"];
  return order_id !== null && (reservation_id === order_id || reservation_id.startsWith(holdsOfCarts));
}

/** What the events of orders and their stock ask of their payments. */
export function commandsFrom(events: readonly BusEvent[]): PaymentCommand[] {
  return events.flatMap((event) => {
    const command = commandFrom(event);
    if (command === undefined) return [];
    const { traceparent, id: cause } = event;
    return [{ ...command, cause, ...(traceparent === undefined ? {} : { traceparent }) }];
  });
}

function commandFrom(event: BusEvent): PaymentCommand | undefined {
  if (event.topic === "orders") return commandFromOrder(event as unknown as Read<OrderEvent>);
  if (event.topic === "inventory") return commandFromStock(event as unknown as Read<HoldEvent>);
  return undefined;
}

type Read<Event> = Event & { readonly at: Date };

function commandFromOrder(event: Read<OrderEvent>): PaymentCommand | undefined {
  switch (event.type) {
    case "OrderCreated": {
      const { order_id, reservation_id, total_minor, currency, payment } = event.data;
      return {
        type: "RequestPayment",
        payment_id: order_id,
        reservation_id,
        amount_minor: total_minor,
        currency,
        token: payment.token,
      };
    }
    case "OrderCancelled":
    case "OrderFailed": {
      const { order_id, reservation_id, detail } = event.data;
      return {
        type: "UndoPayment",
        payment_id: order_id,
        reservation_id,
        code: "order_ended",
        detail,
        at: event.at,
      };
    }
    default:
      return undefined;
  }
}

/** As far as a payment needs to know them. */
interface HoldEvent {
  readonly type: string;
  readonly data: {
    readonly order_id: string | null;
    readonly reservation_id: string;
    readonly now?: "released" | "expired" | null;
  };
}

function commandFromStock({ type, data, at }: Read<HoldEvent>): PaymentCommand | undefined {
  const { order_id: payment_id, reservation_id } = data;
  if (payment_id === null) return undefined;
  if (type === "InventoryReserved" || type === "InventoryRetaken") {
    return { type: "AllowCharge", payment_id, reservation_id, at };
  }
  if (type !== "InventoryReleased" || data.now !== "expired") return undefined;
  const detail = "The hold expired before the payment was settled.";
  return { type: "UndoPayment", payment_id, reservation_id, code: "hold_expired", detail, at };
}
