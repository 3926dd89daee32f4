import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import type { StockBook } from "./book.ts";
import type {
  Adjustment,
  AdjustStock,
  CountStock,
  InventoryEvent,
  InventoryRefusal,
  Line,
  Reservation,
  SyncProduct,
} from "./contract.ts";
import { short, tooMuch, unknownSku } from "./refusal.ts";
import { releaseOf, remaining } from "./reservation.ts";
import { keyOf, mergeLines } from "./stock.ts";

type Decided = Decision<InventoryEvent, InventoryRefusal>;

// ---- decisions -----------------------------------------------------------------------------------------------------

/** A signed change, once for each id; all lines or none. */
export function adjust(book: StockBook, command: AdjustStock): Decided {
  const lines = mergeLines(command.lines);
  const earlier = book.adjustment(command.adjustment_id);
  if (earlier !== undefined)
    return isSame(earlier, lines, command.reason) ? accept() : refuse(conflict(earlier));
  return change(book, lines, command, command.adjustment_id);
}

/**
 * An absolute count. With an expected version it succeeds once, which is written down even if the count was right
 * already, so that a retry is answered as before.
 */
export function count(book: StockBook, command: CountStock): Decided {
  const record = book.stock(command);
  const id = countId(command);
  const earlier = id === null ? undefined : book.adjustment(id);
  if (earlier !== undefined && isSameCount(earlier, command)) return accept();
  if (!book.isListed(command))
    return refuse(unknownSku([{ ...command, quantity: command.quantity_on_hand }]));
  if (command.expected_version !== undefined && command.expected_version !== (record?.version ?? 0)) {
    return refuse({
      code: "inventory.version_mismatch",
      detail: `Version ${command.expected_version} was expected; the stock is at version ${record?.version ?? 0}.`,
    });
  }
  const quantity = command.quantity_on_hand - (record?.quantity_on_hand ?? 0);
  if (record !== undefined && quantity === 0 && id === null) return accept();
  return change(book, [{ store_id: command.store_id, sku: command.sku, quantity }], command, id);
}

/** An id that no client can choose: a count that expects a version can succeed only once. Names may hold a slash. */
export function countId({ store_id, sku, expected_version }: CountStock): string | null {
  if (expected_version === undefined) return null;
  return `count/${encodeURIComponent(store_id)}/${encodeURIComponent(sku)}/${expected_version}`;
}

/** What the reservation took out of the stock comes back: nothing of it has left the store. */
export function restock(book: StockBook, reservation: Reservation, reason: string): Decided {
  const adjustment_id = restockId({ reservation_id: reservation.id });
  const lines = reservation.lines
    .filter((line) => line.quantity_committed > 0)
    .map(({ store_id, sku, quantity_committed }) => ({ store_id, sku, quantity: quantity_committed }));
  if (lines.length === 0 || book.adjustment(adjustment_id) !== undefined) return accept();
  const overflow = tooMuch(sumsOnHand(book, lines));
  if (overflow !== undefined) return refuse(overflow);
  return accept({ type: "InventoryAdjusted", data: { adjustment_id, lines, reason, actor: "orders" } });
}

export function restockId({ reservation_id }: { readonly reservation_id: string }): string {
  return `restock:${reservation_id}`;
}

function change(
  book: StockBook,
  lines: readonly Line[],
  { reason, actor, force }: Pick<AdjustStock, "reason" | "actor" | "force">,
  adjustment_id: string | null,
): Decided {
  const refusal = cannotChange(book, lines, force);
  if (refusal !== undefined) return refuse(refusal);
  const opened: InventoryEvent[] = lines
    .filter((line) => book.stock(line) === undefined)
    .map(({ store_id, sku }) => ({
      type: "StockOpened",
      data: { store_id, sku, product_id: book.productOf(sku)!.product_id },
    }));
  const { releases, shortfalls } = makeRoom(book, lines);
  return accept(
    ...opened,
    ...releases,
    { type: "InventoryAdjusted", data: { adjustment_id, lines, reason, actor } },
    ...shortfalls,
  );
}

/**
 * Brings the records in line with what the catalogue says. A SKU that it has dropped keeps its stock and its holds, but
 * nothing new is promised.
 */
export function syncProduct(book: StockBook, { product_id, skus }: SyncProduct): Decided {
  const events: InventoryEvent[] = [];
  const store_id = book.settings.default_store;
  for (const sku of skus) {
    const known = book.productOf(sku);
    if (known?.product_id !== product_id || !known.listed) {
      events.push({ type: "SkuListed", data: { product_id, sku } });
    }
    if (book.stock({ store_id, sku }) === undefined) {
      events.push({ type: "StockOpened", data: { product_id, store_id, sku } });
    }
  }
  const wanted = new Set(skus);
  for (const { sku } of book.skusOf(product_id)) {
    if (!wanted.has(sku)) events.push({ type: "SkuDelisted", data: { product_id, sku } });
  }
  return accept(...events);
}

// ---- room for a forced cut -----------------------------------------------------------------------------------------

/** Releases whole reservations, the newest unpaid ones first, then the newest paid ones, until the rest fits. */
function makeRoom(book: StockBook, lines: readonly Line[]) {
  const victims = new Set<Reservation>();
  const shortfalls: InventoryEvent[] = [];
  for (const line of lines) {
    const record = book.stock(line);
    if (record === undefined || record.quantity_available + line.quantity >= 0) continue;
    const candidates = book
      .openReservations()
      .map((reservation) => ({ reservation, quantity: heldOf(reservation, line) }))
      .filter(({ quantity }) => quantity > 0)
      .sort((a, b) => newestUnpaidFirst(a.reservation, b.reservation));
    let missing = -(record.quantity_available + line.quantity);
    const named: typeof candidates = [];
    for (const candidate of candidates) {
      if (victims.has(candidate.reservation)) {
        missing -= candidate.quantity;
        named.push(candidate);
      }
    }
    for (const candidate of candidates) {
      if (missing <= 0) break;
      if (victims.has(candidate.reservation)) continue;
      victims.add(candidate.reservation);
      missing -= candidate.quantity;
      named.push(candidate);
    }
    shortfalls.push({
      type: "StockShortfall",
      data: {
        store_id: line.store_id,
        sku: line.sku,
        reservations: named.map(({ reservation: { id, order_id, status }, quantity }) => ({
          reservation_id: id,
          order_id,
          status,
          quantity,
        })),
      },
    });
  }
  return {
    releases: [...victims].map((reservation) => releaseOf(reservation, "shortfall", "released")),
    shortfalls,
  };
}

function heldOf(reservation: Reservation, { store_id, sku }: Line): number {
  return reservation.lines
    .filter((line) => line.sku === sku && line.store_id === store_id)
    .reduce((total, line) => total + remaining(line), 0);
}

function newestUnpaidFirst(a: Reservation, b: Reservation): number {
  if (a.status !== b.status) return a.status === "held" ? -1 : 1;
  return b.positions[0]! - a.positions[0]! || (a.id < b.id ? 1 : -1);
}

// ---- refusals ------------------------------------------------------------------------------------------------------

/** In order of precedence. */
function cannotChange(book: StockBook, lines: readonly Line[], force: boolean): InventoryRefusal | undefined {
  const unknown = lines.filter((line) => !book.isListed(line));
  if (unknown.length > 0) return unknownSku(unknown);
  const overflow = tooMuch(lines) ?? tooMuch(sumsOnHand(book, lines));
  if (overflow !== undefined) return overflow;
  const floor = (line: Line) =>
    (force ? book.stock(line)?.quantity_on_hand : book.stock(line)?.quantity_available) ?? 0;
  const cuts = lines
    .map((line) => short(line, -line.quantity, floor(line)))
    .filter((cut) => cut.requested > cut.available);
  if (cuts.length === 0) return undefined;
  const { sku, store_id, requested, available } = cuts[0]!;
  return {
    code: force ? "inventory.insufficient_stock" : "inventory.below_reserved",
    detail: `${sku} in ${store_id} can be cut by ${available} at most, not by ${requested}.`,
    lines: cuts,
  };
}

function sumsOnHand(book: StockBook, lines: readonly Line[]): Line[] {
  return lines.map((line) => ({
    ...line,
    quantity: (book.stock(line)?.quantity_on_hand ?? 0) + line.quantity,
  }));
}

function conflict({ id, at }: Adjustment): InventoryRefusal {
  return {
    code: "inventory.adjustment_conflict",
    detail: `The id ${id} named another adjustment at ${at.toISOString()}; choose a new id.`,
  };
}

function isSame(earlier: Adjustment, lines: readonly Line[], reason: string): boolean {
  if (earlier.reason !== reason || earlier.lines.length !== lines.length) return false;
  const quantities = new Map(earlier.lines.map((line) => [keyOf(line), line.quantity]));
  return lines.every((line) => quantities.get(keyOf(line)) === line.quantity);
}

function isSameCount(earlier: Adjustment, command: CountStock): boolean {
  return earlier.reason === command.reason && earlier.lines[0]?.quantity_on_hand === command.quantity_on_hand;
}
