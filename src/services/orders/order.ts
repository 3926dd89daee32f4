import { unreachable } from "../../kernel/decision.ts";
import type { Fact, Order, OrderEvent, OrderSettings, OrderStatus } from "./contract.ts";

const ends: ReadonlySet<OrderStatus> = new Set([
  "completed",
  "rejected",
  "payment_failed",
  "cancelled",
  "expired",
]);

export function hasEnded({ status }: Order): boolean {
  return ends.has(status);
}

export function isOverdue({ deadline }: Order, now: Date): boolean {
  return deadline !== null && deadline <= now;
}

/** From a hold's last moment until inventory has said so, and from then until payments has decided what comes of it. */
const expiryGraceSeconds = 60;
const decisionGraceSeconds = 600;
/** After which fulfilment is asked once more whether a paid order can be cancelled. */
const askAgainSeconds = 3_600;

/** What an event of our own does to the order. */
export function evolve(
  before: Order | undefined,
  event: OrderEvent,
  at: Date,
  settings: OrderSettings,
): Order {
  if (event.type === "OrderCreated") return created(event.data, at, settings);
  const order = { ...before!, updated_at: at };
  switch (event.type) {
    case "OrderPaid":
      return { ...order, status: "paid", deadline: later(at, settings.shipping_seconds) };
    case "OrderCancellationRequested":
      return {
        ...order,
        cancellation_requested: event.data.reason,
        deadline: later(at, Math.min(askAgainSeconds, settings.shipping_seconds)),
      };
    case "OrderCancelled":
      return ended(order, "cancelled", at, event.data);
    case "OrderFailed":
      return ended(order, event.data.status, at, event.data);
    case "OrderCompleted":
      return ended(order, "completed", at, { reason: null, detail: null });
    default:
      return unreachable(event);
  }
}

function created(
  data: Extract<OrderEvent, { type: "OrderCreated" }>["data"],
  at: Date,
  settings: OrderSettings,
): Order {
  return {
    id: data.order_id,
    status: "pending",
    request_id: null,
    fingerprint: null,
    customer_id: data.customer_id,
    lines: data.lines,
    total_minor: data.total_minor,
    currency: data.currency,
    token: data.payment.token,
    reservation_id: data.reservation_id,
    cart_id: data.cart_id,
    reason: null,
    detail: null,
    payment: "none",
    shipped: false,
    committed: false,
    shipped_parts: [],
    cancellation_requested: null,
    hold_expires_at: null,
    hold_expired: false,
    deadline: later(at, settings.pending_seconds),
    created_at: at,
    updated_at: at,
    ended_at: null,
    heard_to: {},
  };
}

function ended(
  order: Order,
  status: OrderStatus,
  at: Date,
  { reason, detail }: { reason: string | null; detail: string | null },
): Order {
  return { ...order, status, reason, detail, ended_at: at, deadline: null, cancellation_requested: null };
}

/**
 * What the order takes down of an event of another service, without anybody being told. That its stock is held is taken
 * down too: whoever needs to know that has heard it from inventory.
 */
export function note(before: Order, fact: Fact, at: Date, settings: OrderSettings): Order {
  if ("reservation_id" in fact && fact.reservation_id !== before.reservation_id) return before;
  const order = { ...before, updated_at: at };
  switch (fact.type) {
    case "StockHeld":
      return held(order, fact.expires_at);
    case "StockExtended":
      return order.status === "reserved" ? held(order, fact.expires_at) : order;
    case "StockExpired":
      if (order.status !== "reserved") return order;
      return { ...order, hold_expired: true, deadline: notBefore(order, later(at, decisionGraceSeconds)) };
    case "StockCommitted":
      return { ...charged(order), committed: true };
    case "PaymentDelayed": {
      if (order.payment !== "none" && order.payment !== "delayed") return order;
      return { ...order, payment: "delayed", deadline: whileDelayed(order, fact.retry_at, settings) };
    }
    case "PaymentFailed":
      return order.payment === "none" || order.payment === "delayed"
        ? { ...order, payment: "failed" }
        : order;
    case "PaymentRefunded":
      return { ...order, payment: "refunded" };
    case "PartShipped": {
      const { part, lines } = fact;
      const others = order.shipped_parts.filter((shipped) => shipped.part !== part);
      return order.shipped ? order : { ...order, shipped_parts: [...others, { part, lines }] };
    }
    case "AllShipped":
      return { ...order, shipped: true, shipped_parts: [], cancellation_requested: null };
    case "CancellationRefused":
      if (hasEnded(order)) return order;
      return {
        ...order,
        cancellation_requested: null,
        deadline: notBefore(order, later(at, settings.shipping_seconds)),
      };
    case "StockSecured":
    case "StockLost":
      return charged(order);
    case "StockRefused":
    case "StockReleased":
    case "ShipmentCancelled":
    case "ShipmentFailed":
      return order;
    default:
      return unreachable(fact);
  }
}

/** Stock is secured, or turns out to be gone, only once the payment has succeeded. */
function charged(order: Order): Order {
  const { payment } = order;
  return payment === "none" || payment === "delayed" ? { ...order, payment: "succeeded" } : order;
}

function held(order: Order, expires_at: Date): Order {
  if (order.status !== "pending" && order.status !== "reserved") return order;
  const endOfPatience = later(expires_at, expiryGraceSeconds + decisionGraceSeconds);
  return {
    ...order,
    status: "reserved",
    hold_expires_at: expires_at,
    hold_expired: false,
    // Until it was held the deadline was one for the stock.
    deadline: order.status === "pending" ? endOfPatience : notBefore(order, endOfPatience),
  };
}

function whileDelayed(order: Order, retry_at: Date, { hold_ttl_seconds }: OrderSettings): Date | null {
  if (order.status !== "reserved") return order.deadline;
  return notBefore(order, later(retry_at, hold_ttl_seconds + expiryGraceSeconds + decisionGraceSeconds));
}

function notBefore({ deadline }: Order, moment: Date): Date {
  return deadline !== null && deadline > moment ? deadline : moment;
}

function later(moment: Date, seconds: number): Date {
  return new Date(moment.getTime() + seconds * 1_000);
}
