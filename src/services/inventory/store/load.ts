import type { Transaction } from "../../../platform/batch/transaction.ts";
import type { Statement } from "../../../platform/postgres/statement.ts";
import { countId, restockId } from "../adjustment.ts";
import { type InventorySettings, type KnownSku, StockBook } from "../book.ts";
import type { Adjustment, InventoryCommand, Reservation, StockKey, StockRecord } from "../contract/index.ts";
import { isOpen } from "../reservation.ts";
import { keyOf, StockMap } from "../stock.ts";
import { columns, log, skuColumns } from "./schema.ts";

interface LoadObserver {
  /** How long it took to find out which of the reservations are known already. */
  identified(seconds: number): void;
  /** How long it took until the stock was locked. */
  locked(seconds: number): void;
}

/**
 * Reads and locks what the commands touch: first reservations by id, then the SKUs of changed products, then stock by
 * key. Every transaction locks in this order, so no two of them can wait for each other.
 */
export async function loadBook(
  tx: Transaction,
  settings: InventorySettings,
  commands: readonly InventoryCommand[],
  contested: ReadonlySet<string>,
  observer?: LoadObserver,
): Promise<StockBook> {
  const wanted = collect(commands, contested);
  const forced = wanted.forced.values();
  // Before their records are locked; whoever comes in between shows in the sum.
  const candidates = forced.length > 0 ? await findHolders(tx, forced) : [];
  const started = performance.now();
  const [reservations, overdue, adjustments, skusOfProducts] = await Promise.all([
    readSome<Reservation>(tx, lockReservations, [...wanted.reservations, ...candidates]),
    wanted.overdue > 0 ? readOverdue(tx, wanted.overdue) : [],
    readSome<Adjustment>(tx, findAdjustments, wanted.adjustments),
    wanted.products.length > 0 ? tx.read<KnownSku>(findSkusOfProducts, [wanted.products, wanted.skus]) : [],
  ]);

  const held = [...reservations, ...overdue].map(parseReservation);
  const confirmsOnly = settings.commit_on === "fulfillment" && forced.length === 0;
  const movesStock = (r: Reservation) => wanted.moving.has(r.id) || !isOpen(r) || !confirmsOnly;
  for (const { lines } of [...reservations.filter(movesStock), ...overdue]) {
    for (const line of lines) wanted.keys.set(line, line);
  }
  const keys = wanted.keys.values();
  const synced = [...wanted.skus, ...skusOfProducts.map(({ sku }) => sku)];
  const identified = performance.now();
  if (wanted.reservations.length > 0) observer?.identified((identified - started) / 1_000);
  const [stock, mark] = await Promise.all([lockRecords(tx, keys, synced), log.mark(tx)]);
  if (keys.length > 0 && stock.length > 0) observer?.locked((performance.now() - identified) / 1_000);

  const strangers = stock.length < keys.length || synced.length > 0 ? missing(keys, stock) : [];
  const skus = await readSome<KnownSku>(tx, findSkus, strangers);

  return new StockBook(settings, {
    mark: { ...mark, now: notBefore(mark.now, stock) },
    stock,
    skus: [...skus, ...skusOfProducts],
    reservations: held,
    adjustments,
    overdue: overdue.map(({ id }) => id),
    contested: wanted.forced,
  });
}

const onlyConfirms = new Set<InventoryCommand["type"]>([
  "ConfirmReservation",
  "SecureReservation",
  "ExtendReservation",
]);

function collect(commands: readonly InventoryCommand[], contested: ReadonlySet<string>) {
  const keys = new StockMap<StockKey>();
  const forced = new StockMap<StockKey>();
  const reservations: string[] = [];
  // Whatever else there is to be done about an open hold moves no stock, so its records need not be locked.
  const moving = new Set<string>();
  const adjustments: string[] = [];
  const products: string[] = [];
  const skus: string[] = [];
  let overdue = 0;
  for (const command of commands) {
    if ("reservation_id" in command) {
      reservations.push(command.reservation_id);
      if (!onlyConfirms.has(command.type)) moving.add(command.reservation_id);
    }
    if ("lines" in command && command.lines !== undefined) {
      for (const line of command.lines) keys.set(line, line);
    }
    switch (command.type) {
      case "AdjustStock":
        adjustments.push(command.adjustment_id);
        if (command.force) for (const line of command.lines) forced.set(line, line);
        break;
      case "MoveStock":
        adjustments.push(command.adjustment_id);
        if (contested.size === 0) break;
        for (const line of command.lines) if (contested.has(keyOf(line))) forced.set(line, line);
        break;
      case "CountStock": {
        const id = countId(command);
        if (id !== null) adjustments.push(id);
        keys.set(command, command);
        if (command.force) forced.set(command, command);
        break;
      }
      case "ReleaseReservation":
        if (command.restock === true) adjustments.push(restockId(command));
        break;
      case "ExpireReservations":
        overdue += command.limit;
        break;
      case "SyncProduct":
        products.push(command.product_id);
        skus.push(...command.skus);
    }
  }
  return { keys, forced, reservations, moving, adjustments, products, skus, overdue };
}

/** The records of these keys, and all of these SKUs, in one order: with two statements there would be two of them. */
async function lockRecords(
  tx: Transaction,
  keys: readonly StockKey[],
  skus: readonly string[],
): Promise<StockRecord[]> {
  if (skus.length > 0) {
    return tx.read<StockRecord>(lockStockAndSkus, [...columns(keys, ["sku", "store_id"]), skus]);
  }
  return keys.length > 0 ? tx.read<StockRecord>(lockStock, columns(keys, ["sku", "store_id"])) : [];
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

function readOverdue(tx: Transaction, limit: number): Promise<Reservation[]> {
  tx.write(postponeSweep, [limit]);
  return tx.read<Reservation>(lockOverdue, [limit]);
}

/** Time never runs backwards for a record, even if the database's clock was set back. */
function notBefore(now: Date, stock: readonly StockRecord[]): Date {
  let latest = now;
  for (const { last_updated_at } of stock) if (last_updated_at > latest) latest = last_updated_at;
  return latest;
}

async function findHolders(tx: Transaction, keys: readonly StockKey[]): Promise<string[]> {
  const filters = keys.map(({ store_id, sku }) => JSON.stringify([{ store_id, sku }]));
  const rows = await tx.read<{ id: string }>(findHoldersOf, [filters]);
  return rows.map(({ id }) => id);
}

type ReservationRow = Omit<Reservation, "keys"> & { keys: string[] | null };

export function parseReservation(row: Reservation): Reservation {
  return { ...row, keys: (row as ReservationRow).keys ?? [] };
}

const reservationColumns = `id, status, lines, order_id, reason, refusal, expires_at, created_at, updated_at,
  keys, positions`;
const stockColumns = `sku, store_id, product_id, quantity_on_hand, quantity_reserved, quantity_available, quantity_owed,
  version, last_updated_at, listed`;

const lockReservations: Statement = {
  name: "inventory_lock_reservations",
  text: `select ${reservationColumns} from inventory.reservations where id = any($1::text[]) order by id for update`,
};
// Looked up in the index as a range, so that without statistics it is not taken for a third of all reservations; and by
// now(), for clock_timestamp() would be asked of every open one. What another process is sweeping, or
// somebody is using, is left to them.
const isToBeSwept = "sweep_at between '-infinity' and date_trunc('milliseconds', now())";
const lockOverdue: Statement = {
  name: "inventory_lock_overdue",
  text: `select ${reservationColumns} from inventory.reservations
         where ${isToBeSwept}
           and status = 'held' and expires_at <= date_trunc('milliseconds', now())
         order by sweep_at limit $1 for update skip locked`,
};
/** Those that were extended or confirmed since, which does not move them in the index. */
const postponeSweep: Statement = {
  name: "inventory_postpone_sweep",
  text: `update inventory.reservations set sweep_at = coalesce(expires_at, 'infinity')
         where id in (select id from inventory.reservations
                      where ${isToBeSwept}
                        and (status <> 'held' or expires_at > date_trunc('milliseconds', now()))
                      order by sweep_at limit $1 for update skip locked)`,
};
// json_to_recordset would be planned as 100 rows and end in a scan of all stock; arrays stay an index lookup each.
const lockStock: Statement = {
  name: "inventory_lock_stock",
  text: `select ${prefixed(stockColumns, "stock")}
         from unnest($1::text[], $2::text[]) as wanted (sku, store_id)
         join inventory.stock on stock.sku = wanted.sku and stock.store_id = wanted.store_id
         order by stock.sku, stock.store_id for update of stock`,
};
const lockStockAndSkus: Statement = {
  name: "inventory_lock_stock_and_skus",
  // A join with both would be planned as a scan of all stock; this looks up each SKU, and leaves out what is not wanted.
  text: `select ${stockColumns} from inventory.stock
         where sku = any($1::text[] || $3::text[])
           and (sku = any($3::text[]) or (sku, store_id) in (select * from unnest($1::text[], $2::text[])))
         order by sku, store_id for update`,
};
const findSkus: Statement = {
  name: "inventory_find_skus",
  text: `select ${skuColumns.join(", ")} from inventory.skus where sku = any($1::text[])`,
};
const findSkusOfProducts: Statement = {
  name: "inventory_find_skus_of_products",
  text: `select ${skuColumns.join(", ")} from inventory.skus
         where product_id = any($1::text[]) or sku = any($2::text[]) order by sku for update`,
};
const findAdjustments: Statement = {
  name: "inventory_find_adjustments",
  text: "select id, reason, actor, at, lines from inventory.adjustments where id = any($1::text[])",
};
const findHoldersOf: Statement = {
  name: "inventory_find_holders",
  // All that are open. Without statistics, "is not null" would be planned as nearly every reservation there ever was.
  text: `select id from inventory.reservations
         where sweep_at between '-infinity' and 'infinity' and lines::jsonb @> any($1::jsonb[])`,
};

function prefixed(names: string, table: string): string {
  return names
    .split(",")
    .map((name) => `${table}.${name.trim()}`)
    .join(", ");
}
