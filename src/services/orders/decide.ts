import { accept, type Decision, refuse, unreachable } from "../../kernel/decision.ts";
import type {
  CancelOrder,
  CreateOrder,
  CreateOrderFromCart,
  Fact,
  Order,
  OrderEvent,
  OrderRefusal,
  Price,
} from "./contract.ts";
import { hasEnded } from "./order.ts";
import { type Priced, price, unpriced } from "./pricing.ts";

type OrderDecision = Decision<OrderEvent, OrderRefusal>;
type Prices = ReadonlyMap<string, Price>;

/** `known` is the order that was created with the same key, if there is one. */
export function create(known: Order | undefined, command: CreateOrder, prices: Prices): OrderDecision {
  if (known !== undefined) {
    return known.fingerprint === command.fingerprint ? accept() : refuse(keyReused(command.request_id));
  }
  const pricing = price(command.lines, prices);
  if (!pricing.accepted) return pricing;
  const reservation_id = command.order_id;
  return accept(createdAs({ ...command, reservation_id, cart_id: null }, pricing.priced));
}

/** Nobody is there to be refused: what cannot be priced becomes an order all the same, and is rejected at once. */
export function createFromCart(
  known: Order | undefined,
  command: CreateOrderFromCart,
  prices: Prices,
): OrderDecision {
  if (known !== undefined) return accept();
  const pricing = price(command.lines, prices);
  if (pricing.accepted) return accept(createdAs(command, pricing.priced));
  const { order_id, reservation_id } = command;
  const { code: reason, detail } = pricing.refusal;
  return accept(createdAs(command, unpriced(command.lines)), {
    type: "OrderFailed",
    data: { order_id, reservation_id, status: "rejected", reason, detail },
  });
}

type Wanted = Pick<CreateOrderFromCart, "order_id" | "reservation_id" | "customer_id" | "token"> & {
  readonly cart_id: string | null;
};

function createdAs(wanted: Wanted, { lines, total_minor, currency }: Priced): OrderEvent {
  const { order_id, reservation_id, customer_id, token, cart_id } = wanted;
  return {
    type: "OrderCreated",
    data: {
      order_id,
      reservation_id,
      customer_id,
      lines,
      total_minor,
      currency,
      payment: { token },
      cart_id,
    },
  };
}

export function cancel(order: Order | undefined, { order_id, reason }: CancelOrder): OrderDecision {
  if (order === undefined) return refuse(notFound(order_id));
  switch (order.status) {
    case "pending":
    case "reserved":
      return accept(cancelled(order, reason, "Cancelled on request."));
    case "paid":
      if (order.shipped || order.shipped_parts.length > 0) return refuse(alreadyShipped(order));
      return order.cancellation_requested === null ? accept(requestCancellation(order, reason)) : accept();
    case "cancelled":
      return accept();
    case "completed":
      return refuse(alreadyShipped(order));
    case "rejected":
    case "payment_failed":
    case "expired":
      return refuse({ code: "orders.ended", detail: `The order ${order.id} is ${order.status} already.` });
    default:
      return unreachable(order.status);
  }
}

/** What follows from what another service told; `order` has taken it down already. */
export function follow(order: Order, fact: Fact): OrderEvent[] {
  if (hasEnded(order)) return [];
  if ("reservation_id" in fact && fact.reservation_id !== order.reservation_id) return [];
  const isUnpaid = order.status !== "paid";
  switch (fact.type) {
    case "StockRefused":
      // Only the answer to OrderCreated: a hold that is there stays there when a change of it is refused.
      return order.status === "pending" ? [failed(order, "rejected", fact.refusal)] : [];
    case "StockSecured":
    case "StockCommitted":
      return [...(isUnpaid ? [paid(order)] : []), ...completion(order)];
    case "AllShipped":
      return isUnpaid ? [] : completion(order);
    case "StockLost":
      return isUnpaid ? [failed(order, "expired", fact.refusal)] : [];
    case "StockReleased":
      return released(order, fact.reason);
    case "PaymentFailed":
      if (!isUnpaid || order.payment !== "failed") return [];
      return [failed(order, fact.code === "hold_expired" ? "expired" : "payment_failed", fact)];
    case "ShipmentCancelled":
      if (isUnpaid || order.shipped) return [];
      return [
        cancelled(order, order.cancellation_requested ?? fact.reason, "Cancelled before it was shipped."),
      ];
    case "ShipmentFailed":
      return isUnpaid || order.shipped ? [] : [cancelled(order, "fulfillment_failed", fact.detail)];
    case "StockHeld":
    case "StockExtended":
    case "StockExpired":
    case "PaymentDelayed":
    case "PaymentRefunded":
    case "PartShipped":
    case "CancellationRefused":
      return [];
    default:
      return unreachable(fact);
  }
}

/** What is done about an order whose deadline is over. */
export function giveUp(order: Order): OrderEvent[] {
  switch (order.status) {
    case "pending": {
      const detail = "Inventory has not answered in time whether there is stock.";
      return [failed(order, "expired", { code: "deadline", detail })];
    }
    case "reserved": {
      const detail = "The payment was not decided while the stock was held.";
      return [failed(order, "expired", { code: "deadline", detail })];
    }
    case "paid":
      return [requestCancellation(order, order.cancellation_requested ?? "not shipped in time")];
    default:
      return [];
  }
}

/** Taken away by somebody else: a forced count, or a release by hand. */
function released(order: Order, reason: string): OrderEvent[] {
  switch (order.status) {
    case "reserved":
      return [cancelled(order, reason, "The stock that was held for it was released.")];
    case "paid":
      return order.shipped || order.cancellation_requested !== null
        ? []
        : [requestCancellation(order, reason)];
    default:
      return []; // inventory will refuse the reservation, and say so
  }
}

function completion(order: Order): OrderEvent[] {
  if (!order.shipped || !order.committed) return [];
  const { customer_id, total_minor, currency } = order;
  return [{ type: "OrderCompleted", data: { ...subject(order), customer_id, total_minor, currency } }];
}

function paid(order: Order): OrderEvent {
  const lines = order.lines.map(({ store_id, sku, quantity }) => ({ store_id, sku, quantity }));
  return { type: "OrderPaid", data: { ...subject(order), customer_id: order.customer_id, lines } };
}

function cancelled(order: Order, reason: string, detail: string): OrderEvent {
  return { type: "OrderCancelled", data: { ...subject(order), reason, detail } };
}

function requestCancellation(order: Order, reason: string): OrderEvent {
  return { type: "OrderCancellationRequested", data: { ...subject(order), reason } };
}

function failed(
  order: Order,
  status: "rejected" | "payment_failed" | "expired",
  { code: reason, detail }: { code: string; detail: string },
): OrderEvent {
  return { type: "OrderFailed", data: { ...subject(order), status, reason, detail } };
}

function subject({ id: order_id, reservation_id }: Order) {
  return { order_id, reservation_id };
}

function notFound(id: string): OrderRefusal {
  return { code: "orders.not_found", detail: `There is no order ${id}.` };
}

export function alreadyShipped({ id, status }: Order): OrderRefusal {
  const what = status === "completed" ? "has been shipped" : "is being shipped";
  return { code: "orders.already_shipped", detail: `The order ${id} ${what}.` };
}

function keyReused(request_id: string): OrderRefusal {
  const detail = `The key ${request_id} was sent with another order; choose a new one for a new order.`;
  return { code: "orders.idempotency_key_reused", detail };
}
