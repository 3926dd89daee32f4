import { accept, type Decision, refuse } from "../../kernel/decision.ts";
import type { CatalogCommand, CatalogRefusal, Product, ProductContent, ProductEvent } from "./contract.ts";

/** The products that a batch touches, and whose the SKUs are. */
export interface Shelf {
  readonly products: Map<string, Product>;
  readonly owners: Map<string, string>;
}

/** A product as it shall be from now on: created, changed or, if it is so already, left alone. */
export function decide(
  shelf: Shelf,
  { product_id, content }: CatalogCommand,
): Decision<ProductEvent, CatalogRefusal> {
  const skus = content.skus.map(({ sku }) => sku);
  const repeated = skus.find((sku, i) => skus.indexOf(sku) !== i);
  if (repeated !== undefined) {
    return refuse({ code: "catalog.sku_repeated", detail: `${repeated} is named more than once.` });
  }
  const taken = skus.find((sku) => (shelf.owners.get(sku) ?? product_id) !== product_id);
  if (taken !== undefined) {
    return refuse({
      code: "catalog.sku_taken",
      detail: `${taken} belongs to the product ${shelf.owners.get(taken)}.`,
    });
  }
  const existing = shelf.products.get(product_id);
  if (existing !== undefined && isSame(existing, content)) return accept();
  const type = existing === undefined ? "ProductCreated" : "ProductUpdated";
  return accept({ type, data: { product_id, name: content.name, skus: content.skus } });
}

export function evolve(shelf: Shelf, { data: { product_id, name, skus } }: ProductEvent, at: Date): void {
  const before = shelf.products.get(product_id);
  for (const { sku } of before?.skus ?? []) shelf.owners.delete(sku);
  for (const { sku } of skus) shelf.owners.set(sku, product_id);
  shelf.products.set(product_id, {
    id: product_id,
    name,
    skus,
    created_at: before?.created_at ?? at,
    updated_at: at,
  });
}

function isSame(product: Product, content: ProductContent): boolean {
  return (
    product.name === content.name &&
    product.skus.length === content.skus.length &&
    product.skus.every((sku, i) => {
      const other = content.skus[i]!;
      return (
        sku.sku === other.sku &&
        sku.price_minor === other.price_minor &&
        sku.currency === other.currency &&
        sku.policy === other.policy
      );
    })
  );
}
