import { unreachable } from "../../kernel/decision.ts";
import type { Order } from "./contract.ts";
import { closed } from "./summary.ts";

/** How an order stands and why, in one sentence: the answer to "why did my order fail?". */
export function outcomeOf(order: Order): string {
  switch (order.status) {
    case "pending":
      return "The order waits for its stock.";
    case "reserved":
      return waiting(order);
    case "paid":
      return shipping(order);
    case "completed":
      return "The order was paid, shipped and completed.";
    case "rejected":
      return `The order was rejected: ${closed(order.detail)}`;
    case "payment_failed":
      return `The order was not paid: ${closed(order.detail)}`;
    case "expired":
      return `The order expired: ${withMoney(order)}`;
    case "cancelled":
      return `The order was cancelled (${order.reason}): ${withMoney(order)}`;
    default:
      return unreachable(order.status);
  }
}

function waiting({ hold_expired, payment }: Order): string {
  if (payment === "succeeded") return "The order is paid, and waits for inventory to secure its stock.";
  if (hold_expired)
    return "The hold on the stock has expired; the order waits to hear whether it was paid in time.";
  if (payment === "delayed")
    return "The stock is held, but the payment gateway cannot be reached at the moment.";
  return "The stock is held, and the order waits for its payment.";
}

function shipping({ shipped, committed, shipped_parts, cancellation_requested }: Order): string {
  if (cancellation_requested !== null) {
    return `The order shall be cancelled (${cancellation_requested}); fulfilment has not answered yet.`;
  }
  if (shipped && !committed) return "The order is shipped, and has yet to be taken off the stock.";
  if (shipped_parts.length > 0) return "The order is paid, and a part of it is shipped.";
  return "The order is paid, and waits to be shipped.";
}

function withMoney({ detail, payment }: Order): string {
  const words = closed(detail);
  if (payment === "refunded") return `${words.slice(0, -1)}; the payment was paid back.`;
  if (payment === "succeeded") return `${words.slice(0, -1)}; the payment is being paid back.`;
  return words;
}
