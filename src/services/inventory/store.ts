import { TryAgain } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import { type EventRecord, logWriter } from "../../platform/log/append.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import { countId } from "./adjustment.ts";
import { type InventorySettings, type KnownSku, StockBook } from "./book.ts";
import type {
  Adjustment,
  InventoryCommand,
  RecordedEvent,
  Reservation,
  StockKey,
  StockRecord,
} from "./contract.ts";
import { remaining } from "./reservation.ts";
import { keyOf, StockMap } from "./stock.ts";

export const schema = "inventory";
const log = logWriter(schema);

// ---- load ----------------------------------------------------------------------------------------------------------

interface LoadObserver {
  /** How long it took to find out which of the reservations are known already. */
  identified(seconds: number): void;
  /** How long it took until the stock was locked. */
  locked(seconds: number): void;
}

/**
 * Reads and locks what the commands touch: first reservations by id, then stock by key. Every transaction locks in this
 * order, so no two of them can wait for each other.
 */
export async function loadBook(
  tx: Transaction,
  settings: InventorySettings,
  commands: readonly InventoryCommand[],
  observer?: LoadObserver,
): Promise<StockBook> {
  const wanted = collect(commands);
  const forced = wanted.forced.values();
  const candidates = forced.length > 0 ? await findHolders(tx, forced) : [];
  const started = performance.now();
  const [reservations, overdue, adjustments, skusOfProducts] = await Promise.all([
    readSome<Reservation>(tx, lockReservations, [...wanted.reservations, ...candidates]),
    wanted.overdue > 0 ? tx.read<Reservation>(lockOverdue, [wanted.overdue]) : [],
    readSome<Adjustment>(tx, findAdjustments, wanted.adjustments),
    wanted.products.length > 0 ? tx.read<KnownSku>(findSkusOfProducts, [wanted.products, wanted.skus]) : [],
  ]);

  const held = [...reservations, ...overdue].map(parseReservation);
  for (const { lines } of held) for (const line of lines) wanted.keys.set(line, line);
  const keys = wanted.keys.values();
  const listed = skusOfProducts.map(({ sku }) => sku);
  const identified = performance.now();
  observer?.identified((identified - started) / 1_000);
  const [stock, stockOfProducts, mark] = await Promise.all([
    keys.length > 0 ? tx.read<StockRecord>(lockStock, columns(keys, ["sku", "store_id"])) : [],
    wanted.products.length > 0 ? tx.read<StockRecord>(lockStockOfSkus, [[...wanted.skus, ...listed]]) : [],
    log.mark(tx),
  ]);
  observer?.locked((performance.now() - identified) / 1_000);

  const strangers = stock.length < keys.length ? missing(keys, stock) : [];
  const skus = await readSome<KnownSku>(tx, findSkus, strangers);

  const book = new StockBook(settings, {
    mark: { ...mark, now: notBefore(mark.now, stock) },
    stock: [...stock, ...stockOfProducts],
    skus: [...skus, ...skusOfProducts],
    reservations: held,
    adjustments,
    overdue: overdue.map(({ id }) => id),
  });
  for (const key of forced) assertHoldersComplete(book, key);
  return book;
}

function collect(commands: readonly InventoryCommand[]) {
  const keys = new StockMap<StockKey>();
  const forced = new StockMap<StockKey>();
  const reservations: string[] = [];
  const adjustments: string[] = [];
  const products: string[] = [];
  const skus: string[] = [];
  let overdue = 0;
  for (const command of commands) {
    if ("reservation_id" in command) reservations.push(command.reservation_id);
    if ("lines" in command && command.lines !== undefined) {
      for (const line of command.lines) keys.set(line, line);
    }
    switch (command.type) {
      case "AdjustStock":
        adjustments.push(command.adjustment_id);
        if (command.force) for (const line of command.lines) forced.set(line, line);
        break;
      case "CountStock": {
        const id = countId(command);
        if (id !== null) adjustments.push(id);
        keys.set(command, command);
        if (command.force) forced.set(command, command);
        break;
      }
      case "ExpireReservations":
        overdue += command.limit;
        break;
      case "SyncProduct":
        products.push(command.product_id);
        skus.push(...command.skus);
    }
  }
  return { keys, forced, reservations, adjustments, products, skus, overdue };
}

/** SKUs without a record where they were looked for. */
function missing(keys: readonly StockKey[], stock: readonly StockRecord[]): string[] {
  const found = new StockMap<StockRecord>();
  for (const record of stock) found.set(record, record);
  return keys.filter((key) => found.get(key) === undefined).map(({ sku }) => sku);
}

async function readSome<Row>(tx: Transaction, statement: Statement, keys: readonly string[]): Promise<Row[]> {
  return keys.length > 0 ? tx.read<Row>(statement, [keys]) : [];
}

/** Time never runs backwards for a record, even if the database's clock was set back. */
function notBefore(now: Date, stock: readonly StockRecord[]): Date {
  let latest = now;
  for (const { last_updated_at } of stock) if (last_updated_at > latest) latest = last_updated_at;
  return latest;
}

/** Who holds a SKU is looked up before its record is locked; whoever came in between shows in the sum. */
async function findHolders(tx: Transaction, keys: readonly StockKey[]): Promise<string[]> {
  const filters = keys.map(({ store_id, sku }) => JSON.stringify([{ store_id, sku }]));
  const rows = await tx.read<{ id: string }>(findHoldersOf, [filters]);
  return rows.map(({ id }) => id);
}

function assertHoldersComplete(book: StockBook, key: StockKey): void {
  const held = book
    .openReservations()
    .flatMap(({ lines }) => lines)
    .filter((line) => keyOf(line) === keyOf(key))
    .reduce((total, line) => total + remaining(line), 0);
  const reserved = book.stock(key)?.quantity_reserved ?? 0;
  if (held !== reserved) throw new TryAgain(`the holds on ${key.sku} changed while they were looked up`);
}

type ReservationRow = Omit<Reservation, "keys"> & { keys: string[] | null };

export function parseReservation(row: Reservation): Reservation {
  return { ...row, keys: (row as ReservationRow).keys ?? [] };
}

const reservationColumns = `id, status, lines, order_id, reason, refusal, expires_at, created_at, updated_at,
  keys, positions`;
const stockColumns = `sku, store_id, product_id, quantity_on_hand, quantity_reserved, quantity_available, version,
  last_updated_at, listed`;

const lockReservations: Statement = {
  name: "inventory_lock_reservations",
  text: `select ${reservationColumns} from inventory.reservations where id = any($1::text[]) order by id for update`,
};
const lockOverdue: Statement = {
  name: "inventory_lock_overdue",
  // What another process is sweeping, or somebody is using, is left to them.
  text: `select ${reservationColumns} from inventory.reservations
         where status = 'held' and expires_at <= date_trunc('milliseconds', clock_timestamp())
         order by expires_at limit $1 for update skip locked`,
};
// json_to_recordset would be planned as 100 rows and end in a scan of all stock; arrays stay an index lookup each.
const lockStock: Statement = {
  name: "inventory_lock_stock",
  text: `select ${prefixed(stockColumns, "stock")}
         from unnest($1::text[], $2::text[]) as wanted (sku, store_id)
         join inventory.stock on stock.sku = wanted.sku and stock.store_id = wanted.store_id
         order by stock.sku, stock.store_id for update of stock`,
};
const lockStockOfSkus: Statement = {
  name: "inventory_lock_stock_of_skus",
  text: `select ${stockColumns} from inventory.stock where sku = any($1::text[]) order by sku, store_id for update`,
};
const findSkus: Statement = {
  name: "inventory_find_skus",
  text: "select sku, product_id, listed from inventory.skus where sku = any($1::text[])",
};
const findSkusOfProducts: Statement = {
  name: "inventory_find_skus_of_products",
  text: `select sku, product_id, listed from inventory.skus
         where product_id = any($1::text[]) or sku = any($2::text[]) order by sku for update`,
};
const findAdjustments: Statement = {
  name: "inventory_find_adjustments",
  text: "select id, reason, actor, at, lines from inventory.adjustments where id = any($1::text[])",
};
const findHoldersOf: Statement = {
  name: "inventory_find_holders",
  text: `select id from inventory.reservations
         where status in ('held', 'confirmed') and lines::jsonb @> any($1::jsonb[])`,
};

// ---- save ----------------------------------------------------------------------------------------------------------

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
    const skus = [...book.relisted.values()];
    tx.write(upsertSkus, columns(skus, ["sku", "product_id", "listed"]));
    tx.write(relistStock, columns(skus, ["sku", "product_id", "listed"]));
  }
  if (opened.length > 0) tx.write(insertStock, [...columns(opened.sort(byKey), openedColumns), book.now]);
  if (changed.length > 0) tx.write(updateStock, [...columns(changed, changedColumns), book.now]);
  if (history.length > 0)
    tx.write(insertHistory, [...columns(history, historyColumns), book.now, book.mark.position]);
  if (created.length > 0) {
    tx.write(insertReservations, [
      ...reservationArrays(created),
      created.map((r) => r.order_id),
      book.now,
      book.mark.position,
    ]);
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

function asRecord({ event, traceparent }: StockBook["events"][number]): EventRecord {
  const record = { type: event.type, subject: subjectOf(event), data: event.data };
  return traceparent === undefined ? record : { ...record, traceparent };
}

function subjectOf(event: RecordedEvent): string {
  if ("reservation_id" in event.data) return event.data.reservation_id;
  if ("sku" in event.data) return event.data.sku;
  return event.data.adjustment_id ?? event.data.lines[0]!.sku;
}

function byKey(a: StockKey, b: StockKey): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** One array for each column: what `unnest` takes. */
function columns<Row, Column extends keyof Row>(
  rows: readonly Row[],
  names: readonly Column[],
): Row[Column][][] {
  return names.map((name) => rows.map((row) => row[name]));
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
             quantity_available = v.quantity_available, version = v.version, last_updated_at = $7
         from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[], $6::bigint[])
           as v (sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, version)
         where stock.sku = v.sku and stock.store_id = v.store_id`,
};
const openedColumns = [...changedColumns, "product_id", "listed"] as const;
const insertStock: Statement = {
  name: "inventory_insert_stock",
  text: `insert into inventory.stock
           (sku, store_id, quantity_on_hand, quantity_reserved, quantity_available, version, product_id, listed,
            last_updated_at)
         select v.*, $9
         from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[], $6::bigint[], $7::text[], $8::boolean[])
           as v`,
};
const historyColumns = ["sku", "store_id", "version", "quantity_on_hand", "quantity_reserved"] as const;
const insertHistory: Statement = {
  name: "inventory_insert_history",
  text: `insert into inventory.stock_history
           (sku, store_id, version, quantity_on_hand, quantity_reserved, at, position)
         select v.*, $6, $7 from unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $5::int[]) as v`,
};
const insertReservations: Statement = {
  name: "inventory_insert_reservations",
  text: `insert into inventory.reservations
           (id, status, lines, reason, refusal, expires_at, keys, order_id, created_at, updated_at, positions)
         select v.*, $9, $9, array[$10::bigint]
         from unnest($1::text[], $2::text[], $3::json[], $4::text[], $5::json[], $6::timestamptz[], $7::json[],
                     $8::text[]) as v`,
};
const updateReservations: Statement = {
  name: "inventory_update_reservations",
  text: `update inventory.reservations r
         set status = v.status, lines = v.lines, reason = v.reason, refusal = v.refusal, expires_at = v.expires_at,
             keys = v.keys, updated_at = $8, positions = r.positions || $9::bigint
         from unnest($1::text[], $2::text[], $3::json[], $4::text[], $5::json[], $6::timestamptz[], $7::json[])
           as v (id, status, lines, reason, refusal, expires_at, keys)
         where r.id = v.id`,
};
const insertAdjustments: Statement = {
  name: "inventory_insert_adjustments",
  text: `insert into inventory.adjustments (id, reason, actor, lines, at)
         select v.*, $5 from unnest($1::text[], $2::text[], $3::text[], $4::json[]) as v`,
};
const upsertSkus: Statement = {
  name: "inventory_upsert_skus",
  text: `insert into inventory.skus (sku, product_id, listed)
         select * from unnest($1::text[], $2::text[], $3::boolean[])
         on conflict (sku) do update set product_id = excluded.product_id, listed = excluded.listed`,
};
const relistStock: Statement = {
  name: "inventory_relist_stock",
  text: `update inventory.stock set product_id = v.product_id, listed = v.listed
         from unnest($1::text[], $2::text[], $3::boolean[]) as v (sku, product_id, listed) where stock.sku = v.sku`,
};

function prefixed(names: string, table: string): string {
  return names
    .split(",")
    .map((name) => `${table}.${name.trim()}`)
    .join(", ");
}
