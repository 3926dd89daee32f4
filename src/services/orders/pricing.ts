import { maxQuantity } from "../../kernel/limits.ts";
import type { OrderLine, OrderRefusal, Price } from "./contract.ts";

type Line = Omit<OrderLine, "price_minor">;

export interface Priced {
  readonly lines: readonly OrderLine[];
  readonly total_minor: number;
  readonly currency: string;
}

export type Pricing =
  | { readonly accepted: true; readonly priced: Priced }
  | { readonly accepted: false; readonly refusal: OrderRefusal };

const errorsShown = 20;

/** What the lines cost by the catalogue's prices; those of the same store and SKU become one. */
export function price(lines: readonly Line[], prices: ReadonlyMap<string, Price>): Pricing {
  const refusal = unknownSkus(lines, prices) ?? mixedCurrencies(lines, prices);
  if (refusal !== undefined) return { accepted: false, refusal };

  const merged = merge(lines);
  const large = merged.find(({ quantity }) => quantity > maxQuantity);
  if (large !== undefined) {
    const detail = `${large.sku} in ${large.store_id} adds up to ${large.quantity}; at most ${maxQuantity} can be kept.`;
    return { accepted: false, refusal: { code: "orders.quantity_too_large", detail } };
  }
  const priced = merged.map((line) => ({ ...line, price_minor: prices.get(line.sku)!.price_minor }));
  const total = priced.reduce((sum, line) => sum + BigInt(line.price_minor) * BigInt(line.quantity), 0n);
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) {
    const detail = `The total is ${total}; at most ${Number.MAX_SAFE_INTEGER} can be kept.`;
    return { accepted: false, refusal: { code: "orders.total_too_large", detail } };
  }
  const { currency } = prices.get(lines[0]!.sku)!;
  return { accepted: true, priced: { lines: priced, total_minor: Number(total), currency } };
}

/** For an order that is rejected at once: it asks for the same, and costs nothing. XXX is ISO 4217's "no currency". */
export function unpriced(lines: readonly Line[]): Priced {
  const fitting = merge(lines).map(({ quantity, ...key }) => ({
    ...key,
    quantity: Math.min(quantity, maxQuantity),
    price_minor: 0,
  }));
  return { lines: fitting, total_minor: 0, currency: "XXX" };
}

/** Lines of the same store and SKU added up. */
export function merge(lines: readonly Line[]): Line[] {
  const merged = new Map<string, Line>();
  for (const { store_id, sku, quantity } of lines) {
    const key = `${sku}\n${store_id}`;
    merged.set(key, { store_id, sku, quantity: quantity + (merged.get(key)?.quantity ?? 0) });
  }
  return [...merged.values()];
}

function unknownSkus(lines: readonly Line[], prices: ReadonlyMap<string, Price>): OrderRefusal | undefined {
  const unknown = [...lines.entries()].filter(([, { sku }]) => prices.get(sku)?.listed !== true);
  if (unknown.length === 0) return undefined;
  const skus = new Set(unknown.map(([, { sku }]) => sku));
  const [first] = skus;
  const more = skus.size === 1 ? "" : `, and ${skus.size - 1} more`;
  return {
    code: "orders.unknown_sku",
    detail: `The catalogue does not offer ${first}${more}.`,
    errors: unknown
      .slice(0, errorsShown)
      .map(([i]) => ({ field: `lines.${i}.sku`, message: "is not offered by the catalogue" })),
  };
}

function mixedCurrencies(
  lines: readonly Line[],
  prices: ReadonlyMap<string, Price>,
): OrderRefusal | undefined {
  const currencies = [...new Set(lines.map(({ sku }) => prices.get(sku)!.currency))];
  if (currencies.length === 1) return undefined;
  return {
    code: "orders.mixed_currencies",
    detail: `The lines have prices in ${currencies.sort().join(" and ")}; an order has one currency.`,
  };
}
