import { type Static, Type } from "typebox";
import type { FieldError, ProblemTable } from "../../platform/http/problem.ts";
import { ClientId, type Line, Lines, Reason } from "../inventory/contract/index.ts";

// ---- what is kept --------------------------------------------------------------------------------------------------

/**
 * `pending`: waits for stock · `reserved`: stock is held, waits for the payment · `paid`: paid and secured, is being
 * shipped · the others are ends.
 */
export const orderStatuses = [
  "pending",
  "reserved",
  "paid",
  "completed",
  "rejected",
  "payment_failed",
  "cancelled",
  "expired",
] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export interface OrderLine extends Line {
  /** The price of one, from the catalogue at order time. */
  readonly price_minor: number;
}

export type PaymentState = "none" | "delayed" | "succeeded" | "failed" | "refunded";

/** A part of the order that has left. */
export interface ShippedPart {
  readonly part: number;
  readonly lines: readonly Line[];
}

/** The last event of each topic that an order has heard of: the place of its batch, and its index there. */
export type HeardTo = Readonly<Record<string, readonly [position: number, index: number]>>;

export interface Order {
  readonly id: string;
  readonly status: OrderStatus;
  /** The Idempotency-Key that it was created with; null when it comes from a cart. */
  readonly request_id: string | null;
  /** Of what was sent with that key. */
  readonly fingerprint: string | null;
  readonly customer_id: string;
  readonly lines: readonly OrderLine[];
  readonly total_minor: number;
  readonly currency: string;
  readonly token: string;
  readonly reservation_id: string;
  readonly cart_id: string | null;
  /** Why it ended other than completed: for programs, and in words. */
  readonly reason: string | null;
  readonly detail: string | null;
  readonly payment: PaymentState;
  readonly shipped: boolean;
  readonly committed: boolean;
  /** While parts have left; once all of it has, `shipped` says so. */
  readonly shipped_parts: readonly ShippedPart[];
  /** Why it shall be cancelled, while fulfilment has not answered. */
  readonly cancellation_requested: string | null;
  readonly hold_expires_at: Date | null;
  readonly hold_expired: boolean;
  readonly deadline: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly ended_at: Date | null;
  readonly heard_to: HeardTo;
}

export interface Price {
  readonly sku: string;
  readonly price_minor: number;
  readonly currency: string;
  readonly product_id: string;
  readonly listed: boolean;
  /** Where the catalogue said so: what it said before does not count any more. */
  readonly position: number;
  readonly index: number;
}

export interface OrderSettings {
  /** How long an order may wait for its stock. */
  readonly pending_seconds: number;
  readonly hold_ttl_seconds: number;
  /** How long a paid order may take until it is shipped and done. */
  readonly shipping_seconds: number;
}

// ---- what other services told ---------------------------------------------------------------------------------------

/** What an event of another service means to an order. */
export type Fact =
  | { readonly type: "StockHeld"; readonly reservation_id: string; readonly expires_at: Date }
  | { readonly type: "StockExtended"; readonly reservation_id: string; readonly expires_at: Date }
  | { readonly type: "StockRefused"; readonly reservation_id: string; readonly refusal: Why }
  | { readonly type: "StockSecured"; readonly reservation_id: string }
  | { readonly type: "StockCommitted"; readonly reservation_id: string }
  | { readonly type: "StockLost"; readonly reservation_id: string; readonly refusal: Why }
  | { readonly type: "StockExpired"; readonly reservation_id: string }
  | { readonly type: "StockReleased"; readonly reservation_id: string; readonly reason: string }
  | { readonly type: "PaymentFailed"; readonly code: string; readonly detail: string }
  | { readonly type: "PaymentDelayed"; readonly retry_at: Date }
  | { readonly type: "PaymentRefunded" }
  | ({ readonly type: "PartShipped" } & ShippedPart)
  | { readonly type: "AllShipped" }
  | { readonly type: "ShipmentCancelled"; readonly reason: string }
  | { readonly type: "CancellationRefused" }
  | { readonly type: "ShipmentFailed"; readonly detail: string };

export interface Why {
  readonly code: string;
  readonly detail: string;
}

/** An event about an order as it is kept for the timeline. */
export interface HeardEvent {
  readonly id: string;
  readonly topic: string;
  readonly type: string;
  readonly at: Date;
  readonly data: object;
  readonly cause?: string;
}

// ---- commands ------------------------------------------------------------------------------------------------------

export interface CreateOrder {
  readonly type: "CreateOrder";
  readonly order_id: string;
  readonly request_id: string;
  readonly fingerprint: string;
  readonly customer_id: string;
  readonly lines: readonly Line[];
  readonly token: string;
}

export interface CreateOrderFromCart {
  readonly type: "CreateOrderFromCart";
  readonly order_id: string;
  readonly cart_id: string;
  readonly reservation_id: string;
  readonly customer_id: string;
  readonly lines: readonly Line[];
  readonly token: string;
  readonly heard: HeardEvent;
}

export interface CancelOrder {
  readonly type: "CancelOrder";
  readonly order_id: string;
  readonly reason: string;
}

/** `fact` is null when the event only belongs into the order's story. */
export interface HearOfOrder {
  readonly type: "HearOfOrder";
  readonly order_id: string;
  readonly fact: Fact | null;
  readonly heard: HeardEvent;
}

/** An event that only belongs into the order's story. */
export interface TellOfOrder {
  readonly type: "TellOfOrder";
  readonly order_id: string;
  readonly heard: HeardEvent;
}

/** What the catalogue says that a product consists of now. */
export interface SyncPrices {
  readonly type: "SyncPrices";
  readonly product_id: string;
  readonly skus: readonly { readonly sku: string; readonly price_minor: number; readonly currency: string }[];
  readonly position: number;
  readonly index: number;
}

/** Does what is due with orders whose deadline is over, up to `limit` of them. */
export interface SweepOrders {
  readonly type: "SweepOrders";
  readonly limit: number;
}

export type OrderCommand = (
  | CreateOrder
  | CreateOrderFromCart
  | CancelOrder
  | HearOfOrder
  | TellOfOrder
  | SyncPrices
  | SweepOrders
) & { readonly traceparent?: string };

export type OrderReply =
  | {
      readonly accepted: true;
      readonly created: boolean;
      /** What the command was about, as it stands afterwards: one order, or those that a sweep has found. */
      readonly orders: readonly Order[];
      readonly events: readonly OrderEvent[];
    }
  | { readonly accepted: false; readonly refusal: OrderRefusal };

// ---- events --------------------------------------------------------------------------------------------------------

interface OfOrder {
  readonly order_id: string;
  readonly reservation_id: string;
}

export type OrderEvent =
  | {
      type: "OrderCreated";
      data: OfOrder & {
        readonly customer_id: string;
        readonly lines: readonly OrderLine[];
        readonly total_minor: number;
        readonly currency: string;
        readonly payment: { readonly token: string };
        readonly cart_id: string | null;
      };
    }
  /** Paid, and the stock is secured for good: fulfilment may ship. */
  | { type: "OrderPaid"; data: OfOrder & { readonly customer_id: string; readonly lines: readonly Line[] } }
  /** A paid order shall be cancelled: whether it still can be is for fulfilment to say. */
  | { type: "OrderCancellationRequested"; data: OfOrder & { readonly reason: string } }
  | { type: "OrderCancelled"; data: OfOrder & { readonly reason: string; readonly detail: string } }
  | {
      type: "OrderFailed";
      data: OfOrder & {
        readonly status: "rejected" | "payment_failed" | "expired";
        readonly reason: string;
        readonly detail: string;
      };
    }
  | {
      type: "OrderCompleted";
      data: OfOrder & {
        readonly customer_id: string;
        readonly total_minor: number;
        readonly currency: string;
      };
    };

// ---- refusals ------------------------------------------------------------------------------------------------------

export interface OrderRefusal {
  readonly code: OrderRefusalCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}

export const orderProblems = {
  "orders.idempotency_key_missing": { status: 400, title: "An order needs an Idempotency-Key" },
  "orders.not_found": { status: 404, title: "There is no order with this id" },
  "orders.already_shipped": { status: 409, title: "It is too late to cancel: the order has been shipped" },
  "orders.ended": { status: 409, title: "The order has ended" },
  "orders.idempotency_key_reused": { status: 422, title: "This Idempotency-Key was used for another order" },
  "orders.unknown_sku": { status: 422, title: "The catalogue does not offer this SKU" },
  "orders.mixed_currencies": { status: 422, title: "The lines have prices in different currencies" },
  "orders.quantity_too_large": { status: 422, title: "The quantity is larger than can be kept" },
  "orders.total_too_large": { status: 422, title: "The total is larger than can be kept" },
} as const satisfies ProblemTable;

export type OrderRefusalCode = keyof typeof orderProblems;

// ---- wire schemas --------------------------------------------------------------------------------------------------

/** How an order is paid, whether it is placed as such or comes from a cart. */
export const Payment = Type.Object({
  token: Type.String({
    minLength: 1,
    maxLength: 255,
    pattern: "^[!-~]+$",
    description: "What the payment gateway knows the customer's means of payment by.",
  }),
});
export const CreateOrderBody = Type.Object({ customer_id: ClientId, lines: Lines, payment: Payment });
export type CreateOrderInput = Static<typeof CreateOrderBody>;

export const CancelOrderBody = Type.Object({ reason: Type.Optional(Reason) });

const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));
const NullableText = Type.Union([Type.String(), Type.Null()]);
const lineOf = { store_id: Type.String(), sku: Type.String(), quantity: Type.Integer() };

export const OrderStatusSchema = Type.Enum([...orderStatuses]);

export const OrderView = Type.Object(
  {
    id: Type.String(),
    status: OrderStatusSchema,
    customer_id: Type.String(),
    lines: Type.Immutable(Type.Array(Type.Object({ ...lineOf, price_minor: Type.Integer() }))),
    total_minor: Type.Integer(),
    currency: Type.String(),
    reason: NullableText,
    detail: NullableText,
    reservation_id: Type.String(),
    cart_id: NullableText,
    payment: Type.Object({ status: Type.Enum(["none", "delayed", "succeeded", "failed", "refunded"]) }),
    shipped_lines: Type.Immutable(Type.Array(Type.Object(lineOf), { description: "What has left so far." })),
    cancellation_requested: NullableText,
    deadline: Type.Union([Timestamp, Type.Null()], {
      description:
        "When something is done about it, if nothing has happened until then; null when it has ended.",
    }),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: "Order" },
);
export type OrderShown = Static<typeof OrderView>;

export const TimelineView = Type.Object(
  {
    order_id: Type.String(),
    status: OrderStatusSchema,
    outcome: Type.String({ description: "How the order stands, and why, in one sentence." }),
    items: Type.Array(
      Type.Object({
        id: Type.String(),
        at: Timestamp,
        service: Type.String(),
        type: Type.String(),
        summary: Type.String({ description: "What happened, in one sentence." }),
        since_previous_ms: Type.Integer(),
        since_start_ms: Type.Integer(),
        data: Type.Unknown(),
        cause: Type.Union([Type.String(), Type.Null()], { description: "The event that led to it." }),
      }),
    ),
  },
  { $id: "Timeline" },
);
export type Timeline = Static<typeof TimelineView>;
