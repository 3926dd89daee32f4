import { createPool } from "../src/platform/postgres/pool.ts";
import type { Statement } from "../src/platform/postgres/statement.ts";
import { store_id } from "./database.ts";
import { type Measured, run } from "./load.ts";

/**
 * The baseline: a transaction for each reservation, written by hand as fast as it goes. It writes the same rows with the
 * same driver, but in one statement: one round trip, and the stock rows are locked for no longer than it takes to flush.
 * `pick` gives the SKUs of a reservation; they are locked in their order, or two reservations would deadlock.
 */
export async function oneByOne(
  url: string,
  connections: number,
  seconds: number,
  pick: () => readonly string[],
): Promise<Measured> {
  const pool = createPool(url, { max: connections, name: "baseline" });
  try {
    return await run({ callers: connections, seconds }, async (n) => {
      const skus = [...pick()].sort();
      const id = `baseline-${connections}-${n}`;
      const lines = skus.map((sku) => ({ store_id, sku, quantity: 1, quantity_committed: 0 }));
      const { rowCount } = await pool.query({
        ...reserve,
        values: [skus, id, JSON.stringify(lines), store_id],
      });
      if (rowCount !== 1) throw new Error("the baseline was refused");
    });
  } finally {
    await pool.end();
  }
}

const reserve: Statement = {
  name: "baseline_reserve",
  text: `
    with locked as (
      select sku, store_id from inventory.stock
      where sku = any($1::text[]) and store_id = $4 and quantity_available >= 1
      order by sku for update
    ), taken as (
      update inventory.stock s
      set quantity_reserved = quantity_reserved + 1, quantity_available = quantity_available - 1,
          version = version + 1, last_updated_at = clock_timestamp()
      from locked where s.sku = locked.sku and s.store_id = locked.store_id
      returning s.*
    ), place as (
      select nextval('inventory.log_position') as position
    ), history as (
      insert into inventory.stock_history
      select sku, store_id, last_updated_at, version, quantity_on_hand, quantity_reserved, position from taken, place
    ), held as (
      insert into inventory.reservations (id, status, lines, expires_at, sweep_at, created_at, updated_at, positions)
      select $2::text, 'held', $3::json, now() + interval '15 minutes', now() + interval '15 minutes', now(), now(),
             array[position]
      from place
    )
    insert into inventory.log (position, at, events)
    select position, now(), json_build_array(json_build_object('type', 'InventoryReserved', 'subject', $2::text,
             'data', json_build_object('reservation_id', $2::text, 'expires_at', now() + interval '15 minutes', 'key', null,
               'lines', (
                 select json_agg(json_build_object('store_id', store_id, 'sku', sku, 'quantity', 1,
                   'quantity_on_hand', quantity_on_hand, 'quantity_reserved', quantity_reserved,
                   'quantity_available', quantity_available, 'version', version))
                 from taken))))
    from place
    where (select count(*) from taken) = cardinality($1::text[])`,
};
