import { maxQuantity } from "../../kernel/limits.ts";
import type { StockBook } from "./book.ts";
import type {
  InventoryRefusal,
  InventoryRefusalCode,
  Line,
  Reservation,
  ShortLine,
} from "./contract/index.ts";
import { heldOf, isOverdue, isSpokenFor } from "./reservation.ts";

/** Why these lines cannot be held in addition to what is held; in order of precedence. `by` is who holds some already. */
export function cannotHold(
  book: StockBook,
  lines: readonly Line[],
  by?: Reservation,
): InventoryRefusal | undefined {
  const unknown = lines.filter((line) => !book.isListed(line));
  if (unknown.length > 0) return unknownSku(unknown);
  const overflow = tooMuch(lines);
  if (overflow !== undefined) return overflow;
  const available = (line: Line) => book.stock(line)?.quantity_available ?? 0;
  const missing = lines.filter((line) => line.quantity > available(line));
  if (missing.length === 0) return undefined;
  const held = (line: Line) => (by === undefined ? 0 : heldOf(by, line));
  return insufficient(
    missing.map((line) => short(line, line.quantity + held(line), available(line) + held(line))),
  );
}

function insufficient(lines: readonly ShortLine[]): InventoryRefusal {
  const { sku, store_id, requested, available } = lines[0]!;
  return {
    code: "inventory.insufficient_stock",
    detail: `${sku} in ${store_id}: ${requested} requested, ${available} available${others(lines)}.`,
    lines,
  };
}

export function unknownSku(lines: readonly Line[]): InventoryRefusal {
  return {
    code: "inventory.unknown_sku",
    detail: `The catalogue does not offer ${lines[0]!.sku}${others(lines)}.`,
    lines: lines.map((line) => short(line, line.quantity, 0)),
  };
}

export function tooMuch(lines: readonly Line[]): InventoryRefusal | undefined {
  const over = lines.filter((line) => Math.abs(line.quantity) > maxQuantity);
  if (over.length === 0) return undefined;
  return {
    code: "inventory.quantity_overflow",
    detail: `${over[0]!.sku} in ${over[0]!.store_id} adds up to ${over[0]!.quantity}; at most ${maxQuantity} can be kept.`,
    lines: over.map((line) => short(line, line.quantity, maxQuantity)),
  };
}

export function notFound(id: string): InventoryRefusal {
  return { code: "inventory.reservation_not_found", detail: `There is no reservation ${id}.` };
}

export function keyReused(key: string): InventoryRefusal {
  return {
    code: "inventory.key_reused",
    detail: `The key ${key} was sent with another request for this reservation; choose a new one.`,
  };
}

export function closed(reservation: Reservation, now: Date): InventoryRefusal {
  const status = isOverdue(reservation, now) ? "expired" : reservation.status;
  const why = reservation.reason === null || reservation.reason === status ? "" : ` (${reservation.reason})`;
  return {
    code: "inventory.reservation_closed",
    detail: `The reservation ${reservation.id} is ${status}${why}.`,
  };
}

export function taken(reservation: Reservation): InventoryRefusal {
  const { id, order_id, status } = reservation;
  const owner = isSpokenFor(reservation) ? "belongs to a cart" : `is ${status} already`;
  return {
    code: "inventory.reservation_taken",
    detail: `The reservation ${id} ${order_id === null ? owner : `belongs to the order ${order_id}`}.`,
  };
}

export function refusedBefore(code: InventoryRefusalCode): InventoryRefusal {
  return { code, detail: "It was asked for before, and refused." };
}

export function short(line: Line, requested: number, available: number): ShortLine {
  return { store_id: line.store_id, sku: line.sku, requested, available };
}

function others(lines: readonly unknown[]): string {
  return lines.length === 1 ? "" : `, and ${lines.length - 1} more`;
}
