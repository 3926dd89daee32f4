import type { Transaction } from "../../platform/batch/transaction.ts";
import { logWriter } from "../../platform/log/append.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import { OrderBook } from "./book.ts";
import type { Order, OrderCommand, OrderSettings, Price } from "./contract.ts";
import { hasEnded } from "./order.ts";

export const schema = "orders";
const log = logWriter(schema);

/** Reads and locks what the commands touch: orders by id, then prices by SKU. */
export async function loadBook(
  tx: Transaction,
  settings: OrderSettings,
  commands: readonly OrderCommand[],
): Promise<OrderBook> {
  const { ids, requests, skus, products, offered, overdue, asides } = collect(commands);
  const [orders, late, asked, synced, told] = await Promise.all([
    ids.length + requests.length > 0 ? tx.read<Order>(lockOrders, [ids, requests]) : [],
    overdue > 0 ? tx.read<Order>(lockOverdue, [overdue]) : [],
    skus.length > 0 ? tx.read<Price>(findPrices, [skus]) : [],
    products.length > 0 ? tx.read<Price>(lockPrices, [products, offered]) : [],
    asides.length > 0 ? tx.read<{ event_id: string }>(findAsides, asideArrays(asides)) : [],
  ]);
  const mark = await log.mark(tx);
  return new OrderBook(settings, {
    mark,
    orders: [...orders, ...late],
    prices: [...asked, ...synced],
    overdue: late.map(({ id }) => id),
    told: told.map(({ event_id }) => event_id),
  });
}

function collect(commands: readonly OrderCommand[]) {
  const ids: string[] = [];
  const requests: string[] = [];
  const skus = new Set<string>();
  const products: string[] = [];
  const offered: string[] = [];
  const asides: OrderBook["asides"] = [];
  let overdue = 0;
  for (const command of commands) {
    switch (command.type) {
      case "SweepOrders":
        overdue += command.limit;
        break;
      case "TellOfOrder":
        asides.push({ order_id: command.order_id, event_id: command.heard.id });
        break;
      case "SyncPrices":
        products.push(command.product_id);
        for (const { sku } of command.skus) offered.push(sku);
        break;
      case "CreateOrder":
        requests.push(command.request_id);
        for (const { sku } of command.lines) skus.add(sku);
        break;
      case "CreateOrderFromCart":
        ids.push(command.order_id);
        for (const { sku } of command.lines) skus.add(sku);
        break;
      default:
        ids.push(command.order_id);
    }
  }
  return { ids, requests, skus: [...skus], products, offered, overdue, asides };
}

function asideArrays(asides: OrderBook["asides"]): string[][] {
  return [asides.map(({ order_id }) => order_id), asides.map(({ event_id }) => event_id)];
}

export function saveBook(tx: Transaction, book: OrderBook): void {
  const { mark } = book;
  // Rows are inserted in the order of their keys: of two processes with the same new ones, neither waits for the other
  // while it is waited for.
  const orders = [...book.touched].sort().map((id) => book.order(id)!);
  const created = orders.filter(({ id }) => book.created.has(id));
  const updated = orders.filter(({ id }) => !book.created.has(id));
  const prices = [...book.repriced].sort().map((sku) => book.prices.get(sku)!);
  if (created.length > 0) {
    tx.write(insertOrders, [...arrays(created, [...fixedColumns, ...changingColumns]), mark.position]);
  }
  if (updated.length > 0) {
    tx.write(updateOrders, [...arrays(updated, [identity, ...changingColumns]), mark.position]);
  }
  if (prices.length > 0)
    tx.write(
      upsertPrices,
      priceColumns.map((column) => prices.map((price) => price[column])),
    );
  if (book.asides.length > 0) {
    tx.write(insertAsides, [...asideArrays(book.asides), mark.position, mark.now]);
  }
  if (book.heard.length > 0) tx.write(insertHeard, [mark.position, mark.now, JSON.stringify(book.heard)]);
  log.append(tx, mark, book.events);
}

// ---- rows ----------------------------------------------------------------------------------------------------------

export type OrderRow = Order & { readonly positions: readonly number[] };

export function parseOrder({ positions: _, ...order }: OrderRow): Order {
  return order;
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly of: (order: Order) => unknown;
}

function column(name: keyof Order, type: string): Column {
  return { name, type, of: (order) => order[name] };
}

const identity = column("id", "text");

const fixedColumns: readonly Column[] = [
  identity,
  column("request_id", "text"),
  column("fingerprint", "text"),
  column("customer_id", "text"),
  { name: "lines", type: "json", of: ({ lines }) => JSON.stringify(lines) },
  column("total_minor", "bigint"),
  column("currency", "text"),
  column("token", "text"),
  column("reservation_id", "text"),
  column("cart_id", "text"),
  column("created_at", "timestamptz"),
];

const changingColumns: readonly Column[] = [
  column("status", "text"),
  column("reason", "text"),
  column("detail", "text"),
  column("payment", "text"),
  column("shipped", "boolean"),
  column("committed", "boolean"),
  {
    name: "shipped_parts",
    type: "json",
    of: ({ shipped_parts: parts }) => (parts.length > 0 ? JSON.stringify(parts) : null),
  },
  column("cancellation_requested", "text"),
  column("hold_expires_at", "timestamptz"),
  column("hold_expired", "boolean"),
  column("deadline", "timestamptz"),
  column("updated_at", "timestamptz"),
  column("ended_at", "timestamptz"),
  { name: "ended_as", type: "text", of: (order) => (hasEnded(order) ? order.status : null) },
  { name: "heard_to", type: "json", of: ({ heard_to }) => JSON.stringify(heard_to) },
];

function arrays(orders: readonly Order[], columns: readonly Column[]): unknown[][] {
  return columns.map(({ of }) => orders.map(of));
}

function names(columns: readonly Column[]): string {
  return columns.map(({ name }) => name).join(", ");
}

function unnested(columns: readonly Column[]): string {
  return `unnest(${columns.map(({ type }, i) => `$${i + 1}::${type}[]`).join(", ")})`;
}

// ---- statements ----------------------------------------------------------------------------------------------------

/** In the form in which the rules take them: on the road a row is read five times for each order. */
const readColumns = `id, request_id, fingerprint, customer_id, lines, total_minor, currency, token,
  reservation_id, cart_id, created_at, status, reason, detail, payment, shipped, committed,
  coalesce(shipped_parts, '[]') as shipped_parts, cancellation_requested, hold_expires_at, hold_expired, deadline,
  updated_at, ended_at, heard_to`;
export const orderColumns = `${readColumns}, positions`;
const priceColumns = ["sku", "price_minor", "currency", "product_id", "listed", "position", "index"] as const;

const lockOrders: Statement = {
  name: "orders_lock_orders",
  text: `select ${readColumns} from orders.orders
         where id = any($1::text[]) or request_id = any($2::text[]) order by id for update`,
};
const lockOverdue: Statement = {
  name: "orders_lock_overdue",
  // What another process is sweeping, or somebody is using, is left to them.
  text: `select ${readColumns} from orders.orders
         where ended_as is null and deadline <= date_trunc('milliseconds', clock_timestamp())
         order by id limit $1 for update skip locked`,
};
const findPrices: Statement = {
  name: "orders_find_prices",
  text: `select ${priceColumns.join(", ")} from orders.prices where sku = any($1::text[])`,
};
const lockPrices: Statement = {
  name: "orders_lock_prices",
  text: `select ${priceColumns.join(", ")} from orders.prices
         where product_id = any($1::text[]) or sku = any($2::text[]) order by sku for update`,
};
const allColumns = [...fixedColumns, ...changingColumns];
const insertOrders: Statement = {
  name: "orders_insert_orders",
  text: `insert into orders.orders (${names(allColumns)}, positions)
         select v.*, array[$${allColumns.length + 1}::bigint] from ${unnested(allColumns)} as v`,
};
const updateOrders: Statement = {
  name: "orders_update_orders",
  text: `update orders.orders o
         set ${changingColumns.map(({ name }) => `${name} = v.${name}`).join(", ")},
             positions = o.positions || $${changingColumns.length + 2}::bigint
         from ${unnested([identity, ...changingColumns])} as v (${names([identity, ...changingColumns])})
         where o.id = v.id`,
};
const upsertPrices: Statement = {
  name: "orders_upsert_prices",
  text: `insert into orders.prices as p (${priceColumns.join(", ")})
         select * from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::int[])
         on conflict (sku) do update
           set price_minor = excluded.price_minor, currency = excluded.currency, product_id = excluded.product_id,
               listed = excluded.listed, position = excluded.position, index = excluded.index
           where (p.position, p.index) < (excluded.position, excluded.index)`,
};
const findAsides: Statement = {
  name: "orders_find_asides",
  text: `select event_id from unnest($1::text[], $2::text[]) as told (order_id, event_id)
         join orders.asides using (order_id, event_id)`,
};
const insertAsides: Statement = {
  name: "orders_insert_asides",
  text: `insert into orders.asides (order_id, event_id, position, at)
         select v.*, $3, $4 from unnest($1::text[], $2::text[]) as v`,
};
const insertHeard: Statement = {
  name: "orders_insert_heard",
  text: "insert into orders.heard (position, at, events) values ($1, $2, $3)",
};
