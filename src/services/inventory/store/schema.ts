import { logWriter } from "../../../platform/log/append.ts";

export const schema = "inventory";
export const log = logWriter(schema);

export const skuColumns = ["sku", "product_id", "listed", "position", "index"] as const;

/** One array for each column: what `unnest` takes. */
export function columns<Row, Column extends keyof Row>(
  rows: readonly Row[],
  names: readonly Column[],
): Row[Column][][] {
  return names.map((name) => rows.map((row) => row[name]));
}
