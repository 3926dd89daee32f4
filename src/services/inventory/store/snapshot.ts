import type { LogSnapshot } from "../../../platform/log/drop.ts";
import type { Statement } from "../../../platform/postgres/statement.ts";
import type { StockKey } from "../contract/index.ts";

const recordsOfOneBatch = 500;
const recordsAtOnce = 500;
const rowsAtOnce = 10_000;

/**
 * The stock as the dropped part of the log has left it. `stock_history` knows where each record stood, so nothing is
 * replayed, and what PostgreSQL makes of it never comes here.
 */
export const stockSnapshot: LogSnapshot = {
  async take(tx, { after, position, at }) {
    const [row] = await tx.read<{ count: number }>(countStock);
    // Each batch needs a position of its own among those that were dropped.
    const portion = Math.max(recordsOfOneBatch, Math.ceil(row!.count / (position - after)));
    tx.write(takeSnapshot, [position, at, portion]);
  },

  /** Of the history before the horizon, each record keeps its last row: there the stock as of a later moment begins. */
  async forget(portion, { position, at }) {
    let after: StockKey | undefined;
    for (;;) {
      const values = [after?.sku ?? null, after?.store_id ?? null, recordsAtOnce, position, at, rowsAtOnce];
      const [done] = (await portion((tx) => tx.read<Forgotten>(forgetHistory, values))) ?? [];
      if (done === undefined) return false;
      // A record that has moved all the time is not done in one go.
      if (done.deleted === rowsAtOnce) continue;
      if (done.last === null) return true;
      after = done.last;
    }
  },
};

interface Forgotten {
  readonly last: StockKey | null;
  readonly deleted: number;
}

const countStock: Statement = {
  name: "inventory_snapshot_count",
  text: "select count(*) from inventory.stock",
};

/** Time never runs backwards for a record, so the last of its rows before the horizon is found from the horizon's time. */
const lastBefore = (position: string, at: string) =>
  `select h.* from inventory.stock_history h
   where h.sku = s.sku and h.store_id = s.store_id and h.at <= ${at} and h.position <= ${position}
   order by h.at desc, h.version desc limit 1`;

const takeSnapshot: Statement = {
  name: "inventory_snapshot_take",
  // Spelled as the road spells its events; readers look at the text before they parse it.
  text: `insert into inventory.log_base (position, at, events)
         select $1::bigint - portion, $2::timestamptz,
                '[{"type":"StockSnapshot","subject":"stock","data":{"records":' || json_agg(record)::text || '}}]'
         from (
           select (row_number() over (order by s.sku, s.store_id) - 1) / $3::bigint as portion,
                  json_build_object(
                    'store_id', s.store_id, 'sku', s.sku, 'product_id', s.product_id,
                    'quantity_on_hand', h.quantity_on_hand, 'quantity_reserved', h.quantity_reserved,
                    'quantity_available', h.quantity_on_hand - h.quantity_reserved,
                    'quantity_owed', h.quantity_owed, 'version', h.version,
                    'last_updated_at', to_char(h.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'listed', s.listed
                  ) as record
           from inventory.stock s cross join lateral (${lastBefore("$1", "$2")}) h
         ) as records
         group by portion`,
};
const forgetHistory: Statement = {
  name: "inventory_snapshot_forget_history",
  text: `with page as (
           select sku, store_id from inventory.stock
           where $1::text is null or (sku, store_id) > ($1, $2) order by sku, store_id limit $3
         ), old as (
           select o.sku, o.store_id, o.at, o.version
           from page s cross join lateral (${lastBefore("$4", "$5")}) h
           join inventory.stock_history o
             on o.sku = h.sku and o.store_id = h.store_id and (o.at, o.version) < (h.at, h.version)
           limit $6
         ), gone as (
           delete from inventory.stock_history o using old
           where o.sku = old.sku and o.store_id = old.store_id and o.at = old.at and o.version = old.version
           returning 1
         )
         select (select count(*) from gone) as deleted,
                (select json_build_object('sku', sku, 'store_id', store_id) from page
                 order by sku desc, store_id desc limit 1) as last`,
};
