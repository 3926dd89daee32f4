import { placeOf } from "../../kernel/place.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import type { CartEvent } from "../carts/contract.ts";
import type { ProductEvent } from "../catalog/contract.ts";
import type { FulfillmentEvent } from "../fulfillment/contract.ts";
import type { Line } from "../inventory/contract/index.ts";
import type { PaymentEvent } from "../payments/contract.ts";
import type { Fact, HeardEvent, OrderCommand, Why } from "./contract.ts";

/** What is listened to. Some of it changes nothing here, and is only kept for the timeline. */
export const topics = {
  catalog: ["ProductCreated", "ProductUpdated"],
  carts: ["CartCheckedOut"],
  inventory: [
    "InventoryReserved",
    "InventoryRetaken",
    "InventoryReservationFailed",
    "InventoryConfirmed",
    "InventoryConfirmationFailed",
    "InventoryExtended",
    "InventoryReleased",
    "InventoryCommitted",
  ],
  payments: ["PaymentSucceeded", "PaymentFailed", "PaymentDelayed", "PaymentRefunded"],
  fulfillment: [
    "ShipmentOpened",
    "OrderPartlyShipped",
    "OrderFulfilled",
    "ShipmentCancelled",
    "ShipmentCancellationRefused",
    "FulfillmentFailed",
  ],
} satisfies Readonly<Record<string, readonly string[]>>;

/**
 * They change nothing about an order, and so do not cost it a new version of its row. That it was paid for, inventory
 * says too, when it has secured the stock.
 */
const asides = new Set(["PaymentSucceeded", "ShipmentOpened"]);

/** Holds that belong to no order are none of our business, and there may be thousands of them a second. */
export function isOfOrder({ topic, data }: BusEvent): boolean {
  return topic !== "inventory" || (data as { order_id?: string | null }).order_id != null;
}

/** What other services' events ask of the orders. */
export function commandsFrom(events: readonly BusEvent[]): OrderCommand[] {
  return events.flatMap((event) => {
    const command = commandFrom(event);
    if (command === undefined) return [];
    const { traceparent } = event;
    return [traceparent === undefined ? command : { ...command, traceparent }];
  });
}

function commandFrom(event: BusEvent): OrderCommand | undefined {
  switch (event.type) {
    case "ProductCreated":
    case "ProductUpdated":
      return syncPrices(event);
    case "CartCheckedOut":
      return createFromCart(event);
    default: {
      const { order_id } = event.data as { order_id?: string | null };
      if (order_id == null) return undefined; // a cart's hold, or one that somebody took by hand
      const heard = kept(event, event.data);
      if (asides.has(event.type)) return { type: "TellOfOrder", order_id, heard };
      return { type: "HearOfOrder", order_id, fact: factOf(event), heard };
    }
  }
}

function syncPrices(event: BusEvent): OrderCommand {
  const { product_id, skus } = event.data as ProductEvent["data"];
  const [position, index] = placeOf(event.id)!;
  return { type: "SyncPrices", product_id, skus, position, index };
}

type CheckedOut = Extract<CartEvent, { type: "CartCheckedOut" }>["data"];

function createFromCart(event: BusEvent): OrderCommand {
  const { payment, ...data } = event.data as CheckedOut;
  const { order_id, cart_id, customer_id, lines } = data;
  return {
    type: "CreateOrderFromCart",
    order_id,
    cart_id,
    reservation_id: data.reservation_id ?? order_id,
    customer_id,
    lines,
    token: payment.token,
    heard: kept(event, data),
  };
}

function kept({ id, topic, type, at, cause }: BusEvent, data: object): HeardEvent {
  return { id, topic, type, at, data, ...(cause === undefined ? {} : { cause }) };
}

/** Inventory's events as they travel: a moment is text there. */
interface StockData {
  readonly reservation_id: string;
  readonly expires_at: string | null;
  readonly refusal: Why;
  readonly complete: boolean;
  readonly now: "released" | "expired" | null;
  readonly reason: string;
}

type PaymentData<Type> = Extract<PaymentEvent, { type: Type }>["data"];
type ShipmentData<Type> = Extract<FulfillmentEvent, { type: Type }>["data"];

/** What the event means to the order that it is about; null when it only belongs into its story. */
export function factOf({ type, data }: Pick<HeardEvent, "type" | "data">): Fact | null {
  switch (type) {
    case "PaymentRefunded":
      return { type };
    case "PaymentFailed": {
      const { code, detail } = data as PaymentData<typeof type>;
      return { type, code, detail };
    }
    case "PaymentDelayed":
      return { type, retry_at: new Date((data as PaymentData<typeof type>).retry_at) };
    case "OrderPartlyShipped": {
      const { part, lines } = data as ShipmentData<typeof type>;
      return { type: "PartShipped", part, lines: lines.map(plain) };
    }
    case "OrderFulfilled":
      return { type: "AllShipped" };
    case "ShipmentCancelled":
      return { type, reason: (data as ShipmentData<typeof type>).reason };
    case "ShipmentCancellationRefused":
      return { type: "CancellationRefused" };
    case "FulfillmentFailed":
      return { type: "ShipmentFailed", detail: (data as ShipmentData<typeof type>).detail };
    default:
      return stockFactOf(type, data as StockData);
  }
}

function stockFactOf(type: string, data: StockData): Fact | null {
  const { reservation_id, expires_at, refusal } = data;
  switch (type) {
    case "InventoryReserved":
    case "InventoryRetaken":
      if (expires_at === null) return null; // secured already, and its amendment with it
      return { type: "StockHeld", reservation_id, expires_at: new Date(expires_at) };
    case "InventoryExtended":
      return { type: "StockExtended", reservation_id, expires_at: new Date(expires_at!) };
    case "InventoryReservationFailed":
      return { type: "StockRefused", reservation_id, refusal };
    case "InventoryConfirmed":
      return { type: "StockSecured", reservation_id };
    case "InventoryConfirmationFailed":
      return { type: "StockLost", reservation_id, refusal };
    case "InventoryCommitted":
      return data.complete ? { type: "StockCommitted", reservation_id } : null;
    case "InventoryReleased":
      if (data.now === null) return null; // an amendment has made it smaller
      if (data.now === "expired") return { type: "StockExpired", reservation_id };
      return { type: "StockReleased", reservation_id, reason: data.reason };
    default:
      return null;
  }
}

function plain({ store_id, sku, quantity }: Line): Line {
  return { store_id, sku, quantity };
}
