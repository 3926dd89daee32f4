import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import type { StockBook } from "./book.ts";
import type {
  CommitReservation,
  ConfirmReservation,
  ExtendReservation,
  InventoryEvent,
  InventoryRefusal,
  Line,
  ReleaseReservation,
  Reservation,
  ReserveStock,
  ShortLine,
} from "./contract.ts";
import { closed, insufficient, keyReused, notFound, short, tooMuch, unknownSku } from "./refusal.ts";
import { commitOf, extension, isOpen, isOverdue, remainingLines, useOf } from "./reservation.ts";
import { keyOf, mergeLines } from "./stock.ts";

type Decided = Decision<InventoryEvent, InventoryRefusal>;

export function reserve(book: StockBook, command: ReserveStock): Decided {
  const existing = book.reservation(command.reservation_id);
  if (existing !== undefined) return reserveAgain(book, existing, command);

  const lines = mergeLines(command.lines);
  const refusal = cannotHold(book, lines);
  const identity = { reservation_id: command.reservation_id, order_id: command.order_id ?? null };
  if (refusal === undefined) {
    const expires_at = after(book.now, command.ttl_seconds ?? book.settings.hold_ttl_seconds);
    return accept({ type: "InventoryReserved", data: { ...identity, lines, expires_at } });
  }
  if (command.remember_refusal !== true) return refuse(refusal);
  return accept({ type: "InventoryReservationFailed", data: { ...identity, refusal } });
}

function reserveAgain(book: StockBook, existing: Reservation, command: ReserveStock): Decided {
  if (existing.refusal !== null) return refuse(existing.refusal);
  if (!isOpen(existing) || isOverdue(existing, book.now)) return refuse(closed(existing, book.now));
  const lines = mergeLines(command.lines);
  return amendsNothing(existing, lines) ? accept() : amend(book, existing, lines, command.ttl_seconds);
}

function amendsNothing(existing: Reservation, lines: readonly Line[]): boolean {
  if (existing.lines.length !== lines.length) return false;
  const asked = new Map(lines.map((line) => [keyOf(line), line.quantity]));
  return existing.lines.every((line) => asked.get(keyOf(line)) === line.quantity);
}

/** Other lines on an open hold: only the difference moves, all of it or none. */
function amend(
  book: StockBook,
  existing: Reservation,
  lines: readonly Line[],
  ttl_seconds?: number,
): Decided {
  const held = new Map(existing.lines.map((line) => [keyOf(line), line]));
  const asked = new Map(lines.map((line) => [keyOf(line), line.quantity]));

  const more: Line[] = [];
  const less: Line[] = [];
  const tooLate: ShortLine[] = [];
  for (const line of lines) {
    const quantity = line.quantity - (held.get(keyOf(line))?.quantity ?? 0);
    if (quantity > 0) more.push({ ...line, quantity });
  }
  for (const line of existing.lines) {
    const wanted = asked.get(keyOf(line)) ?? 0;
    const quantity = line.quantity - wanted;
    if (wanted < line.quantity_committed) tooLate.push(short(line, wanted, line.quantity_committed));
    else if (quantity > 0) less.push({ store_id: line.store_id, sku: line.sku, quantity });
  }
  if (tooLate.length > 0) {
    return refuse({
      code: "inventory.already_committed",
      detail: "What has been committed cannot be taken out of the reservation.",
      lines: tooLate,
    });
  }
  const refusal = cannotHold(book, more) ?? tooMuch(lines);
  if (refusal !== undefined) return refuse(refusal);

  const identity = identityOf(existing);
  const events: InventoryEvent[] = [];
  if (less.length > 0)
    events.push({
      type: "InventoryReleased",
      data: { ...identity, lines: less, reason: "amended", now: null },
    });
  if (more.length > 0) {
    events.push({
      type: "InventoryReserved",
      data: { ...identity, lines: more, expires_at: existing.expires_at },
    });
  }
  if (ttl_seconds !== undefined && existing.status === "held") {
    events.push({
      type: "InventoryExtended",
      data: { ...identity, expires_at: after(book.now, ttl_seconds), key: null },
    });
  }
  return accept(...events);
}

export function confirm(book: StockBook, command: ConfirmReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  if (reservation.status === "confirmed" || reservation.status === "committed") return accept();
  if (!isOpen(reservation) || isOverdue(reservation, book.now)) return refuse(closed(reservation, book.now));
  return accept({ type: "InventoryConfirmed", data: identityOf(reservation) });
}

export function commit(book: StockBook, command: CommitReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  const { key = null } = command;
  const earlier = key === null ? undefined : useOf(reservation, key);
  if (key !== null && earlier !== undefined) {
    const same =
      command.lines === undefined
        ? reservation.status === "committed"
        : earlier === commitOf(mergeLines(command.lines));
    return same ? accept() : refuse(keyReused(key));
  }
  if (reservation.status === "committed" && command.lines === undefined) return accept();
  if (!isOpen(reservation) || isOverdue(reservation, book.now)) return refuse(closed(reservation, book.now));

  const left = remainingLines(reservation);
  const lines = command.lines === undefined ? left : mergeLines(command.lines);
  const leftOf = new Map(left.map((line) => [keyOf(line), line.quantity]));
  const tooMany = lines
    .map((line) => short(line, line.quantity, leftOf.get(keyOf(line)) ?? 0))
    .filter((line) => line.requested > line.available);
  if (tooMany.length > 0) {
    return refuse({
      code: "inventory.exceeds_reservation",
      detail: "A commit can take no more than what the reservation still holds.",
      lines: tooMany,
    });
  }
  const complete = sum(lines) === sum(left);
  return accept({
    type: "InventoryCommitted",
    data: { ...identityOf(reservation), lines, key, complete },
  });
}

export function release(book: StockBook, command: ReleaseReservation): Decided {
  const { reservation_id, reason } = command;
  const reservation = book.reservation(reservation_id);
  // Nothing to release yet: the tombstone makes sure that the reserve that is still under way finds it so.
  if (reservation === undefined) {
    return accept({
      type: "InventoryReleased",
      data: { reservation_id, order_id: null, lines: [], reason, now: "released" },
    });
  }
  if (reservation.status === "committed") return refuse(closed(reservation, book.now));
  return isOpen(reservation) ? accept(releaseOf(reservation, reason, "released")) : accept();
}

export function extend(book: StockBook, command: ExtendReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  const { ttl_seconds, key = null } = command;
  const earlier = key === null ? undefined : useOf(reservation, key);
  if (key !== null && earlier !== undefined) {
    return earlier === extension ? accept() : refuse(keyReused(key));
  }
  if (!isOpen(reservation) || isOverdue(reservation, book.now)) return refuse(closed(reservation, book.now));
  if (reservation.status === "confirmed") return accept(); // it expires no more
  const expires_at = after(book.now, ttl_seconds);
  if (reservation.expires_at?.getTime() === expires_at.getTime()) return accept();
  return accept({ type: "InventoryExtended", data: { ...identityOf(reservation), expires_at, key } });
}

export function expire(book: StockBook): Decided {
  const events = book.overdue
    .map((id) => book.reservation(id))
    .filter((reservation) => reservation !== undefined && isOverdue(reservation, book.now))
    .map((reservation) => releaseOf(reservation!, "expired", "expired"));
  return accept(...events);
}

export function releaseOf(
  reservation: Reservation,
  reason: string,
  now: "released" | "expired",
): InventoryEvent {
  return {
    type: "InventoryReleased",
    data: { ...identityOf(reservation), lines: remainingLines(reservation), reason, now },
  };
}

/** Why these lines cannot be held in addition to what is held; in order of precedence. */
function cannotHold(book: StockBook, lines: readonly Line[]): InventoryRefusal | undefined {
  const unknown = lines.filter((line) => !book.isListed(line));
  if (unknown.length > 0) return unknownSku(unknown);
  const overflow = tooMuch(lines);
  if (overflow !== undefined) return overflow;
  const available = (line: Line) => book.stock(line)?.quantity_available ?? 0;
  const missing = lines.filter((line) => line.quantity > available(line));
  return missing.length === 0
    ? undefined
    : insufficient(missing.map((line) => short(line, line.quantity, available(line))));
}

function identityOf(reservation: Reservation) {
  return { reservation_id: reservation.id, order_id: reservation.order_id };
}

function after(now: Date, seconds: number): Date {
  return new Date(now.getTime() + seconds * 1_000);
}

function sum(lines: readonly Line[]): number {
  return lines.reduce((total, line) => total + line.quantity, 0);
}
