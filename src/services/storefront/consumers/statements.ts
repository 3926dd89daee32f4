import type { EventRecord } from "../../../platform/log/append.ts";
import type { StatedLine, StockKey } from "../../inventory/contract/index.ts";
import type { Statement } from "../availability.ts";

interface SnapshotRecord extends StockKey {
  readonly quantity_available: number;
  readonly version: number;
  readonly listed: boolean;
}

/** What the inventory's events of one batch state about what can be sold. */
export function statementsOf(events: readonly EventRecord[]): Statement[] {
  const statements: Statement[] = [];
  events.forEach(({ type, data }, index) => {
    switch (type) {
      case "SkuListed":
      case "SkuDelisted": {
        const { sku } = data as { sku: string };
        statements.push({ about: "listing", index, sku, listed: type === "SkuListed" });
        stateLines(statements, index, data);
        return;
      }
      case "StockOpened": {
        const { store_id, sku } = data as StockKey;
        statements.push({ about: "stock", index, store_id, sku, quantity_available: 0, version: 1 });
        return;
      }
      // What a log begins with whose older part was dropped.
      case "StockSnapshot":
        for (const { store_id, sku, quantity_available, version, listed } of (
          data as { records: readonly SnapshotRecord[] }
        ).records) {
          statements.push({ about: "listing", index, sku, listed });
          statements.push({ about: "stock", index, store_id, sku, quantity_available, version });
        }
        return;
      // Whatever moves stock states in its lines what came of it; this holds for events of the future too.
      default:
        stateLines(statements, index, data);
    }
  });
  return statements;
}

function stateLines(statements: Statement[], index: number, data: object): void {
  const { lines = [] } = data as { lines?: readonly StatedLine[] };
  for (const { store_id, sku, quantity_available, version } of lines) {
    statements.push({ about: "stock", index, store_id, sku, quantity_available, version });
  }
}
