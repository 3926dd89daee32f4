import { accept, refuse, unreachable } from "../../kernel/decision.ts";
import { maxQuantity } from "../../kernel/limits.ts";
import type {
  Cart,
  CartCommand,
  CartEvent,
  CartHold,
  CartRefusal,
  CartSettings,
  CheckOutCart,
  DeleteCart,
  EndCarts,
  HearHeld,
  HearHeldUntil,
  HearOrderCreated,
  HearOrderEnded,
  HearRefused,
  HearReleased,
  Line,
  PutCart,
  UnansweredLines,
} from "./contract.ts";

/** What a command makes of a cart, and what it tells the others. */
export type Step =
  | { readonly accepted: true; readonly cart: Cart | undefined; readonly events: readonly CartEvent[] }
  | { readonly accepted: false; readonly refusal: CartRefusal };

/** The rules of the service. Pure: the same cart, command and time give the same answer. */
export function step(
  cart: Cart | undefined,
  command: Exclude<CartCommand, EndCarts>,
  now: Date,
  settings: CartSettings,
): Step {
  switch (command.type) {
    case "PutCart":
      return put(cart, command, now, settings);
    case "DeleteCart":
      return isShown(cart) ? remove(cart, now) : gone(cart, command);
    case "CheckOutCart":
      return isShown(cart) ? checkOut(cart, command, now) : notFound(command.cart_id);
    case "HearHeld":
      return cart === undefined ? unchanged(cart) : heardHeld(cart, command, now);
    case "HearRefused":
      return cart === undefined ? unchanged(cart) : heardRefused(cart, command, now, settings);
    case "HearHeldUntil":
      return cart === undefined ? unchanged(cart) : heardHeldUntil(cart, command, now);
    case "HearReleased":
      return cart === undefined ? unchanged(cart) : heardReleased(cart, command, now);
    case "HearOrderCreated":
      return cart === undefined ? unchanged(cart) : heardOrderCreated(cart, command, now);
    case "HearOrderEnded":
      return cart === undefined ? unchanged(cart) : heardOrderEnded(cart, command, now);
    default:
      return unreachable(command);
  }
}

// ---- what a customer does ------------------------------------------------------------------------------------------

const mostUnanswered = 10;

function put(cart: Cart | undefined, command: PutCart, now: Date, settings: CartSettings): Step {
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

function requested(
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

function remove(cart: Cart, now: Date): Step {
  if (cart.status === "checked_out") return checkedOut(cart);
  return {
    accepted: true,
    cart: ended(cart, "deleted", now),
    events: release(cart, "deleted"),
  };
}

/** Deleting what is deleted changes nothing. */
function gone(cart: Cart | undefined, { cart_id }: DeleteCart): Step {
  return cart === undefined ? notFound(cart_id) : unchanged(cart);
}

function checkOut(cart: Cart, command: CheckOutCart, now: Date): Step {
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

// ---- what the stock says -------------------------------------------------------------------------------------------

function heardHeld(cart: Cart, command: HearHeld, now: Date): Step {
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

function heardRefused(cart: Cart, command: HearRefused, now: Date, settings: CartSettings): Step {
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

function heardHeldUntil(cart: Cart, command: HearHeldUntil, now: Date): Step {
  if (!concerns(cart, command) || cart.hold.status === "none" || cart.hold.status === "refused") {
    return unchanged(cart);
  }
  const { expires_at, at: as_of } = command;
  return open({ ...cart, hold: { ...cart.hold, status: "held", expires_at, as_of }, expires_at }, now);
}

function heardReleased(cart: Cart, command: HearReleased, now: Date): Step {
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

// ---- what becomes of the order -------------------------------------------------------------------------------------

function heardOrderCreated(cart: Cart, { order_id, priced }: HearOrderCreated, now: Date): Step {
  if (cart.order?.id !== order_id || cart.order.priced !== undefined) return unchanged(cart);
  return { accepted: true, cart: { ...cart, order: { ...cart.order, priced }, updated_at: now }, events: [] };
}

function heardOrderEnded(cart: Cart, { order_id, status }: HearOrderEnded, now: Date): Step {
  if (cart.order?.id !== order_id || cart.order.status !== "pending") return unchanged(cart);
  return { accepted: true, cart: { ...cart, order: { ...cart.order, status }, updated_at: now }, events: [] };
}

// ---- states --------------------------------------------------------------------------------------------------------

const noHold: CartHold = {
  reservation_id: null,
  status: "none",
  expires_at: null,
  refusal: null,
  as_of: null,
};

function born(deleted: Cart | undefined, id: string, now: Date): Cart {
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
function open(cart: Cart, now: Date): Step {
  const isOver = cart.hold.status === "expired" && cart.unanswered.length === 0;
  const after: Cart = isOver
    ? { ...cart, status: "expired", expires_at: now, check_at: null }
    : scheduled({ ...cart, status: "open" });
  return { accepted: true, cart: { ...after, updated_at: now }, events: [] };
}

function ended(cart: Cart, status: "deleted" | "expired" | "checked_out", now: Date): Cart {
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

function endOf({ hold, expires_at }: Cart): Date {
  return hold.status === "held" ? after(expires_at, graceSeconds) : expires_at;
}

/** The index over `check_at` is spared a change with every PUT: a look that comes too early moves it on. */
function scheduled(cart: Cart): Cart {
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
function release(cart: Cart, reason: string): CartEvent[] {
  const { reservation_id } = cart.hold;
  if (reservation_id === null) return [];
  return [{ type: "CartHoldReleased", data: { cart_id: cart.id, reservation_id, reason } }];
}

function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1_000);
}

function mergeLines(lines: readonly Line[]): Line[] {
  const merged = new Map<string, Line>();
  for (const line of lines) {
    const key = JSON.stringify([line.store_id, line.sku]);
    const before = merged.get(key);
    merged.set(key, before ? { ...line, quantity: before.quantity + line.quantity } : line);
  }
  return [...merged.values()];
}

function unchanged(cart: Cart | undefined): Step {
  return { ...accept(), cart };
}

function notFound(id: string): Step {
  return refuse({ code: "carts.not_found", detail: `There is no cart ${id}.` });
}

function pending({ id }: Cart): Step {
  return refuse({ code: "carts.hold_pending", detail: `An earlier change of ${id} is still under way.` });
}

function checkedOut({ id, order }: Cart): Step {
  return refuse({ code: "carts.checked_out", detail: `${id} has become the order ${order?.id}.` });
}
