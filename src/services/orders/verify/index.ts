import { withCommas } from "../../../kernel/number.ts";
import { droppedUpTo } from "../../../platform/log/read.ts";
import type { Reader, Statement } from "../../../platform/postgres/statement.ts";
import type { Finding } from "../../../platform/service.ts";
import { factOf } from "../consumers.ts";
import type { Order, OrderSettings } from "../contract.ts";
import { findStories } from "../queries.ts";
import { type OrderRow, orderColumns, parseOrder, schema } from "../store.ts";
import { fold } from "../story.ts";
import { ordersAreSettled } from "./settled.ts";

/** Looks at a consistent view of everything; `database` is one transaction that sees no later commits. */
export async function verifyOrders(
  database: Reader,
  onProgress: (message: string) => void,
  elsewhere: readonly Reader[] = [],
): Promise<Finding[]> {
  const [{ now }] = (await database.read<{ now: Date }>(clock)) as [{ now: Date }];
  return [
    await openOrdersAreInTime(database),
    ...(await ordersAreSettled(database, elsewhere, now, onProgress)),
    await storiesExplainOrders(database, onProgress),
  ];
}

async function openOrdersAreInTime(database: Reader): Promise<Finding> {
  const [{ count }] = (await database.read<{ count: number }>(countOpen)) as [{ count: number }];
  const late = await database.read<Pick<Order, "id" | "status"> & { deadline: Date }>(overdue);
  return {
    check: "promise 3: no open order is left alone when its time is over",
    looked_at: `${withCommas(count)} open orders`,
    violations: late.map(
      ({ id, status, deadline }) => `${id} is ${status}, and its deadline was ${deadline.toISOString()}`,
    ),
  };
}

const ordersAtOnce = 1_000;

/** The deadlines depend on settings that may have been others then, so they are not compared. */
const anySettings: OrderSettings = { pending_seconds: 1, hold_ttl_seconds: 1, shipping_seconds: 1 };

/** Folds each order's story from nothing, and compares what comes of it with the order. */
async function storiesExplainOrders(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding> {
  const violations: string[] = [];
  const isKept = await keptStories(database);
  let count = 0;
  let older = 0;
  let after = "";
  for (;;) {
    const page = await database.read<OrderRow>(orderPage, [after, ordersAtOnce]);
    const rows = page.filter(isKept);
    const stories = await findStories(database, rows);
    for (const row of rows) {
      const order = parseOrder(row);
      const folded = fold(stories.get(order.id) ?? [], factOf, anySettings);
      if (folded === undefined || spelled(folded) !== spelled(order)) {
        violations.push(
          `${order.id}: the table has ${spelled(order)}, its story gives ${folded && spelled(folded)}`,
        );
      }
    }
    count += rows.length;
    older += page.length - rows.length;
    onProgress(`${withCommas(count)} orders retold`);
    if (page.length < ordersAtOnce) break;
    after = page.at(-1)!.id;
  }
  return {
    check: "promises 2 and 4: what each order has done and heard gives the order",
    looked_at: `${withCommas(count)} orders${older > 0 ? `; ${withCommas(older)} are older than what is kept of their story` : ""}`,
    violations,
  };
}

/**
 * Which orders' stories are whole. The log says what was dropped of it; of what was heard, retention deletes what is some
 * days old, so an order of today lacks nothing, and one that is older lacks nothing if something before it is there.
 */
async function keptStories(database: Reader): Promise<(row: OrderRow) => boolean> {
  const dropped = await droppedUpTo(database, schema);
  const [heard] = await database.read<{ since: Date }>(heardSince);
  return ({ positions: [first = 1], created_at }) => first > dropped && created_at >= heard!.since;
}

function spelled(order: Order): string {
  const { id, status, reason, detail, payment, shipped, committed, shipped_parts, cancellation_requested } =
    order;
  const { customer_id, lines, total_minor, currency, reservation_id, cart_id, created_at, ended_at } = order;
  const { hold_expires_at, hold_expired } = order;
  return JSON.stringify([
    [id, status, reason, detail, payment, shipped, committed, cancellation_requested],
    [customer_id, total_minor, currency, reservation_id, cart_id, created_at, ended_at],
    [hold_expires_at, hold_expired],
    lines.map((line) => [line.store_id, line.sku, line.quantity, line.price_minor]),
    shipped_parts.map(({ part, lines }) => [
      part,
      lines.map((line) => [line.store_id, line.sku, line.quantity]),
    ]),
  ]);
}

const clock: Statement = { name: "orders_verify_clock", text: "select clock_timestamp() as now" };
const countOpen: Statement = {
  name: "orders_verify_count_open",
  text: "select count(*) from orders.orders where ended_as is null",
};
const overdue: Statement = {
  name: "orders_verify_overdue",
  text: `select id, status, deadline from orders.orders
         where ended_as is null and deadline < now() - interval '5 minutes' order by id limit 20`,
};
const heardSince: Statement = {
  name: "orders_verify_heard_since",
  text: `select least((select at from orders.heard order by position limit 1), now() - interval '1 day') as since`,
};
const orderPage: Statement = {
  name: "orders_verify_orders",
  text: `select ${orderColumns} from orders.orders where id > $1 order by id limit $2`,
};
