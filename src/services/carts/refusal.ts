import type { CartRefusal, StockRefusal } from "./contract.ts";

const codes: Partial<Record<StockRefusal["code"], CartRefusal["code"]>> = {
  "inventory.insufficient_stock": "carts.insufficient_stock",
  "inventory.unknown_sku": "carts.unknown_sku",
  "inventory.quantity_overflow": "carts.quantity_overflow",
};

/** What the stock refused, as the cart says it. */
export function refusalOf({ code, detail, lines }: StockRefusal): CartRefusal {
  return { code: codes[code] ?? "carts.hold_refused", detail, ...(lines && { lines }) };
}
