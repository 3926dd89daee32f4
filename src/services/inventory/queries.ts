import { decodeCursor, encodeCursor } from "../../kernel/page.ts";
import { readLogAt } from "../../platform/log/read.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type {
  InventoryEvent,
  Movement,
  RecordedEvent,
  Reservation,
  StatedLine,
  StockKey,
  StockRecord,
} from "./contract/index.ts";
import type { StockTotals } from "./metrics.ts";
import { keyOf } from "./stock.ts";
import { parseReservation } from "./store/load.ts";
import { schema } from "./store/schema.ts";

export interface Page<Item> {
  readonly items: Item[];
  readonly next: string | null;
}

export interface StockFilter {
  readonly sku?: string;
  readonly store_id?: string;
  readonly below?: number;
}

export class UnknownCursor extends Error {}

export async function findReservation(database: Reader, id: string): Promise<Reservation | undefined> {
  const [row] = await database.read<Reservation>(reservationById, [id]);
  return row && parseReservation(row);
}

export async function findStock(
  database: Reader,
  { store_id, sku }: StockKey,
): Promise<StockRecord | undefined> {
  const [record] = await database.read<StockRecord>(stockByKey, [sku, store_id]);
  return record;
}

/** The record as it stood at a moment of the past. */
export async function findStockAt(
  database: Reader,
  { store_id, sku }: StockKey,
  at: Date,
): Promise<StockRecord | undefined> {
  const [record] = await database.read<StockRecord>(stockAsOf, [sku, store_id, at]);
  return record;
}

export async function listStock(
  database: Reader,
  filter: StockFilter,
  after: string | undefined,
  limit: number,
): Promise<Page<StockRecord>> {
  const [sku, store_id] = start<[string, string]>(after, ["string", "string"]) ?? [null, null];
  const { sku: onlySku = null, store_id: onlyStore = null, below = null } = filter;
  const items = await database.read<StockRecord>(stockList, [
    onlySku,
    onlyStore,
    below,
    sku,
    store_id,
    limit,
  ]);
  return pageOf(items, limit, (last) => [last.sku, last.store_id]);
}

/** What happened to a record, oldest first. */
export async function listMovements(
  database: Reader,
  key: StockKey,
  after: string | undefined,
  limit: number,
): Promise<Page<Movement>> {
  const [time, version] = start<[number, number]>(after, ["number", "number"]) ?? [0, 0];
  const since = new Date(time);
  if (Number.isNaN(since.getTime())) throw new UnknownCursor("there is no such time");
  const marks = await database.read<HistoryMark>(historyOf, [key.sku, key.store_id, since, version, limit]);
  const batches = await readLogAt(
    database,
    schema,
    marks.map(({ position }) => position),
  );
  const movements = batches.flatMap(({ position, at, events }) =>
    events.flatMap((event, index) =>
      movementOf(event as RecordedEvent, key, `${schema}-${position}-${index}`, at),
    ),
  );
  const items = movements.filter((movement) => movement.version > version).slice(0, limit);
  // A batch holds many movements of the record or, when it has only opened it, none: a short page may not be the last.
  const lastMark = marks.length === limit ? marks.at(-1) : undefined;
  const last = items.length === limit ? items.at(-1) : lastMark;
  return { items, next: last === undefined ? null : encodeCursor([last.at.getTime(), last.version]) };
}

/** A batch that changed the record. */
interface HistoryMark {
  readonly position: number;
  readonly at: Date;
  readonly version: number;
}

const eventTypes: Partial<Record<InventoryEvent["type"], Movement["event_type"]>> = {
  InventoryReserved: "RESERVED",
  InventoryRetaken: "RESERVED",
  InventoryReleased: "RELEASED",
  InventoryCommitted: "COMMITTED",
  InventoryAdjusted: "ADJUSTED",
};

function movementOf(event: RecordedEvent, key: StockKey, event_id: string, at: Date): Movement[] {
  const event_type = eventTypes[event.type];
  if (event_type === undefined || !("lines" in event.data)) return [];
  const data: Partial<
    Record<
      "reservation_id" | "order_id" | "adjustment_id" | "reason" | "actor" | "occurred_at",
      string | null
    >
  > = event.data as object;
  const { reservation_id, order_id, adjustment_id, reason, actor, occurred_at } = data;
  const named = Object.fromEntries(
    Object.entries({ reservation_id, order_id, adjustment_id, reason, actor }).filter(
      ([, value]) => value != null,
    ),
  );
  const told = occurred_at == null ? {} : { occurred_at: new Date(occurred_at) };
  return event.data.lines
    .filter((line) => keyOf(line) === keyOf(key))
    .map(({ store_id: _store, sku: _sku, listed: _listed, ...result }: StatedLine) => ({
      event_id,
      at,
      event_type,
      ...result,
      ...named,
      ...told,
    }));
}

function start<Key extends readonly (string | number)[]>(
  after: string | undefined,
  shape: { [Index in keyof Key]: "string" | "number" },
): Key | undefined {
  if (after === undefined) return undefined;
  const key = decodeCursor<Key>(after, shape);
  if (key === undefined) throw new UnknownCursor("`after` is not a `next` that this list has given");
  return key;
}

function pageOf<Item>(
  items: Item[],
  limit: number,
  keyOfItem: (last: Item) => (string | number)[],
): Page<Item> {
  const last = items.length === limit ? items.at(-1) : undefined;
  return { items, next: last === undefined ? null : encodeCursor(keyOfItem(last)) };
}

/** Sums over all stock: for figures that somebody looks at, never on the road. */
export async function readTotals(database: Reader): Promise<StockTotals> {
  const [row] = await database.read<StockTotals>(totals);
  return row!;
}

const stockColumns = `product_id, store_id, sku, quantity_on_hand, quantity_reserved, quantity_available, quantity_owed,
  version, last_updated_at, listed`;

const reservationById: Statement = {
  name: "inventory_reservation_by_id",
  text: `select id, status, lines, order_id, reason, refusal, expires_at, created_at, updated_at, keys, positions
         from inventory.reservations where id = $1`,
};
const stockByKey: Statement = {
  name: "inventory_stock_by_key",
  text: `select ${stockColumns} from inventory.stock where sku = $1 and store_id = $2`,
};
const stockAsOf: Statement = {
  name: "inventory_stock_as_of",
  text: `select s.product_id, h.store_id, h.sku, h.quantity_on_hand, h.quantity_reserved,
                h.quantity_on_hand - h.quantity_reserved as quantity_available, h.quantity_owed, h.version,
                h.at as last_updated_at, s.listed
         from inventory.stock_history h join inventory.stock s on s.sku = h.sku and s.store_id = h.store_id
         where h.sku = $1 and h.store_id = $2 and h.at <= $3
         order by h.at desc, h.version desc limit 1`,
};
const stockList: Statement = {
  name: "inventory_stock_list",
  text: `select ${stockColumns} from inventory.stock
         where ($1::text is null or sku = $1) and ($2::text is null or store_id = $2)
           and ($3::int is null or quantity_available < $3)
           and ($4::text is null or (sku, store_id) > ($4, $5))
         order by sku, store_id limit $6`,
};
const historyOf: Statement = {
  name: "inventory_history_of",
  text: `select position, at, version from inventory.stock_history
         where sku = $1 and store_id = $2 and (at, version) > ($3, $4) order by at, version limit $5`,
};
const totals: Statement = {
  name: "inventory_totals",
  text: `select coalesce(sum(quantity_on_hand), 0)::float8 as quantity_on_hand,
                coalesce(sum(quantity_reserved), 0)::float8 as quantity_reserved,
                count(*) filter (where quantity_available < 0) as oversold,
                (select count(*) from inventory.reservations
                 where sweep_at < now() - interval '1 minute'
                   and status = 'held' and expires_at < now() - interval '1 minute') as orphaned
         from inventory.stock`,
};
