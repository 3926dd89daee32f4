import { decodeCursor, encodeCursor } from "../../kernel/page.ts";
import type { EventRecord } from "../../platform/log/append.ts";
import { readLogAt } from "../../platform/log/read.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { HeardRecord } from "./book.ts";
import type { Order, OrderStatus, Timeline } from "./contract.ts";
import { type OrderRow, orderColumns, parseOrder, schema } from "./store.ts";
import { type Step, storiesOf, timelineOf, type Written } from "./story.ts";

export interface OrderFilter {
  readonly status?: OrderStatus;
  readonly customer_id?: string;
  readonly from?: Date;
  readonly to?: Date;
}

export interface Page<Item> {
  readonly items: Item[];
  readonly next: string | null;
}

export class UnknownCursor extends Error {}

export async function findOrder(database: Reader, id: string): Promise<Order | undefined> {
  const [order] = await findOrders(database, [id]);
  return order;
}

export async function findOrders(database: Reader, ids: readonly string[]): Promise<Order[]> {
  return (await findRows(database, ids)).map(parseOrder);
}

export function findRows(database: Reader, ids: readonly string[]): Promise<OrderRow[]> {
  return database.read<OrderRow>(ordersById, [ids]);
}

/** The newest first. */
export async function listOrders(
  database: Reader,
  filter: OrderFilter,
  after: string | undefined,
  limit: number,
): Promise<Page<Order>> {
  const { text, values, name } = listStatement(filter, after === undefined ? undefined : idOf(after), limit);
  const items = (await database.read<OrderRow>({ name, text }, values)).map(parseOrder);
  const last = items.length === limit ? items.at(-1) : undefined;
  return { items, next: last === undefined ? null : encodeCursor([last.id]) };
}

function idOf(after: string): string {
  const [id] = decodeCursor<[string]>(after, ["string"]) ?? [];
  if (id === undefined) throw new UnknownCursor("`after` is not a `next` that this list has given");
  return id;
}

const open: ReadonlySet<OrderStatus> = new Set(["pending", "reserved", "paid"]);

/** One statement for each set of filters, so that each finds its index: an "or is null" would hide them all. */
function listStatement(filter: OrderFilter, below: string | undefined, limit: number) {
  const { status, customer_id, from, to } = filter;
  const isOpen = status !== undefined && open.has(status);
  const clauses: [name: string, clause: (value: string) => string, value: unknown][] = [
    ["customer", ($) => `customer_id = ${$}`, customer_id],
    ["open", ($) => `ended_as is null and status = ${$}`, isOpen ? status : undefined],
    ["ended", ($) => `ended_as = ${$}`, isOpen ? undefined : status],
    ["to", ($) => `created_at < ${$}`, to],
    ["toid", ($) => `id < ${$}`, to && boundary(to, 1)],
    ["after", ($) => `id < ${$}`, below],
  ];
  const used = clauses.filter(([, , value]) => value !== undefined);
  const name = ["orders_list", ...used.map(([name]) => name)].join("_");
  const where = used.map(([, clause], i) => clause(`$${i + 2}`));
  const values = [limit, ...used.map(([, , value]) => value)];
  if (from === undefined) return { name, text: newestOf("orders.orders", where), values };
  const since = [`$${values.length + 1}`, `$${values.length + 2}`] as const;
  return {
    name: `${name}_from`,
    text: newestSince(where, ...since),
    values: [...values, from, boundary(from, -1)],
  };
}

/**
 * Orders whose ids are as new as they are, and the few whose ids are older. Those are taken from their own index before
 * anything else is asked of them: without statistics PostgreSQL would rather look through all that have ended. It then
 * takes a third of all rows to be later than a moment, and reads them all, but few to be between two.
 */
function newestSince(where: readonly string[], from: string, fromId: string): string {
  const timely = newestOf("orders.orders", [...where, `created_at >= ${from}`, `id >= ${fromId}`]);
  return `with late as materialized (
            select * from orders.orders
            where orders.late_at(id, created_at) between ${from} and 'infinity' and id < ${fromId})
          select * from ((${timely}) union all (${newestOf("late", where)})) as since order by id desc limit $1`;
}

function newestOf(orders: string, where: readonly string[]): string {
  const only = where.length > 0 ? `where ${where.join(" and ")}` : "";
  return `select ${orderColumns} from ${orders} ${only} order by id desc limit $1`;
}

/** The migration of `late_at` knows it too. */
const clockToleranceMs = 60_000;

/**
 * Ids begin with the time at which they were made, by a clock that may go differently from the database's: they narrow
 * the search down, and `created_at` decides.
 */
function boundary(moment: Date, direction: -1 | 1): string {
  const time = Math.max(0, moment.getTime() + direction * clockToleranceMs);
  const hex = time.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

export async function findTimeline(database: Reader, id: string): Promise<Timeline | undefined> {
  const [row] = await findRows(database, [id]);
  if (row === undefined) return undefined;
  return timelineOf(parseOrder(row), (await findStories(database, [row])).get(id) ?? []);
}

/** What happened to these orders, as far as the log reaches back. */
export async function findStories(database: Reader, rows: readonly OrderRow[]): Promise<Map<string, Step[]>> {
  const asides = await database.read<{ position: number }>(asidesOf, [rows.map(({ id }) => id)]);
  const places = [...rows.flatMap((row) => row.positions), ...asides.map(({ position }) => position)];
  const positions = [...new Set(places)];
  const log: Written<EventRecord>[] = await readLogAt(database, schema, positions);
  const heard = await database.read<{ position: number; at: Date; events: string }>(heardAt, [positions]);
  return storiesOf(
    new Set(rows.map(({ id }) => id)),
    log,
    heard.map((batch): Written<HeardRecord> => ({ ...batch, events: JSON.parse(batch.events) })),
  );
}

/** Orders that should have heard of their stock long ago. */
export async function countOrphans(database: Reader): Promise<number> {
  const [row] = await database.read<{ orphans: number }>(orphans);
  return row!.orphans;
}

const ordersById: Statement = {
  name: "orders_by_id",
  text: `select ${orderColumns} from orders.orders where id = any($1::text[])`,
};
const asidesOf: Statement = {
  name: "orders_asides_of",
  text: "select position from orders.asides where order_id = any($1::text[])",
};
const heardAt: Statement = {
  name: "orders_heard_at",
  text: "select position, at, events from orders.heard where position = any($1::bigint[]) order by position",
};
const orphans: Statement = {
  name: "orders_orphans",
  text: `select count(*) as orphans from orders.orders
         where ended_as is null and status = 'pending' and created_at < now() - interval '5 minutes'`,
};
