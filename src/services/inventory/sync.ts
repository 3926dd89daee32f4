import type { InventorySync, RecordedEvent, StatedLine, StockRecord } from "./contract/index.ts";

/** An event of the log, by its id on the bus; of what was kept of a log that was dropped, a `StockSnapshot`. */
interface LoggedEvent {
  readonly id: string;
  readonly type: string;
  readonly data: object;
}

interface SyncMessage {
  readonly id: string;
  readonly key: string;
  readonly type: "InventorySync";
  readonly subject: string;
  readonly data: InventorySync;
}

/**
 * What an event tells the other sales channels: one message for each line. Whoever takes each that has a greater version
 * than the one it knows ends with what can be sold, whatever comes twice, late or in another order.
 */
export function syncMessagesOf({ id, type, data }: LoggedEvent): SyncMessage[] {
  return changesOf({ type, data }).map((change, index) => ({
    id: `${id}-${index}`,
    key: change.product_sku,
    type: "InventorySync",
    subject: change.product_sku,
    data: change,
  }));
}

type KeptEvent = RecordedEvent | { type: "StockSnapshot"; data: { records: readonly StockRecord[] } };

function changesOf(event: Omit<LoggedEvent, "id">): InventorySync[] {
  const { type, data } = event as KeptEvent;
  switch (type) {
    case "InventoryReserved":
    case "InventoryRetaken":
      return data.lines.map((line) => change(line, "RESERVED", data.order_id));
    case "InventoryReleased":
      return data.lines.map((line) => change(line, "RELEASED", data.order_id));
    case "InventoryCommitted":
      return data.lines.map((line) => change(line, "COMMITTED", data.order_id));
    case "InventoryAdjusted":
      return data.lines.map((line) => change(line, "ADJUSTED"));
    case "SkuListed":
    case "SkuDelisted":
      // Logs of earlier versions name no records.
      return (data.lines ?? []).map((line) => change(line, "ADJUSTED"));
    case "StockOpened": {
      const { store_id, sku } = data;
      return [change({ store_id, sku, quantity: 0, quantity_available: 0, version: 1 }, "ADJUSTED")];
    }
    case "StockSnapshot":
      return data.records.map((record) => change({ ...record, quantity: 0 }, "ADJUSTED"));
    default:
      return [];
  }
}

type Stated = Pick<StatedLine, "store_id" | "sku" | "quantity" | "quantity_available" | "version"> & {
  readonly listed?: boolean;
};

/** Of a SKU that is offered no more nothing can be sold, however much of it there is. */
function change(
  { store_id, sku, quantity, quantity_available, version, listed = true }: Stated,
  event_type: InventorySync["event_type"],
  order_id: string | null = null,
): InventorySync {
  return {
    store_id,
    product_sku: sku,
    quantity,
    event_type,
    order_id,
    quantity_available: listed ? quantity_available : 0,
    version,
  };
}
