import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import type { StockBook } from "./book.ts";
import type {
  Adjustment,
  AdjustStock,
  CountStock,
  InventoryEvent,
  InventoryRefusal,
  Line,
  MoveStock,
  Reservation,
  SyncProduct,
} from "./contract/index.ts";
import { short, tooMuch, unknownSku } from "./refusal.ts";
import { makeRoom } from "./shortfall.ts";
import { balanceOf, keyOf, mergeLines } from "./stock.ts";

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
 * Goods that have come or gone, once for each id. A refusal would not bring them back: what is promised to others is
 * taken from them, and what is not even there is owed.
 */
export function move(book: StockBook, command: MoveStock): Decided {
  const lines = mergeLines(command.lines);
  const earlier = book.adjustment(command.adjustment_id);
  if (earlier !== undefined)
    return isSame(earlier, lines, command.reason) ? accept() : refuse(conflict(earlier));
  const unknown = lines.filter((line) => book.stock(line) === undefined && !book.productOf(line.sku));
  const refusal =
    unknown.length > 0 ? unknownSku(unknown) : (tooMuch(lines) ?? tooMuch(balances(book, lines)));
  return refusal === undefined ? carryOut(book, lines, command, command.adjustment_id) : refuse(refusal);
}

/**
 * An absolute count, of what is there: nothing is owed any more. With an expected version it succeeds once, which is written down even if the count was right
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
  const quantity = command.quantity_on_hand - balanceOf(record);
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
  const overflow = tooMuch(balances(book, lines));
  if (overflow !== undefined) return refuse(overflow);
  return accept({ type: "InventoryAdjusted", data: { adjustment_id, lines, reason, actor: "orders" } });
}

export function restockId({ reservation_id }: { readonly reservation_id: string }): string {
  return `restock:${reservation_id}`;
}

function change(
  book: StockBook,
  lines: readonly Line[],
  command: AdjustStock | CountStock,
  adjustment_id: string | null,
): Decided {
  const refusal = cannotChange(book, lines, command.force);
  return refusal === undefined ? carryOut(book, lines, command, adjustment_id) : refuse(refusal);
}

function carryOut(
  book: StockBook,
  lines: readonly Line[],
  command: AdjustStock | CountStock | MoveStock,
  adjustment_id: string | null,
): Decided {
  const { reason, actor } = command;
  const occurred_at = "occurred_at" in command ? command.occurred_at : null;
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
    {
      type: "InventoryAdjusted",
      data: { adjustment_id, lines, reason, actor, ...(occurred_at !== null && { occurred_at }) },
    },
    ...shortfalls,
  );
}

/**
 * Brings the records in line with what the catalogue says. A SKU that it has dropped keeps its stock and its holds, but
 * nothing new is promised. What was said before the SKU was last decided says nothing about it: events of two products
 * come in any order, and any event may come again.
 */
export function syncProduct(book: StockBook, command: SyncProduct): Decided {
  const { product_id, skus } = command;
  const events: InventoryEvent[] = [];
  const store_id = book.settings.default_store;
  for (const sku of skus) {
    if (!book.isNewsOf(sku, command)) continue;
    const known = book.productOf(sku);
    if (known?.product_id !== product_id || !known.listed) {
      events.push({ type: "SkuListed", data: { product_id, sku, lines: unmoved(book, sku) } });
    }
    if (book.stock({ store_id, sku }) === undefined) {
      events.push({ type: "StockOpened", data: { product_id, store_id, sku } });
    }
  }
  const wanted = new Set(skus);
  for (const { sku } of book.skusOf(product_id)) {
    if (wanted.has(sku) || !book.isNewsOf(sku, command)) continue;
    events.push({ type: "SkuDelisted", data: { product_id, sku, lines: unmoved(book, sku) } });
  }
  return accept(...events);
}

function unmoved(book: StockBook, sku: string): Line[] {
  return book.recordsOf(sku).map(({ store_id }) => ({ store_id, sku, quantity: 0 }));
}

// ---- refusals ------------------------------------------------------------------------------------------------------

/** In order of precedence. */
function cannotChange(book: StockBook, lines: readonly Line[], force: boolean): InventoryRefusal | undefined {
  const unknown = lines.filter((line) => !book.isListed(line));
  if (unknown.length > 0) return unknownSku(unknown);
  const overflow = tooMuch(lines) ?? tooMuch(balances(book, lines));
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

function balances(book: StockBook, lines: readonly Line[]): Line[] {
  return lines.map((line) => ({ ...line, quantity: balanceOf(book.stock(line)) + line.quantity }));
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
