import { withCommas } from "../../../kernel/number.ts";
import { InfrastructureError } from "../../../platform/errors.ts";
import type { LogBatch } from "../../../platform/log/read.ts";
import type { Reader, Statement } from "../../../platform/postgres/statement.ts";
import type { Finding } from "../../../platform/service.ts";
import type { Reservation, StockRecord } from "../contract/index.ts";
import { keyOf } from "../stock.ts";
import { parseReservation } from "../store/load.ts";
import { LogFold } from "./log-fold.ts";

const batchesAtOnce = 100;
const rowsAtOnce = 5_000;

/**
 * Folds the log and compares every row with what comes of it: from nothing or, where retention has dropped the log's
 * beginning, from the stock that was kept of it.
 */
export async function logExplainsTables(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  const fold = new LogFold();
  await foldBase(database, fold);
  let batches = await readBatches(database, fold.horizon);
  await assertNothingDropped(database);
  while (batches.length > 0) {
    for (const batch of batches) fold.add(batch);
    await settleClosed(database, fold);
    onProgress(`${withCommas(fold.events)} events replayed`);
    batches = await readBatches(database, batches.at(-1)!.position);
  }
  await compareReservations(database, fold, [...fold.reservations.keys()]);
  const [{ count: reservations, older }] = (await database.read<{ count: number; older: number }>(
    countReservations,
    [fold.horizon],
  )) as [{ count: number; older: number }];
  if (reservations !== fold.settled) {
    fold.reservationViolations.push(`${reservations} reservations are kept, the log knows ${fold.settled}`);
  }
  const records = await compareStock(database, fold);
  const origin = fold.horizon > 0 ? `the stock at position ${fold.horizon}` : "nothing";
  return [
    {
      check: `promise 4: replaying the log from ${origin} gives the stock, to the unit`,
      looked_at: `${withCommas(fold.events)} events against ${withCommas(records)} stock records`,
      violations: fold.stockViolations,
    },
    {
      check: "promises 2 and 4: replaying the log gives every reservation that began in it",
      looked_at:
        `${withCommas(fold.events)} events against ${withCommas(reservations)} reservations` +
        (older > 0 ? `; ${withCommas(older)} began before the log that is kept, and were not compared` : ""),
      violations: fold.reservationViolations,
    },
  ];
}

/** Seeds the fold with what the part of the log that was dropped has come to. */
async function foldBase(database: Reader, fold: LogFold): Promise<void> {
  let rows = await database.read<{ position: number; events: string }>(basePage, [0]);
  while (rows.length > 0) {
    for (const { events } of rows) {
      for (const { data } of JSON.parse(events) as { data: { records: StockRecord[] } }[]) {
        for (const record of data.records) {
          // What was kept before there was anything to owe says nothing of it.
          const { quantity_owed = 0 } = record;
          const last_updated_at = new Date(record.last_updated_at);
          fold.stock.set(keyOf(record), { ...record, quantity_owed, last_updated_at });
        }
      }
    }
    fold.horizon = rows.at(-1)!.position;
    rows = await database.read(basePage, [fold.horizon]);
  }
}

/**
 * Dropping a table is seen at once, by those too who look at the database as it was. Reading the log has locked what it
 * consists of now, so this tells whether something went before.
 */
async function assertNothingDropped(database: Reader): Promise<void> {
  const [{ dropped }] = (await database.read<{ dropped: number }>(droppedMeanwhile)) as [{ dropped: number }];
  if (dropped === 0) return;
  throw new InfrastructureError(
    "log.dropped_meanwhile",
    "a part of the log was dropped just now; run this again",
    {
      retryable: true,
    },
  );
}

/** What has ended for good is compared at once and forgotten: memory holds the others alone. */
async function settleClosed(database: Reader, fold: LogFold): Promise<void> {
  await compareReservations(
    database,
    fold,
    fold.takeClosed(),
    (row, folded) => row.positions.at(-1)! > folded.positions.at(-1)!,
  );
}

async function compareReservations(
  database: Reader,
  fold: LogFold,
  ids: string[],
  goesOn: (row: Reservation, folded: Reservation) => boolean = () => false,
): Promise<void> {
  for (let i = 0; i < ids.length; i += rowsAtOnce) {
    const some = ids.slice(i, i + rowsAtOnce);
    const found = (await database.read<Reservation>(reservationsById, [some])).map(parseReservation);
    const rows = new Map(found.map((row) => [row.id, row]));
    for (const id of some) {
      const folded = fold.reservations.get(id)!;
      const row = rows.get(id);
      if (row !== undefined && goesOn(row, folded)) continue;
      fold.reservations.delete(id);
      if (row !== undefined && row.positions[0]! <= fold.horizon) continue;
      fold.settled++;
      if (row === undefined) fold.reservationViolations.push(`${id} is in the log but not in the table`);
      else if (spelled(row) !== spelled(folded)) {
        fold.reservationViolations.push(
          `${id}: the table has ${spelled(row)}, the log gives ${spelled(folded)}`,
        );
      }
    }
  }
}

function spelled(r: Reservation): string {
  const {
    id,
    status,
    lines,
    order_id,
    reason,
    refusal,
    expires_at,
    created_at,
    updated_at,
    keys,
    positions,
  } = r;
  return JSON.stringify([
    id,
    status,
    lines.map((line) => [line.sku, line.store_id, line.quantity, line.quantity_committed]),
    [order_id, reason, refusal, expires_at, created_at, updated_at, keys, positions],
  ]);
}

async function compareStock(database: Reader, fold: LogFold): Promise<number> {
  let after: StockRecord | undefined;
  let count = 0;
  for (;;) {
    const rows: StockRecord[] = await database.read<StockRecord>(stockPage, [
      after?.sku ?? null,
      after?.store_id ?? null,
      rowsAtOnce,
    ]);
    for (const row of rows) {
      const folded = fold.stock.get(keyOf(row));
      if (folded === undefined || !isSameStock(row, folded)) {
        fold.stockViolations.push(
          `${row.sku} in ${row.store_id}: the table has ${JSON.stringify(row)}, the log gives ${JSON.stringify(folded)}`,
        );
      }
    }
    count += rows.length;
    after = rows.at(-1);
    if (rows.length < rowsAtOnce) break;
  }
  if (count !== fold.stock.size) {
    fold.stockViolations.push(`${count} stock records are kept, the log knows ${fold.stock.size}`);
  }
  return count;
}

function isSameStock(a: StockRecord, b: StockRecord): boolean {
  return (
    a.quantity_on_hand === b.quantity_on_hand &&
    a.quantity_reserved === b.quantity_reserved &&
    a.quantity_available === b.quantity_available &&
    a.quantity_owed === b.quantity_owed &&
    a.version === b.version &&
    a.last_updated_at.getTime() === b.last_updated_at.getTime()
  );
}

async function readBatches(database: Reader, after: number): Promise<LogBatch[]> {
  const rows = await database.read<LogBatch & { events: string }>(logPage, [after, batchesAtOnce]);
  return rows.map((row) => ({ ...row, events: JSON.parse(row.events) }));
}

const countReservations: Statement = {
  name: "inventory_verify_count_reservations",
  text: `select count(*) filter (where positions[1] > $1) as count,
                count(*) filter (where positions[1] <= $1) as older
         from inventory.reservations`,
};
const basePage: Statement = {
  name: "inventory_verify_base",
  text: "select position, events from inventory.log_base where position > $1 order by position limit 20",
};
const droppedMeanwhile: Statement = {
  name: "inventory_verify_dropped",
  text: `select count(*) as dropped from pg_inherits join pg_class on pg_class.oid = inhrelid
         where inhparent = 'inventory.log'::regclass and to_regclass('inventory.' || relname) is null`,
};
const logPage: Statement = {
  name: "inventory_verify_log",
  // A place in the log is taken while the locks are held, so this is the order in which each record was changed.
  text: `select position, at, events from inventory.log where position > $1 order by position limit $2`,
};
const reservationsById: Statement = {
  name: "inventory_verify_reservations",
  text: `select id, status, lines, order_id, reason, refusal, expires_at, created_at, updated_at, keys, positions
         from inventory.reservations where id = any($1::text[])`,
};
const stockPage: Statement = {
  name: "inventory_verify_stock",
  text: `select sku, store_id, product_id, quantity_on_hand, quantity_reserved, quantity_available, quantity_owed,
                version, last_updated_at, listed
         from inventory.stock where ($1::text is null or (sku, store_id) > ($1, $2))
         order by sku, store_id limit $3`,
};
