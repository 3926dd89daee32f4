import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import type { StockBook } from "./book.ts";
import type {
  InventoryEvent,
  InventoryRefusal,
  Line,
  Reservation,
  ReserveStock,
  ShortLine,
} from "./contract/index.ts";
import { cannotHold, closed, refusedBefore, short, taken, tooMuch } from "./refusal.ts";
import {
  after,
  answerOf,
  identityOf,
  isOpen,
  isOverdue,
  isSpokenFor,
  keyOfOrder,
  releaseOf,
} from "./reservation.ts";
import { keyOf, mergeLines } from "./stock.ts";

type Decided = Decision<InventoryEvent, InventoryRefusal>;

export function reserve(book: StockBook, command: ReserveStock): Decided {
  const existing = book.reservation(command.reservation_id);
  if (existing === undefined) return take(book, command);
  return nameOf(command) === null
    ? reserveAgain(book, existing, command)
    : answerOnce(book, existing, command);
}

/** Holds all that is asked for. */
function take(book: StockBook, command: ReserveStock): Decided {
  const { reservation_id, order_id = null, key, remember_refusal } = command;
  const lines = mergeLines(command.lines);
  const refusal = cannotHold(book, lines);
  if (refusal !== undefined) {
    return remember_refusal || key !== undefined ? accept(failed(command, refusal)) : refuse(refusal);
  }
  const data = { reservation_id, order_id, lines, expires_at: newExpiry(book, command) };
  return accept({ type: "InventoryReserved", data: { ...data, key: nameOf(command) } });
}

/** Under which it asks, if it is a cart or an order: they are answered once. */
function nameOf({ key, order_id, remember_refusal }: ReserveStock): string | null {
  return key ?? (remember_refusal && order_id !== undefined ? keyOfOrder(order_id) : null);
}

function newExpiry(book: StockBook, { ttl_seconds }: ReserveStock): Date {
  return after(book.now, ttl_seconds ?? book.settings.hold_ttl_seconds);
}

function failed(command: ReserveStock, refusal: InventoryRefusal): InventoryEvent {
  const { reservation_id, order_id = null, key = null } = command;
  return { type: "InventoryReservationFailed", data: { reservation_id, order_id, refusal, key } };
}

// ---- for carts and orders, which cannot be told: every request is answered by an event, once ------------------------

function answerOnce(book: StockBook, existing: Reservation, command: ReserveStock): Decided {
  const answered = answeredBefore(existing, command);
  if (answered !== undefined) return answered;
  if (isTaken(existing)) return accept(failed(command, taken(existing)));
  if (existing.status === "released") return accept(failed(command, closed(existing, book.now)));
  return existing.status === "held" ? takeOver(book, existing, command) : take(book, command);
}

function answeredBefore(existing: Reservation, { order_id, key }: ReserveStock): Decided | undefined {
  if (order_id !== undefined && existing.order_id === order_id) {
    return existing.refusal === null ? accept() : refuse(existing.refusal);
  }
  const answer = answerOf(existing, key ?? keyOfOrder(order_id!));
  if (answer === undefined) return undefined;
  return answer === "held" ? accept() : refuse(refusedBefore(answer));
}

function isTaken({ order_id, status }: Reservation): boolean {
  return order_id !== null || status === "confirmed" || status === "committed";
}

/** Changes a cart's hold for the cart or for its order. What does not fit the order is of no use to anybody. */
function takeOver(book: StockBook, existing: Reservation, command: ReserveStock): Decided {
  const amended = amend(book, existing, command);
  if (amended.accepted) return amended;
  const failure = failed(command, amended.refusal);
  if (command.order_id === undefined) return accept(failure);
  return accept(releaseOf(existing, "order_rejected", "released"), failure);
}

// ---- for clients, which ask again until they are content ------------------------------------------------------------

function reserveAgain(book: StockBook, existing: Reservation, command: ReserveStock): Decided {
  if (existing.refusal !== null) return refuse(existing.refusal);
  if (!isOpen(existing) || isOverdue(existing, book.now)) return refuse(closed(existing, book.now));
  const isAdopted = existing.order_id === null && command.order_id !== undefined;
  if (isSpokenFor(existing) && !isAdopted) return refuse(taken(existing));
  return amend(book, existing, command);
}

// ---- other lines on an open hold: only the difference moves, all of it or none ---------------------------------------

function amend(book: StockBook, existing: Reservation, command: ReserveStock): Decided {
  const lines = mergeLines(command.lines);
  const { more, less, tooLate } = difference(existing, lines);
  if (tooLate.length > 0) {
    return refuse({
      code: "inventory.already_committed",
      detail: "What has been committed cannot be taken out of the reservation.",
      lines: tooLate,
    });
  }
  const refusal = cannotHold(book, more, existing) ?? tooMuch(lines);
  if (refusal !== undefined) return refuse(refusal);

  const changes = more.length > 0 || less.length > 0;
  const identity = identityOf(existing);
  const { ttl_seconds } = command;
  const key = nameOf(command);
  const order_id = existing.order_id ?? command.order_id ?? null;
  const renews = key !== null || order_id !== existing.order_id;
  const events: InventoryEvent[] = [];
  if (less.length > 0) {
    events.push({
      type: "InventoryReleased",
      data: { ...identity, lines: less, reason: "amended", now: null },
    });
  }
  if (more.length > 0 || renews) {
    const expires_at = renews && existing.status === "held" ? newExpiry(book, command) : existing.expires_at;
    events.push({
      type: "InventoryReserved",
      data: { ...identity, order_id, lines: more, expires_at, key },
    });
  }
  if (changes && !renews && ttl_seconds !== undefined && existing.status === "held") {
    events.push({
      type: "InventoryExtended",
      data: { ...identity, expires_at: after(book.now, ttl_seconds), key: null },
    });
  }
  return accept(...events);
}

function difference({ lines: held }: Reservation, asked: readonly Line[]) {
  const heldBefore = new Map(held.map((line) => [keyOf(line), line.quantity]));
  const wantedNow = new Map(asked.map((line) => [keyOf(line), line.quantity]));
  const more: Line[] = [];
  const less: Line[] = [];
  const tooLate: ShortLine[] = [];
  for (const line of asked) {
    const quantity = line.quantity - (heldBefore.get(keyOf(line)) ?? 0);
    if (quantity > 0) more.push({ ...line, quantity });
  }
  for (const line of held) {
    const wanted = wantedNow.get(keyOf(line)) ?? 0;
    const quantity = line.quantity - wanted;
    if (wanted < line.quantity_committed) tooLate.push(short(line, wanted, line.quantity_committed));
    else if (quantity > 0) less.push({ store_id: line.store_id, sku: line.sku, quantity });
  }
  return { more, less, tooLate };
}
