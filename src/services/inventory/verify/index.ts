import { withCommas } from "../../../kernel/number.ts";
import type { Reader, Statement } from "../../../platform/postgres/statement.ts";
import type { Finding } from "../../../platform/service.ts";
import type { StockRecord } from "../contract/index.ts";
import { logExplainsTables } from "./explained.ts";

/** Looks at a consistent view of everything; `database` is one transaction that sees no later commits. */
export async function verifyInventory(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  return [
    await neverOversold(database),
    await reservedIsHeld(database),
    await historyIsCurrent(database),
    ...(await logExplainsTables(database, onProgress)),
  ];
}

async function neverOversold(database: Reader): Promise<Finding> {
  const [{ count }] = (await database.read<{ count: number }>(countStock)) as [{ count: number }];
  const broken = await database.read<StockRecord>(unsoundStock);
  const constraints = await database.read<{ name: string }>(validConstraints);
  return {
    check: "promise 1: no stock is negative, and on hand = available + reserved",
    looked_at: `${withCommas(count)} stock records and the constraints on them`,
    violations: [
      ...broken.map((record) => `${record.sku} in ${record.store_id}: ${JSON.stringify(record)}`),
      ...["golden_rule", "never_oversold", "owed_when_nothing_is_left"]
        .filter((name) => !constraints.some((constraint) => constraint.name === name))
        .map((name) => `the constraint ${name} is missing`),
    ],
  };
}

async function reservedIsHeld(database: Reader): Promise<Finding> {
  const [{ count }] = (await database.read<{ count: number }>(countOpen)) as [{ count: number }];
  const broken = await database.read<{ sku: string; store_id: string; reserved: number; held: number }>(
    unheldStock,
  );
  return {
    check: "promise 1: what is reserved is what the open reservations hold",
    looked_at: `${withCommas(count)} open reservations`,
    violations: broken.map(
      (row) => `${row.sku} in ${row.store_id}: ${row.reserved} reserved, ${row.held} held`,
    ),
  };
}

async function historyIsCurrent(database: Reader): Promise<Finding> {
  const broken = await database.read<{ sku: string; store_id: string }>(staleHistory);
  return {
    check: "promise 4: the history of each record ends where the record stands",
    looked_at: "the latest entry of each record",
    violations: broken.map((row) => `${row.sku} in ${row.store_id}`),
  };
}

const countStock: Statement = {
  name: "inventory_verify_count_stock",
  text: "select count(*) from inventory.stock",
};
const unsoundStock: Statement = {
  name: "inventory_verify_unsound_stock",
  text: `select sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, quantity_owed
         from inventory.stock
         where quantity_available < 0 or quantity_reserved < 0
            or quantity_on_hand <> quantity_available + quantity_reserved
            or quantity_owed < 0 or (quantity_owed > 0 and quantity_on_hand > 0) limit 20`,
};
const validConstraints: Statement = {
  name: "inventory_verify_constraints",
  text: "select conname as name from pg_constraint where conrelid = 'inventory.stock'::regclass and convalidated",
};
const countOpen: Statement = {
  name: "inventory_verify_count_open",
  text: "select count(*) from inventory.reservations where status in ('held', 'confirmed')",
};
const unheldStock: Statement = {
  name: "inventory_verify_unheld_stock",
  text: `with held as (
           select line.sku, line.store_id, sum(line.quantity - line.quantity_committed) as held
           from inventory.reservations,
                json_to_recordset(lines) as line (sku text, store_id text, quantity int, quantity_committed int)
           where status in ('held', 'confirmed') group by 1, 2
         )
         select sku, store_id, coalesce(quantity_reserved, 0) as reserved, coalesce(held, 0) as held
         from inventory.stock full join held using (sku, store_id)
         where coalesce(quantity_reserved, 0) <> coalesce(held, 0) limit 20`,
};
const staleHistory: Statement = {
  name: "inventory_verify_stale_history",
  text: `select s.sku, s.store_id from inventory.stock s
         left join lateral (
           select * from inventory.stock_history h where h.sku = s.sku and h.store_id = s.store_id
           order by at desc, version desc limit 1
         ) h on true
         where (h.version, h.at, h.quantity_on_hand, h.quantity_reserved, h.quantity_owed) is distinct from
               (s.version, s.last_updated_at, s.quantity_on_hand, s.quantity_reserved, s.quantity_owed) limit 20`,
};
