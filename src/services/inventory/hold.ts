import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import { restock } from "./adjustment.ts";
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
  SecureReservation,
} from "./contract/index.ts";
import { cannotHold, closed, keyReused, notFound, short, taken } from "./refusal.ts";
import {
  after,
  commitOf,
  identityOf,
  isExtension,
  isOpen,
  isOverdue,
  isSpokenFor,
  keyOfOrder,
  releaseOf,
  remainingLines,
  useOf,
} from "./reservation.ts";
import { keyOf, mergeLines } from "./stock.ts";

type Decided = Decision<InventoryEvent, InventoryRefusal>;

export function confirm(book: StockBook, command: ConfirmReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  if (isSpokenFor(reservation)) return refuse(taken(reservation));
  if (reservation.status === "confirmed" || reservation.status === "committed") return accept();
  if (!isOpen(reservation) || isOverdue(reservation, book.now)) return refuse(closed(reservation, book.now));
  return accept({ type: "InventoryConfirmed", data: identityOf(reservation) });
}

/**
 * The money is there. A hold that is overdue but not yet swept still holds its stock, so it is in time. Whoever was told
 * that the stock is gone is being refunded, so it is not taken later either.
 */
export function secure(book: StockBook, { reservation_id, order_id }: SecureReservation): Decided {
  const reservation = book.reservation(reservation_id);
  if (reservation === undefined) return refuse(notFound(reservation_id));
  if (reservation.order_id !== order_id) return refuse(taken(reservation));
  if (reservation.status === "held") return accept(secured(book, reservation));
  if (reservation.status !== "expired") return accept();
  if (reservation.refusal !== null) return refuse(reservation.refusal);
  const retaken = retake(book, reservation);
  if (retaken.accepted) return accept(...retaken.events, secured(book, reservation));
  const { refusal } = retaken;
  return accept({ type: "InventoryConfirmationFailed", data: { ...identityOf(reservation), refusal } });
}

function secured(book: StockBook, reservation: Reservation): InventoryEvent {
  return book.settings.commit_on === "payment"
    ? completed(reservation, remainingLines(reservation))
    : { type: "InventoryConfirmed", data: identityOf(reservation) };
}

function completed(reservation: Reservation, lines: readonly Line[]): InventoryEvent {
  return {
    type: "InventoryCommitted",
    data: { ...identityOf(reservation), lines, key: null, complete: true },
  };
}

/** A hold that has expired takes its stock again, if it is still there. */
function retake(
  book: StockBook,
  reservation: Reservation,
  ttl_seconds = book.settings.hold_ttl_seconds,
): Decided {
  const lines = remainingLines(reservation);
  const refusal = reservation.refusal ?? cannotHold(book, lines);
  if (refusal !== undefined) return refuse(refusal);
  const expires_at = after(book.now, ttl_seconds);
  return accept({ type: "InventoryRetaken", data: { ...identityOf(reservation), lines, expires_at } });
}

export function commit(book: StockBook, command: CommitReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  if (command.settle === true) return settleUp(book, reservation);
  const { key = null, order_id } = command;
  if (isSpokenFor(reservation) && order_id !== reservation.order_id) return refuse(taken(reservation));
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

/**
 * The goods have left, so the order must be able to end well. Where the hold is gone and cannot be taken again, nothing
 * more is taken: the count that drove it out knew of the goods already.
 */
function settleUp(book: StockBook, reservation: Reservation): Decided {
  if (reservation.status === "committed") return accept();
  const lines = remainingLines(reservation);
  if (isOpen(reservation)) return accept(completed(reservation, lines));
  const retaken = reservation.status === "expired" ? retake(book, reservation) : undefined;
  return retaken?.accepted
    ? accept(...retaken.events, completed(reservation, lines))
    : accept(completed(reservation, []));
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
  if (isNoneOf(reservation, command)) return accept();
  if (isOpen(reservation)) return accept(releaseOf(reservation, reason, "released"));
  if (command.restock === true) return undo(book, reservation, reason);
  return reservation.status === "committed" ? refuse(closed(reservation, book.now)) : accept();
}

/** Whether it is for somebody else to end this hold. */
function isNoneOf(reservation: Reservation, { order_id, unless_adopted }: ReleaseReservation): boolean {
  if (reservation.order_id !== null) {
    return unless_adopted === true || (order_id !== undefined && order_id !== reservation.order_id);
  }
  return order_id !== undefined && useOf(reservation, keyOfOrder(order_id)) !== undefined;
}

/** The order has ended: what it had let expire it can take no more, and what it has taken comes back. */
function undo(book: StockBook, reservation: Reservation, reason: string): Decided {
  switch (reservation.status) {
    case "expired":
      return accept({
        type: "InventoryReleased",
        data: { ...identityOf(reservation), lines: [], reason, now: "released" },
      });
    case "committed":
      return restock(book, reservation, reason);
    default:
      return accept();
  }
}

export function extend(book: StockBook, command: ExtendReservation): Decided {
  const reservation = book.reservation(command.reservation_id);
  if (reservation === undefined) return refuse(notFound(command.reservation_id));
  const { ttl_seconds = book.settings.hold_ttl_seconds, key = null } = command;
  const earlier = key === null ? undefined : useOf(reservation, key);
  if (key !== null && earlier !== undefined) {
    return isExtension(earlier, command.ttl_seconds) ? accept() : refuse(keyReused(key));
  }
  const expires_at = after(book.now, ttl_seconds);
  const extended: InventoryEvent = {
    type: "InventoryExtended",
    data: { ...identityOf(reservation), expires_at, key },
  };
  if (command.retake === true && reservation.status === "expired") {
    const retaken = retake(book, reservation, ttl_seconds);
    // The extension that follows changes nothing but keeps the key, so that this happens once.
    return retaken.accepted && key !== null ? accept(...retaken.events, extended) : retaken;
  }
  const isTooLate = command.retake !== true && isOverdue(reservation, book.now);
  if (!isOpen(reservation) || isTooLate) return refuse(closed(reservation, book.now));
  if (reservation.status === "confirmed") return accept(); // it expires no more
  if (key === null && reservation.expires_at?.getTime() === expires_at.getTime()) return accept();
  return accept(extended);
}

export function expire(book: StockBook): Decided {
  const events = book.overdue
    .map((id) => book.reservation(id))
    .filter((reservation) => reservation !== undefined && isOverdue(reservation, book.now))
    .map((reservation) => releaseOf(reservation!, "expired", "expired"));
  return accept(...events);
}

function sum(lines: readonly Line[]): number {
  return lines.reduce((total, line) => total + line.quantity, 0);
}
