import type { InventoryEvent, RecordedEvent, StatedLine } from "./contract/index.ts";
import { availableBefore, effectOf, StockMap } from "./stock.ts";

/**
 * What is to be said about the events of one command: once, when they have taken a record's stock across the threshold,
 * and not again while it stays below.
 */
export function lowStockAfter(events: readonly RecordedEvent[], threshold: number): InventoryEvent[] {
  const isLow = (line: StatedLine) => line.quantity_available <= threshold;
  if (!events.some((event) => "lines" in event.data && event.data.lines.some(isLow))) return [];

  const moves = new StockMap<{ before: number; last: StatedLine }>();
  for (const event of events) {
    const effect = effectOf(event.type);
    if (effect === undefined || !("lines" in event.data)) continue;
    for (const line of event.data.lines) {
      const before = moves.get(line)?.before ?? availableBefore(line, effect);
      moves.set(line, { before, last: line });
    }
  }
  return moves
    .values()
    .filter(({ before, last }) => before > threshold && isLow(last))
    .map(({ last: { store_id, sku, quantity_available } }) => ({
      type: "LowStock",
      data: { store_id, sku, quantity_available, threshold },
    }));
}
