import { maxQuantity } from "../../src/kernel/limits.ts";
import { ProductSku } from "../../src/services/catalog/contract.ts";
import { Sku, StoreId } from "../../src/services/inventory/contract/index.ts";
import type { JsonSchema } from "./json-schema.ts";

const { price_minor, currency } = ProductSku.properties as Readonly<Record<string, JsonSchema>>;
const name = ({ minLength, maxLength }: JsonSchema) => ({ minLength: minLength!, maxLength: maxLength! });
const money = { minimum: price_minor!.minimum!, maximum: price_minor!.maximum! };
const count = { minimum: 0, maximum: maxQuantity };

/** Data has one spelling everywhere, so a field's name says what is known of it beside its type. */
export const constraints: Readonly<Record<string, JsonSchema>> = {
  store_id: name(StoreId),
  sku: name(Sku),
  product_sku: name(Sku),
  currency: { pattern: currency!.pattern! },
  price_minor: money,
  total_minor: money,
  amount_minor: money,
  quantity: { minimum: -maxQuantity, maximum: maxQuantity },
  quantity_on_hand: count,
  quantity_reserved: count,
  quantity_available: count,
  quantity_owed: { minimum: 0 },
  version: { minimum: 1 },
  part: { minimum: 1 },
  ttl_seconds: { minimum: 1 },
};

/** Lists of names that grow, and that readers must not rely on knowing whole; by the name of their type. */
export const openLists: Readonly<Record<string, JsonSchema>> = {
  InventoryRefusalCode: {
    type: "string",
    pattern: "^inventory\\.[a-z_]+$",
    description: "One of the codes in errors.md; new ones may come.",
  },
};
