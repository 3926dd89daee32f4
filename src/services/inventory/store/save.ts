import type { Transaction } from "../../../platform/batch/transaction.ts";
import type { EventRecord } from "../../../platform/log/append.ts";
import type { Statement } from "../../../platform/postgres/statement.ts";
import type { StockBook } from "../book.ts";
import type { RecordedEvent, Reservation, StockKey } from "../contract/index.ts";
import { keyOf } from "../stock.ts";
import { columns, log, skuColumns } from "./schema.ts";

export function saveBook(tx: Transaction, book: StockBook): void {
  const changed = book.changedStock().filter((record) => book.opened.get(record) === undefined);
  const opened = book.openedStock();
  const history = [...changed, ...opened];
  // Rows are inserted in the order of their keys: of two processes with the same new ones, neither waits for the other
  // while it is waited for.
  const reservations = book.touchedReservations().sort((a, b) => (a.id < b.id ? -1 : 1));
  const created = reservations.filter(({ id }) => book.created.has(id));
  const updated = reservations.filter(({ id }) => !book.created.has(id));

  if (book.relisted.size > 0) {
    const skus = [...book.relisted.values()].sort((a, b) => (a.sku < b.sku ? -1 : 1));
    tx.write(upsertSkus, columns(skus, skuColumns));
    tx.write(relistStock, columns(skus, ["sku"]));
  }
  if (opened.length > 0) tx.write(insertStock, [...columns(opened.sort(byKey), openedColumns), book.now]);
  if (changed.length > 0) {
    if (book.owes) tx.write(updateStockAndOwed, [book.now, ...columns(changed, changedColumnsAndOwed)]);
    else tx.write(updateStock, [book.now, ...columns(changed, changedColumns)]);
  }
  if (history.length > 0) {
    const mark = [book.now, book.mark.position];
    if (book.owes) tx.write(insertHistoryAndOwed, [...mark, ...columns(history, historyColumnsAndOwed)]);
    else tx.write(insertHistory, [...mark, ...columns(history, historyColumns)]);
  }
  if (created.length > 0) {
    tx.write(insertReservations, [...reservationArrays(created), book.now, book.mark.position]);
  }
  if (updated.length > 0)
    tx.write(updateReservations, [...reservationArrays(updated), book.now, book.mark.position]);
  if (book.adjusted.length > 0) {
    tx.write(insertAdjustments, [
      ...columns(book.adjusted, ["id", "reason", "actor"]),
      book.adjusted.map(({ lines }) => JSON.stringify(lines)),
      book.now,
    ]);
  }
  log.append(tx, book.mark, book.events.map(asRecord));
}

function asRecord({ event, origin: { traceparent, cause } }: StockBook["events"][number]): EventRecord {
  return {
    type: event.type,
    subject: subjectOf(event),
    data: event.data,
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(cause === undefined ? {} : { cause }),
  };
}

function subjectOf(event: RecordedEvent): string {
  if ("reservation_id" in event.data) return event.data.reservation_id;
  if ("sku" in event.data) return event.data.sku;
  return event.data.adjustment_id ?? event.data.lines[0]!.sku;
}

function byKey(a: StockKey, b: StockKey): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

function reservationArrays(reservations: readonly Reservation[]): unknown[][] {
  return [
    reservations.map((reservation) => reservation.id),
    reservations.map((reservation) => reservation.status),
    reservations.map((reservation) => JSON.stringify(reservation.lines)),
    reservations.map((reservation) => reservation.reason),
    reservations.map((reservation) => reservation.refusal && JSON.stringify(reservation.refusal)),
    reservations.map((reservation) => reservation.expires_at),
    reservations.map(({ keys }) => (keys.length > 0 ? JSON.stringify(keys) : null)),
    reservations.map((reservation) => reservation.order_id),
  ];
}

const changedColumns = [
  "sku",
  "store_id",
  "quantity_on_hand",
  "quantity_reserved",
  "quantity_available",
  "version",
] as const;
const updateStock: Statement = {
  name: "inventory_update_stock",
  text: `update inventory.stock
         set quantity_on_hand = v.quantity_on_hand, quantity_reserved = v.quantity_reserved,
             quantity_available = v.quantity_available, version = v.version, last_updated_at = $1
         from unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::bigint[])
           as v (sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, version)
         where stock.sku = v.sku and stock.store_id = v.store_id`,
};
// Hardly any batch touches a record that owes something, so the others do not carry it.
const changedColumnsAndOwed = [...changedColumns, "quantity_owed"] as const;
const updateStockAndOwed: Statement = {
  name: "inventory_update_stock_and_owed",
  text: `update inventory.stock
         set quantity_on_hand = v.quantity_on_hand, quantity_reserved = v.quantity_reserved,
             quantity_available = v.quantity_available, version = v.version, quantity_owed = v.quantity_owed,
             last_updated_at = $1
         from unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::int[], $7::bigint[], $8::int[])
           as v (sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, version, quantity_owed)
         where stock.sku = v.sku and stock.store_id = v.store_id`,
};
const openedColumns = [...changedColumnsAndOwed, "product_id", "listed"] as const;
const insertStock: Statement = {
  name: "inventory_insert_stock",
  text: `insert into inventory.stock
           (sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, version, quantity_owed,
            product_id, listed, last_updated_at)
         select v.*, $10
         from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[], $6::bigint[], $7::int[], $8::text[],
                     $9::boolean[]) as v`,
};
const historyColumns = ["sku", "store_id", "version", "quantity_on_hand", "quantity_reserved"] as const;
const insertHistory: Statement = {
  name: "inventory_insert_history",
  text: `insert into inventory.stock_history
           (at, position, sku, store_id, version, quantity_on_hand, quantity_reserved)
         select $1, $2, v.* from unnest($3::text[], $4::text[], $5::bigint[], $6::int[], $7::int[]) as v`,
};
const historyColumnsAndOwed = [...historyColumns, "quantity_owed"] as const;
const insertHistoryAndOwed: Statement = {
  name: "inventory_insert_history_and_owed",
  text: `insert into inventory.stock_history
           (at, position, sku, store_id, version, quantity_on_hand, quantity_reserved, quantity_owed)
         select $1, $2, v.*
         from unnest($3::text[], $4::text[], $5::bigint[], $6::int[], $7::int[], $8::int[]) as v`,
};
const insertReservations: Statement = {
  name: "inventory_insert_reservations",
  text: `insert into inventory.reservations
           (id, status, lines, reason, refusal, expires_at, keys, order_id, created_at, updated_at, positions,
            sweep_at)
         select v.*, $9, $9, array[$10::bigint],
                case when v.status in ('held', 'confirmed') then coalesce(v.expires_at, 'infinity') end
         from unnest($1::text[], $2::text[], $3::json[], $4::text[], $5::json[], $6::timestamptz[], $7::json[],
                     $8::text[]) as v (id, status, lines, reason, refusal, expires_at, keys, order_id)`,
};
const updateReservations: Statement = {
  name: "inventory_update_reservations",
  text: `update inventory.reservations r
         set status = v.status, lines = v.lines, reason = v.reason, refusal = v.refusal, expires_at = v.expires_at,
             keys = v.keys, order_id = v.order_id, updated_at = $9, positions = r.positions || $10::bigint,
             sweep_at = case when v.status in ('held', 'confirmed')
                             then least(r.sweep_at, coalesce(v.expires_at, 'infinity')) end
         from unnest($1::text[], $2::text[], $3::json[], $4::text[], $5::json[], $6::timestamptz[], $7::json[],
                     $8::text[])
           as v (id, status, lines, reason, refusal, expires_at, keys, order_id)
         where r.id = v.id`,
};
const insertAdjustments: Statement = {
  name: "inventory_insert_adjustments",
  text: `insert into inventory.adjustments (id, reason, actor, lines, at)
         select v.*, $5 from unnest($1::text[], $2::text[], $3::text[], $4::json[]) as v`,
};
const upsertSkus: Statement = {
  name: "inventory_upsert_skus",
  // Where the partitions of the catalogue's topic are divided among processes, two of them may hear of one SKU at once. A
  // row that is there was locked before it was decided about; of two that find none, the second one's insert waits here,
  // and what the catalogue said later stays. The second one then meets the first one's stock record, and is run again.
  text: `insert into inventory.skus as s (${skuColumns.join(", ")})
         select * from unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::int[])
         on conflict (sku) do update
           set product_id = excluded.product_id, listed = excluded.listed,
               position = excluded.position, index = excluded.index
           where (s.position, s.index) < (excluded.position, excluded.index)`,
};
const relistStock: Statement = {
  name: "inventory_relist_stock",
  // By the row, which has the last word whoever wrote it. Most of what the catalogue says is said again: then no record
  // is written.
  text: `update inventory.stock set product_id = s.product_id, listed = s.listed
         from inventory.skus s
         where s.sku = any($1::text[]) and stock.sku = s.sku
           and (stock.product_id, stock.listed) is distinct from (s.product_id, s.listed)`,
};
