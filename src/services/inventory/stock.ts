import { maxQuantity } from "../../kernel/limits.ts";
import type { InventoryEvent, Line, StatedLine, StockKey, StockRecord } from "./contract/index.ts";

export function keyOf({ store_id, sku }: StockKey): string {
  return `${sku}\u0000${store_id}`;
}

/** Values by store and SKU. Two maps instead of one joined key: the road looks keys up a hundred thousand times a second. */
export class StockMap<Value> {
  private readonly stores = new Map<string, Map<string, Value>>();

  get({ store_id, sku }: StockKey): Value | undefined {
    return this.stores.get(store_id)?.get(sku);
  }

  set({ store_id, sku }: StockKey, value: Value): void {
    const skus = this.stores.get(store_id);
    if (skus === undefined) this.stores.set(store_id, new Map([[sku, value]]));
    else skus.set(sku, value);
  }

  /** In every store. */
  ofSku(sku: string): Value[] {
    return [...this.stores.values()].map((skus) => skus.get(sku)).filter((value) => value !== undefined);
  }

  values(): Value[] {
    return [...this.stores.values()].flatMap((skus) => [...skus.values()]);
  }
}

export function openedRecord(key: StockKey, product_id: string, at: Date, listed = true): StockRecord {
  return {
    store_id: key.store_id,
    sku: key.sku,
    product_id,
    quantity_on_hand: 0,
    quantity_reserved: 0,
    quantity_available: 0,
    quantity_owed: 0,
    version: 1,
    last_updated_at: at,
    listed,
  };
}

export interface Effect {
  readonly on_hand: number;
  readonly reserved: number;
  /** What is not on hand is owed, and made up for before anything is on hand again. */
  readonly owes?: true;
}

/** What one unit on a line of the event does to the stock; undefined for events that move none. */
export function effectOf(type: InventoryEvent["type"]): Effect | undefined {
  switch (type) {
    case "SkuListed":
    case "SkuDelisted":
      return { on_hand: 0, reserved: 0 };
    case "InventoryReserved":
    case "InventoryRetaken":
      return { on_hand: 0, reserved: 1 };
    case "InventoryReleased":
      return { on_hand: 0, reserved: -1 };
    case "InventoryCommitted":
      return { on_hand: -1, reserved: -1 };
    case "InventoryAdjusted":
      return { on_hand: 1, reserved: 0, owes: true };
    default:
      return undefined;
  }
}

/** On hand less what is owed. What has come in, less what has gone out, gives it in whichever order that was told. */
export function balanceOf(record: StockRecord | undefined): number {
  return record === undefined ? 0 : record.quantity_on_hand - record.quantity_owed;
}

export function moved(record: StockRecord, quantity: number, effect: Effect, at: Date): StockRecord {
  const balance = balanceOf(record) + quantity * effect.on_hand;
  const quantity_on_hand = effect.owes ? Math.max(balance, 0) : balance + record.quantity_owed;
  const quantity_reserved = record.quantity_reserved + quantity * effect.reserved;
  return {
    store_id: record.store_id,
    sku: record.sku,
    product_id: record.product_id,
    quantity_on_hand,
    quantity_reserved,
    quantity_available: quantity_on_hand - quantity_reserved,
    quantity_owed: quantity_on_hand - balance,
    version: record.version + 1,
    last_updated_at: at,
    listed: record.listed,
  };
}

/** What could be held before the event moved this line. */
export function availableBefore(line: StatedLine, effect: Effect): number {
  const { quantity, quantity_on_hand, quantity_reserved, quantity_owed = 0 } = line;
  const balance = quantity_on_hand - quantity_owed - quantity * effect.on_hand;
  return Math.max(balance, 0) - (quantity_reserved - quantity * effect.reserved);
}

export function stated(line: Line, after: StockRecord): StatedLine {
  const result = {
    store_id: line.store_id,
    sku: line.sku,
    quantity: line.quantity,
    quantity_on_hand: after.quantity_on_hand,
    quantity_reserved: after.quantity_reserved,
    quantity_available: after.quantity_available,
    version: after.version,
  };
  // Both are rare, and no other line is to be longer for it.
  if (after.quantity_owed === 0 && after.listed) return result;
  return {
    ...result,
    ...(after.quantity_owed > 0 && { quantity_owed: after.quantity_owed }),
    ...(!after.listed && { listed: false as const }),
  };
}

/** The golden rule, looked at once more before anything is written. */
export function isSound(record: StockRecord): boolean {
  const { quantity_on_hand, quantity_reserved, quantity_available, quantity_owed } = record;
  return (
    Number.isInteger(quantity_on_hand) &&
    quantity_on_hand <= maxQuantity &&
    0 <= quantity_reserved &&
    0 <= quantity_available &&
    quantity_on_hand === quantity_available + quantity_reserved &&
    0 <= quantity_owed &&
    quantity_owed <= maxQuantity &&
    (quantity_owed === 0 || quantity_on_hand === 0)
  );
}

/** One line for each SKU and store: several lines of one request may name the same one. */
export function mergeLines(lines: readonly Line[]): readonly Line[] {
  if (lines.length === 1) return lines;
  const merged = new Map<string, Line>();
  for (const line of lines) {
    const key = keyOf(line);
    const before = merged.get(key);
    merged.set(key, before === undefined ? line : { ...before, quantity: before.quantity + line.quantity });
  }
  return [...merged.values()];
}
