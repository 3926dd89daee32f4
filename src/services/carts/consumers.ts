import type { BusEvent } from "../../platform/bus/port.ts";
import type { InventoryEvent } from "../inventory/contract/index.ts";
import type { OrderEvent } from "../orders/contract.ts";
import { type CartCommand, holdsOfCarts } from "./contract.ts";

export const heardTopics = {
  inventory: [
    "InventoryReserved",
    "InventoryReservationFailed",
    "InventoryRetaken",
    "InventoryReleased",
    "InventoryExtended",
  ],
  orders: ["OrderCreated", "OrderCompleted", "OrderCancelled", "OrderFailed"],
} as const;

export function reservationIdFrom(unique: string): string {
  return holdsOfCarts + unique;
}

/** Of the stock's events, those about reservations of carts. */
export function isOfCart({ topic, data }: BusEvent): boolean {
  return (
    topic !== "inventory" ||
    String((data as { reservation_id?: string }).reservation_id).startsWith(holdsOfCarts)
  );
}

/** What the stock's and the orders' events mean to carts. `newId` names what may have to be asked for again. */
export function commandsFrom(events: readonly BusEvent[], newId: () => string): CartCommand[] {
  return events.flatMap((event) => {
    const { id: cause, traceparent } = event;
    const origin = { cause, ...(traceparent === undefined ? {} : { traceparent }) };
    const command =
      event.topic === "orders"
        ? commandFromOrders(event as unknown as OrderEvent)
        : commandFromStock(event as unknown as InventoryEvent, new Date(event.at), newId);
    return command === undefined ? [] : [{ ...command, ...origin }];
  });
}

function commandFromStock(event: InventoryEvent, at: Date, newId: () => string): CartCommand | undefined {
  if (!("reservation_id" in event.data) || !event.data.reservation_id.startsWith(holdsOfCarts))
    return undefined;
  const { reservation_id } = event.data;
  switch (event.type) {
    case "InventoryReserved": {
      const { key, expires_at } = event.data;
      if (key === null || expires_at === null) return undefined;
      return { type: "HearHeld", reservation_id, at, key, expires_at: new Date(expires_at) };
    }
    case "InventoryReservationFailed": {
      const { key, refusal } = event.data;
      if (key === null) return undefined;
      const new_reservation_id = reservationIdFrom(newId());
      return { type: "HearRefused", reservation_id, at, key, refusal, new_reservation_id };
    }
    case "InventoryRetaken":
    case "InventoryExtended":
      return { type: "HearHeldUntil", reservation_id, at, expires_at: new Date(event.data.expires_at) };
    case "InventoryReleased": {
      const { now } = event.data;
      return now === null ? undefined : { type: "HearReleased", reservation_id, at, now };
    }
    default:
      return undefined;
  }
}

function commandFromOrders(event: OrderEvent): CartCommand | undefined {
  const { order_id } = event.data;
  switch (event.type) {
    case "OrderCreated": {
      const { cart_id, lines, total_minor, currency } = event.data;
      if (cart_id === null) return undefined;
      return { type: "HearOrderCreated", cart_id, order_id, priced: { lines, total_minor, currency } };
    }
    case "OrderCompleted":
      return { type: "HearOrderEnded", order_id, status: "completed" };
    case "OrderCancelled":
      return { type: "HearOrderEnded", order_id, status: "cancelled" };
    case "OrderFailed":
      return { type: "HearOrderEnded", order_id, status: event.data.status };
    default:
      return undefined;
  }
}
