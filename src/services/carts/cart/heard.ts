import type {
  Cart,
  CartHold,
  CartSettings,
  HearHeld,
  HearHeldUntil,
  HearOrderCreated,
  HearOrderEnded,
  HearRefused,
  HearReleased,
  UnansweredLines,
} from "../contract.ts";
import { open, requested, type Step, unchanged } from "./state.ts";

// What the stock says, and what becomes of the order.

export function heardHeld(cart: Cart, command: HearHeld, now: Date): Step {
  const answered = answerOf(cart, command);
  if (answered === undefined) return unchanged(cart);
  const { expires_at, at: as_of } = command;
  return open(
    {
      ...cart,
      lines: answered.lines,
      hold: { ...cart.hold, status: "held", expires_at, refusal: null, as_of },
      unanswered: behind(cart, answered),
      expires_at,
    },
    now,
  );
}

export function heardRefused(cart: Cart, command: HearRefused, now: Date, settings: CartSettings): Step {
  const answered = answerOf(cart, command);
  if (answered === undefined) return unchanged(cart);
  const { key, refusal: why, at: as_of, new_reservation_id } = command;
  if (why.code === "inventory.reservation_closed" || why.code === "inventory.reservation_taken") {
    // Ended while the request was on its way: what the cart wants is asked for under another one.
    const lost = lostHold(cart, as_of);
    return requested(
      { ...lost, updated_at: now },
      new_reservation_id,
      lost.unanswered.slice(-1),
      now,
      settings,
    );
  }
  const { status } = cart.hold;
  const hold: CartHold = {
    ...cart.hold,
    status: status === "none" ? "refused" : status,
    refusal: { key, why },
    as_of,
  };
  return open({ ...cart, hold, unanswered: behind(cart, answered) }, now);
}

/** What it held is gone, though nobody has told us yet. */
function lostHold(cart: Cart, as_of: Date): Cart {
  return cart.hold.status === "held"
    ? { ...cart, hold: { ...cart.hold, status: "released", expires_at: null, as_of } }
    : cart;
}

export function heardHeldUntil(cart: Cart, command: HearHeldUntil, now: Date): Step {
  if (!concerns(cart, command) || cart.hold.status === "none" || cart.hold.status === "refused") {
    return unchanged(cart);
  }
  const { expires_at, at: as_of } = command;
  return open({ ...cart, hold: { ...cart.hold, status: "held", expires_at, as_of }, expires_at }, now);
}

export function heardReleased(cart: Cart, command: HearReleased, now: Date): Step {
  if (!concerns(cart, command) || cart.hold.status !== "held") return unchanged(cart);
  const hold: CartHold = { ...cart.hold, status: command.now, expires_at: null, as_of: command.at };
  return open({ ...cart, hold }, now);
}

/** The request that is answered here; undefined when it was answered before, or is wanted no more. */
function answerOf(cart: Cart, command: HearHeld | HearRefused): UnansweredLines | undefined {
  if (cart.hold.reservation_id !== command.reservation_id) return undefined;
  return cart.unanswered.find(({ key }) => key === command.key);
}

/** Requests are answered in their order. */
function behind({ unanswered }: Cart, answered: UnansweredLines): UnansweredLines[] {
  return unanswered.slice(unanswered.indexOf(answered) + 1);
}

function concerns(cart: Cart, { reservation_id, at }: HearHeldUntil | HearReleased): boolean {
  const { status, hold } = cart;
  if (status === "checked_out" || status === "deleted" || hold.reservation_id !== reservation_id)
    return false;
  return hold.as_of === null || hold.as_of <= at;
}

export function heardOrderCreated(cart: Cart, { order_id, priced }: HearOrderCreated, now: Date): Step {
  if (cart.order?.id !== order_id || cart.order.priced !== undefined) return unchanged(cart);
  return { accepted: true, cart: { ...cart, order: { ...cart.order, priced }, updated_at: now }, events: [] };
}

export function heardOrderEnded(cart: Cart, { order_id, status }: HearOrderEnded, now: Date): Step {
  if (cart.order?.id !== order_id || cart.order.status !== "pending") return unchanged(cart);
  return { accepted: true, cart: { ...cart, order: { ...cart.order, status }, updated_at: now }, events: [] };
}
