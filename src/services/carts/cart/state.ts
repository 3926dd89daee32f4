import { accept, refuse } from "../../../kernel/decision.ts";
import type {
  Cart,
  CartEvent,
  CartHold,
  CartRefusal,
  CartSettings,
  Line,
  UnansweredLines,
} from "../contract.ts";

/** What a command makes of a cart, and what it tells the others. */
export type Step =
  | { readonly accepted: true; readonly cart: Cart | undefined; readonly events: readonly CartEvent[] }
  | { readonly accepted: false; readonly refusal: CartRefusal };

export const noHold: CartHold = {
  reservation_id: null,
  status: "none",
  expires_at: null,
  refusal: null,
  as_of: null,
};

export function born(deleted: Cart | undefined, id: string, now: Date): Cart {
  return {
    id,
    customer_id: null,
    status: "open",
    revision: deleted?.revision ?? 0,
    lines: [],
    hold: noHold,
    unanswered: [],
    order: null,
    check_at: null,
    created_at: now,
    updated_at: now,
    expires_at: now,
  };
}

/** A cart lives as long as its hold, unless a change of it is still to be answered. */
export function open(cart: Cart, now: Date): Step {
  const isOver = cart.hold.status === "expired" && cart.unanswered.length === 0;
  const after: Cart = isOver
    ? { ...cart, status: "expired", expires_at: now, check_at: null }
    : scheduled({ ...cart, status: "open" });
  return { accepted: true, cart: { ...after, updated_at: now }, events: [] };
}

export function ended(cart: Cart, status: "deleted" | "expired" | "checked_out", now: Date): Cart {
  const hold: CartHold =
    status === "expired" && isLive(cart) ? { ...cart.hold, status: "expired", expires_at: null } : cart.hold;
  return {
    ...cart,
    status,
    hold: status === "deleted" ? noHold : hold,
    unanswered: [],
    check_at: null,
    updated_at: now,
    expires_at: status === "expired" ? now : cart.expires_at,
  };
}

/** The stock ends a hold by itself and says so; the sweep is there in case it does not. */
const graceSeconds = 60;

export function endOf({ hold, expires_at }: Cart): Date {
  return hold.status === "held" ? after(expires_at, graceSeconds) : expires_at;
}

/** The index over `check_at` is spared a change with every PUT: a look that comes too early moves it on. */
export function scheduled(cart: Cart): Cart {
  const end = endOf(cart);
  return { ...cart, check_at: cart.check_at !== null && cart.check_at <= end ? cart.check_at : end };
}

/** Whether the stock holds something for it, or may be about to. */
export function isLive({ hold, unanswered }: Cart): boolean {
  return hold.status === "held" || unanswered.length > 0;
}

export function isShown(cart: Cart | undefined): cart is Cart {
  return cart !== undefined && cart.status !== "deleted";
}

/** Said even of a hold that is believed to be gone: it costs nothing, and leaves none behind. */
export function release(cart: Cart, reason: string): CartEvent[] {
  const { reservation_id } = cart.hold;
  if (reservation_id === null) return [];
  return [{ type: "CartHoldReleased", data: { cart_id: cart.id, reservation_id, reason } }];
}

export function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1_000);
}

export function mergeLines(lines: readonly Line[]): Line[] {
  const merged = new Map<string, Line>();
  for (const line of lines) {
    const key = JSON.stringify([line.store_id, line.sku]);
    const before = merged.get(key);
    merged.set(key, before ? { ...line, quantity: before.quantity + line.quantity } : line);
  }
  return [...merged.values()];
}

export function unchanged(cart: Cart | undefined): Step {
  return { ...accept(), cart };
}

export function notFound(id: string): Step {
  return refuse({ code: "carts.not_found", detail: `There is no cart ${id}.` });
}

export function pending({ id }: Cart): Step {
  return refuse({ code: "carts.hold_pending", detail: `An earlier change of ${id} is still under way.` });
}

export function checkedOut({ id, order }: Cart): Step {
  return refuse({ code: "carts.checked_out", detail: `${id} has become the order ${order?.id}.` });
}

/** Asks the stock for the newest of these lines. */
export function requested(
  cart: Cart,
  reservation_id: string,
  unanswered: readonly UnansweredLines[],
  now: Date,
  settings: CartSettings,
): Step {
  const { key, lines } = unanswered.at(-1)!;
  const ttl_seconds = settings.hold_seconds;
  const isHeld = cart.hold.status === "held";
  return {
    accepted: true,
    cart: scheduled({
      ...cart,
      hold: { ...cart.hold, reservation_id },
      unanswered,
      expires_at: isHeld ? cart.expires_at : after(now, settings.cart_ttl_seconds),
    }),
    events: [
      { type: "CartHoldRequested", data: { cart_id: cart.id, reservation_id, key, lines, ttl_seconds } },
    ],
  };
}
