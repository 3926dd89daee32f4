import { refuse } from "../../../kernel/decision.ts";
import { maxQuantity } from "../../../kernel/limits.ts";
import type { Cart, CartSettings, CheckOutCart, DeleteCart, Line, PutCart } from "../contract.ts";
import {
  after,
  born,
  checkedOut,
  ended,
  endOf,
  isLive,
  mergeLines,
  noHold,
  notFound,
  pending,
  release,
  requested,
  type Step,
  scheduled,
  unchanged,
} from "./state.ts";

// What a customer does with a cart, or leaves undone.

const mostUnanswered = 10;

export function put(cart: Cart | undefined, command: PutCart, now: Date, settings: CartSettings): Step {
  if (cart?.status === "checked_out") return checkedOut(cart);
  const lines = mergeLines(command.lines);
  const overflow = lines.find(({ quantity }) => quantity > maxQuantity);
  if (overflow !== undefined) {
    return refuse({ code: "carts.quantity_overflow", detail: `${overflow.sku}: at most ${maxQuantity}.` });
  }
  const before = cart === undefined || cart.status === "deleted" ? born(cart, command.cart_id, now) : cart;
  const changed: Cart = {
    ...before,
    status: "open",
    customer_id: command.customer_id ?? before.customer_id,
    revision: before.revision + 1,
    updated_at: now,
  };
  if (settings.hold_on === "checkout" || lines.length === 0) return putUnheld(changed, lines, now, settings);
  if (changed.unanswered.length >= mostUnanswered) return pending(changed);
  const reservation_id = isLive(changed) ? changed.hold.reservation_id! : command.new_reservation_id;
  const asked = { key: String(changed.revision), lines };
  return requested(changed, reservation_id, [...changed.unanswered, asked], now, settings);
}

function putUnheld(cart: Cart, lines: readonly Line[], now: Date, settings: CartSettings): Step {
  return {
    accepted: true,
    cart: scheduled({
      ...cart,
      lines,
      hold: noHold,
      unanswered: [],
      expires_at: after(now, settings.cart_ttl_seconds),
    }),
    events: release(cart, lines.length === 0 ? "emptied" : "held_at_checkout"),
  };
}

export function remove(cart: Cart, now: Date): Step {
  if (cart.status === "checked_out") return checkedOut(cart);
  return {
    accepted: true,
    cart: ended(cart, "deleted", now),
    events: release(cart, "deleted"),
  };
}

/** Deleting what is deleted changes nothing. */
export function gone(cart: Cart | undefined, { cart_id }: DeleteCart): Step {
  return cart === undefined ? notFound(cart_id) : unchanged(cart);
}

export function checkOut(cart: Cart, command: CheckOutCart, now: Date): Step {
  if (cart.status === "checked_out") return unchanged(cart);
  if (cart.unanswered.length > 0) return pending(cart);
  if (cart.status === "expired") {
    return refuse({ code: "carts.expired", detail: `${cart.id} has expired; put its lines once more.` });
  }
  if (cart.lines.length === 0) return refuse({ code: "carts.empty", detail: `${cart.id} is empty.` });
  const customer_id = command.customer_id ?? cart.customer_id;
  if (customer_id === null) {
    return refuse({ code: "carts.customer_missing", detail: "Name it in the cart or at checkout." });
  }
  const order_id = command.new_order_id;
  const reservation_id = cart.hold.status === "held" ? cart.hold.reservation_id : null;
  const { lines } = cart;
  return {
    accepted: true,
    cart: {
      ...ended(cart, "checked_out", now),
      customer_id,
      order: { id: order_id, status: "pending" },
    },
    events: [
      {
        type: "CartCheckedOut",
        data: { cart_id: cart.id, order_id, reservation_id, customer_id, lines, payment: command.payment },
      },
    ],
  };
}

/** It was left alone for too long. */
export function expire(cart: Cart, now: Date): Step {
  if (cart.status !== "open") return { accepted: true, cart: { ...cart, check_at: null }, events: [] };
  const end = endOf(cart);
  if (end > now) return { accepted: true, cart: { ...cart, check_at: end }, events: [] };
  return { accepted: true, cart: ended(cart, "expired", now), events: release(cart, "expired") };
}
