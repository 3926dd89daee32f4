import type { Holder, StockBook } from "./book.ts";
import type { InventoryEvent, Line, Reservation, ShortfallReservation } from "./contract/index.ts";
import { releaseOf } from "./reservation.ts";
import { balanceOf } from "./stock.ts";

/**
 * What a cut needs that goes deeper than what is free: whole reservations are released, the newest unpaid ones first,
 * then the newest paid ones, until the rest fits. What even then is not there is owed.
 */
export function makeRoom(book: StockBook, lines: readonly Line[]) {
  const victims = new Set<Reservation>();
  const shortfalls: InventoryEvent[] = [];
  for (const line of lines) {
    const missing = -((book.stock(line)?.quantity_available ?? 0) + line.quantity);
    if (line.quantity >= 0 || missing <= 0) continue;
    const holders = book.holdersOf(line).sort((a, b) => newestUnpaidFirst(a.reservation, b.reservation));
    const named = choose(holders, victims, missing);
    const quantity_owed = -(balanceOf(book.stock(line)) + line.quantity);
    shortfalls.push({
      type: "StockShortfall",
      data: {
        store_id: line.store_id,
        sku: line.sku,
        reservations: named.map(asNamed),
        ...(quantity_owed > 0 && { quantity_owed }),
      },
    });
  }
  return {
    releases: [...victims].map((reservation) => releaseOf(reservation, "shortfall", "released")),
    shortfalls,
  };
}

/** Those that another line has driven out already count first. */
function choose(holders: readonly Holder[], victims: Set<Reservation>, missing: number): Holder[] {
  const named = holders.filter(({ reservation }) => victims.has(reservation));
  let left = named.reduce((rest, { quantity }) => rest - quantity, missing);
  for (const holder of holders) {
    if (left <= 0) break;
    if (victims.has(holder.reservation)) continue;
    victims.add(holder.reservation);
    left -= holder.quantity;
    named.push(holder);
  }
  return named;
}

function asNamed({ reservation: { id, order_id, status }, quantity }: Holder): ShortfallReservation {
  return { reservation_id: id, order_id, status, quantity };
}

function newestUnpaidFirst(a: Reservation, b: Reservation): number {
  if (a.status !== b.status) return a.status === "held" ? -1 : 1;
  return b.positions[0]! - a.positions[0]! || (a.id < b.id ? 1 : -1);
}
