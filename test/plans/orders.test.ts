import { beforeAll, describe, expect, it } from "vitest";
import { encodeCursor } from "../../src/kernel/page.ts";
import { transact } from "../../src/platform/batch/transaction.ts";
import type { BusEvent } from "../../src/platform/bus/port.ts";
import type { Reader } from "../../src/platform/postgres/statement.ts";
import { commandsFrom } from "../../src/services/orders/consumers.ts";
import { type OrderCommand, orderStatuses } from "../../src/services/orders/contract.ts";
import { ordersHandler } from "../../src/services/orders/handle.ts";
import * as queries from "../../src/services/orders/queries.ts";
import { orderSettings } from "../../src/testing/orders.ts";
import { heard } from "./events.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables, updatesBy } from "./plans.ts";

const records = 1_000_000;
const skus = 1_000_000;
/** Every hundredth order is open, and every second of those is overdue; every ten-thousandth has failed somehow. */
const openEvery = 100;
const failedEvery = 10_000;
/** Its cart was checked out an hour before orders heard of it. */
const lateEvery = 500;
const openOrders = records / openEvery;

/** An order for each second until now, under ids that begin with the time. */
const firstAt = Math.floor(Date.now() / 1_000) * 1_000 - records * 1_000;
const openAs = "array['pending', 'reserved', 'paid']";
const failedAs = "array['rejected', 'payment_failed', 'cancelled', 'expired']";

const database = useLargeDatabase([
  `insert into orders.prices (sku, price_minor, currency, product_id, listed, position, index)
   select 'SKU-' || n, 250, 'EUR', 'P-' || n, true, 1, 0 from generate_series(1, ${skus}) n`,
  `insert into orders.orders (id, request_id, fingerprint, customer_id, lines, total_minor, currency, token,
     reservation_id, created_at, status, payment, shipped, committed, hold_expired, deadline, updated_at, ended_at,
     ended_as, heard_to, positions)
   select id, 'key-' || n, 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg', 'customer-' || n % 10000,
          '[{"store_id":"main","sku":"SKU-1","quantity":1,"price_minor":250}]', 250, 'EUR', 'tok_visa', id, at,
          coalesce(ended_as, open_as), 'none', coalesce(ended_as = 'completed', false), coalesce(ended_as = 'completed', false), false,
          case when ended_as is null then now() + ((n / ${openEvery}) % 2 - 0.5) * interval '1 day' end,
          at, case when ended_as is not null then at end, ended_as, '{"inventory":[1,0]}', array[n / 10 + 1, n / 10 + 2]
   from (select n, overlay(lpad(to_hex(ms), 12, '0') placing '-' from 9 for 0) || '-7000-8000-' || lpad(n::text, 12, '0') as id,
                to_timestamp(ms / 1000.0) + case when n % ${lateEvery} = 0 then 1 else 0 end * interval '1 hour' as at,
                case when n % ${openEvery} = 50 then (${openAs})[n / ${openEvery} % 3 + 1] end as open_as,
                case when n % ${openEvery} = 50 then null
                     when n % ${failedEvery} = 0 then (${failedAs})[n / ${failedEvery} % 4 + 1]
                     else 'completed' end as ended_as
         from (select n, ${firstAt} + n::bigint * 1000 as ms from generate_series(1, ${records}) n) as times) as numbered`,
  `insert into orders.asides (order_id, event_id, position, at)
   select 'order-' || n, 'payments-' || n || '-0', n, now() from generate_series(1, ${records}) n`,
  `insert into orders.heard (position, at, events) select n, now(), '[]' from generate_series(1, ${records / 10}) n`,
  ...logOf("orders", records / 10),
]);

inEachState(database, (isAnalyzed) => {
  it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
    const ids = spread(size, openOrders).map((n) => orderId((n - 1) * openEvery + 50));
    await expectBatch(spread(size, skus).map(create), "orders_insert_orders");
    await expectBatch(heardOf(newIds(size), checkedOut), "orders_insert_orders");
    await expectBatch(heardOf(ids, held), "orders_update_orders");
    await expectBatch(heardOf(ids, charged), "orders_insert_asides");
    await expectBatch(heardOf(ids, secured), "orders_update_orders");
    await expectBatch(heardOf(ids, shipped), "orders_insert_heard");
    await expectBatch(ids.map(cancel), "orders_update_orders");
    const products = spread(size, skus).map(String);
    if (isAnalyzed) await expectBatch(heardOf(products, updated), "orders_upsert_prices");
    await expectBatch([{ type: "SweepOrders", limit: size }], "orders_update_orders");
  });

  it.each<[string, (database: Reader) => Promise<unknown>]>([
    ["one order", (database) => queries.findOrder(database, orderId(500))],
    ["the timeline of an order", (database) => queries.findTimeline(database, orderId(500))],
    ["the number of orphans", (database) => queries.countOrphans(database)],
    ...lists({}),
    ...orderStatuses.flatMap((status) => lists({ status })),
    ...orderStatuses.flatMap((status) => lists({ status, customer_id: "customer-50" })),
    ...orderStatuses.flatMap((status) => lists({ status, ...anHour() })),
    ...lists({ customer_id: "customer-500" }),
    ...lists({ customer_id: "customer-500", ...anHour() }),
    ...lists(anHour()),
    ...lists(sinceTheMiddle()),
    ...orderStatuses.flatMap((status) => lists({ status, ...sinceTheMiddle() })),
    ...lists({ customer_id: "customer-500", ...sinceTheMiddle() }),
    ...lists({ from: new Date(firstAt) }),
    ...lists({ from: new Date() }),
    ...lists({ to: new Date(firstAt) }),
  ])("%s is read without reading a large table from end to end", async (_what, read) => {
    await expectNoScan(database.pool, asked(database.pool, read));
  });
});

it("the tables are large", async () => {
  expect(await largeTables(database.pool)).toEqual([
    "orders.asides",
    "orders.heard",
    "orders.log_from_0",
    "orders.orders",
    "orders.prices",
  ]);
});

describe("an order's usual way", () => {
  const ids = newIds(300);
  const updates = (of: (id: string) => BusEvent) =>
    updatesBy(database.pool, "orders.orders", () => carryOut(heardOf(ids, of)));

  beforeAll(() => carryOut(heardOf(ids, checkedOut)));

  it.each([
    ["reserved", held],
    ["paid", secured],
    ["shipped", shipped],
  ])("is one of updates in place: once it is %s", async (_what, event) => {
    expect(await updates(event)).toEqual({ all: 300, inPlace: 300 });
  });

  it("makes no new version of it when it is charged", async () => {
    expect(await updates(charged)).toEqual({ all: 0, inPlace: 0 });
  });

  it("writes indexes when it ends", async () => {
    expect(await updates(committed)).toEqual({ all: 300, inPlace: 0 });
  });
});

// ---- commands ------------------------------------------------------------------------------------------------------

const handle = ordersHandler(orderSettings);

async function expectBatch(commands: OrderCommand[], name: string): Promise<void> {
  await expectNoScan(database.pool, handled(database.pool, handle, commands), { name });
}

async function carryOut(commands: OrderCommand[]): Promise<void> {
  await transact(database.pool, (tx) => handle(tx, commands));
}

function heardOf(ids: readonly string[], of: (id: string) => BusEvent): OrderCommand[] {
  return commandsFrom(ids.map(of));
}

const lines = [{ store_id: "main", sku: "SKU-1", quantity: 1 }];

const create = (n: number): OrderCommand => ({
  type: "CreateOrder",
  order_id: orderId(records + n),
  request_id: `new-${n}`,
  fingerprint: "any",
  customer_id: "ann",
  lines: [{ store_id: "main", sku: `SKU-${n}`, quantity: 1 }],
  token: "tok_visa",
});
const cancel = (order_id: string): OrderCommand => ({
  type: "CancelOrder",
  order_id,
  reason: "changed my mind",
});

const checkedOut = (order_id: string) =>
  heard("carts", "CartCheckedOut", {
    ...ofOrder(order_id),
    cart_id: `cart-${order_id}`,
    customer_id: "ann",
    lines,
    payment: { token: "tok_visa" },
  });
const held = (id: string) =>
  heard("inventory", "InventoryReserved", {
    ...ofOrder(id),
    lines,
    expires_at: new Date(Date.now() + 900_000).toISOString(),
    key: null,
  });
const charged = (id: string) =>
  heard("payments", "PaymentSucceeded", {
    ...ofOrder(id),
    payment_id: id,
    amount_minor: 250,
    currency: "EUR",
    gateway: "simulated",
    gateway_reference: `sim_${id}`,
  });
const secured = (id: string) => heard("inventory", "InventoryConfirmed", ofOrder(id));
const shipped = (id: string) =>
  heard("fulfillment", "OrderFulfilled", {
    ...ofOrder(id),
    shipment_id: id,
    carrier: "van",
    tracking: null,
    lines,
    part: 1,
  });
const committed = (id: string) =>
  heard("inventory", "InventoryCommitted", { ...ofOrder(id), lines, key: null, complete: true });
const updated = (n: string) =>
  heard("catalog", "ProductUpdated", {
    order_id: "",
    product_id: `P-${n}`,
    name: "Any",
    skus: [{ sku: `SKU-${n}`, price_minor: 300, currency: "EUR", policy: "hold" }],
  });

function ofOrder(order_id: string) {
  return { order_id, reservation_id: order_id };
}

function newIds(size: number): string[] {
  return Array.from({ length: size }, (_, i) => orderId(2 * records + i));
}

function orderId(n: number): string {
  const time = (firstAt + n * 1_000).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(n).padStart(12, "0")}`;
}

// ---- questions -----------------------------------------------------------------------------------------------------

type Question = [string, (database: Reader) => Promise<unknown>];

/** The first page of a list, and the one behind its middle. */
function lists(filter: queries.OrderFilter): Question[] {
  const what = Object.keys(filter).join(", ") || "nothing";
  const after = encodeCursor([orderId(records / 2)]);
  return [undefined, after].map((start) => [
    `the list by ${what} (${filter.status ?? "any status"}${start === undefined ? "" : ", a later page"})`,
    async (database) => queries.listOrders(database, filter, start, 100),
  ]);
}

function anHour(): { from: Date; to: Date } {
  const { from } = sinceTheMiddle();
  return { from, to: new Date(from.getTime() + 3_600_000) };
}

function sinceTheMiddle(): { from: Date } {
  return { from: new Date(firstAt + (records / 2) * 1_000) };
}
