import type { Cart, CartRecord, Checkout } from "./contract.ts";
import { refusalOf } from "./refusal.ts";

export function viewOf({ hold, unanswered, order, ...cart }: Cart): CartRecord {
  return {
    id: cart.id,
    status: cart.status === "deleted" ? "expired" : cart.status,
    revision: cart.revision,
    customer_id: cart.customer_id,
    lines: cart.lines,
    pending_lines: unanswered.at(-1)?.lines ?? null,
    hold: {
      reservation_id: hold.reservation_id,
      status: unanswered.length > 0 ? "pending" : hold.status,
      expires_at: hold.expires_at,
      refusal: hold.refusal && refusalOf(hold.refusal.why),
    },
    order_id: order?.id ?? null,
    created_at: cart.created_at,
    updated_at: cart.updated_at,
    expires_at: cart.expires_at,
  };
}

/** The order as far as the cart knows it. */
export function checkoutOf({ id, customer_id, lines, order }: Cart): Checkout {
  const { priced } = order!;
  return {
    id: order!.id,
    status: order!.status,
    customer_id,
    lines: priced?.lines ?? lines,
    total_minor: priced?.total_minor ?? null,
    currency: priced?.currency ?? null,
    cart_id: id,
  };
}
