import type { Transaction } from "../../platform/batch/transaction.ts";
import { logWriter } from "../../platform/log/append.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { CatalogCommand, Product } from "./contract.ts";
import type { Shelf } from "./product.ts";

export const schema = "catalog";
export const log = logWriter(schema);

export async function loadShelf(tx: Transaction, commands: readonly CatalogCommand[]): Promise<Shelf> {
  const ids = commands.map(({ product_id }) => product_id);
  const skus = commands.flatMap(({ content }) => content.skus.map(({ sku }) => sku));
  const [products, owners] = await Promise.all([
    tx.read<Product>(lockProducts, [ids]),
    tx.read<{ sku: string; product_id: string }>(lockOwners, [skus, ids]),
  ]);
  return {
    products: new Map(products.map((product) => [product.id, product])),
    owners: new Map(owners.map(({ sku, product_id }) => [sku, product_id])),
  };
}

export function saveProducts(
  tx: Transaction,
  shelf: Shelf,
  changed: ReadonlyMap<string, { created: boolean }>,
): void {
  if (changed.size === 0) return;
  const products = [...changed.keys()].sort().map((id) => shelf.products.get(id)!);
  const created = products.filter(({ id }) => changed.get(id)!.created);
  const updated = products.filter(({ id }) => !changed.get(id)!.created);
  // A product that somebody else creates at the same time meets the primary key, and the batch is run again: with an
  // upsert, the one that is written last could be the one that the log has first.
  if (created.length > 0) tx.write(insertProducts, productArrays(created));
  if (updated.length > 0) tx.write(updateProducts, productArrays(updated));
  const owned = products.flatMap(({ id, skus }) => skus.map(({ sku }) => ({ sku, id })));
  owned.sort((a, b) => (a.sku < b.sku ? -1 : 1));
  tx.write(deleteOwners, [products.map(({ id }) => id)]);
  tx.write(insertOwners, [owned.map(({ sku }) => sku), owned.map(({ id }) => id)]);
}

function productArrays(products: readonly Product[]): unknown[][] {
  return [
    products.map(({ id }) => id),
    products.map(({ name }) => name),
    products.map(({ skus }) => JSON.stringify(skus)),
    products.map(({ created_at }) => created_at),
    products.map(({ updated_at }) => updated_at),
  ];
}

export async function findProduct(database: Reader, id: string): Promise<Product | undefined> {
  const [product] = await database.read<Product>(productById, [id]);
  return product;
}

const columns = "id, name, skus, created_at, updated_at";

const lockProducts: Statement = {
  name: "catalog_lock_products",
  text: `select ${columns} from catalog.products where id = any($1::text[]) order by id for update`,
};
const lockOwners: Statement = {
  name: "catalog_lock_owners",
  text: `select sku, product_id from catalog.product_skus
         where sku = any($1::text[]) or product_id = any($2::text[]) order by sku for update`,
};
const productById: Statement = {
  name: "catalog_product_by_id",
  text: `select ${columns} from catalog.products where id = $1`,
};
const insertProducts: Statement = {
  name: "catalog_insert_products",
  text: `insert into catalog.products (${columns})
         select * from unnest($1::text[], $2::text[], $3::json[], $4::timestamptz[], $5::timestamptz[])`,
};
const updateProducts: Statement = {
  name: "catalog_update_products",
  text: `update catalog.products p set name = v.name, skus = v.skus, updated_at = v.updated_at
         from unnest($1::text[], $2::text[], $3::json[], $4::timestamptz[], $5::timestamptz[]) as v (${columns})
         where p.id = v.id`,
};
const deleteOwners: Statement = {
  name: "catalog_delete_owners",
  text: "delete from catalog.product_skus where product_id = any($1::text[])",
};
const insertOwners: Statement = {
  name: "catalog_insert_owners",
  text: "insert into catalog.product_skus (sku, product_id) select * from unnest($1::text[], $2::text[])",
};
