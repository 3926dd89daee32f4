import type { LogBatch } from "../../platform/log/read.ts";
import type { ProductEvent } from "../catalog/contract.ts";
import type { InventoryCommand } from "./contract.ts";

/** What the catalogue's events ask of the stock. */
export function commandsFromCatalog(batches: readonly LogBatch[]): InventoryCommand[] {
  return batches.flatMap(({ events }) =>
    (events as unknown as (ProductEvent & { traceparent?: string })[]).map(({ data, traceparent }) => ({
      type: "SyncProduct",
      product_id: data.product_id,
      skus: data.skus.map(({ sku }) => sku),
      ...(traceparent === undefined ? {} : { traceparent }),
    })),
  );
}
