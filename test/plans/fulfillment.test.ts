import { describe, expect, it } from "vitest";
import { encodeCursor } from "../../src/kernel/page.ts";
import { transact } from "../../src/platform/batch/transaction.ts";
import type { Reader } from "../../src/platform/postgres/statement.ts";
import { commandsFrom } from "../../src/services/fulfillment/consumers.ts";
import {
  type FulfillmentCommand,
  type HandoverOutcome,
  shipmentStatuses,
} from "../../src/services/fulfillment/contract.ts";
import { fulfillmentHandler } from "../../src/services/fulfillment/handle.ts";
import * as queries from "../../src/services/fulfillment/queries.ts";
import { heard } from "./events.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables, updatesBy } from "./plans.ts";

const records = 1_000_000;
/** Every hundredth shipment is open, one in three in each of its states; every ten-thousandth was never sent. */
const openEvery = 100;
const unsentEvery = 10_000;
const openShipments = records / openEvery;

const database = useLargeDatabase([
  `insert into fulfillment.shipments (id, reservation_id, status, done, lines, parts, attempts, next_try_at, origin,
                                      created_at, updated_at)
   select 'order-' || lpad(n::text, 7, '0'), 'order-' || n, status, n % ${openEvery} <> 50,
          '[{"store_id":"main","sku":"SKU-1","quantity":2,"quantity_shipped":0}]', '[]', 0,
          case when status = 'handing_over' then now() + (n - ${records / 2}) * interval '1 second' end,
          '{"cause":"orders-1-0"}', now(), now()
   from (select n, case when n % ${openEvery} = 50
                        then (array['open', 'handing_over', 'partly_shipped'])[n / ${openEvery} % 3 + 1]
                        when n % ${unsentEvery} = 0 then (array['cancelled', 'failed'])[n / ${unsentEvery} % 2 + 1]
                        else 'shipped' end as status
         from generate_series(1, ${records}) n) as numbered`,
  ...logOf("fulfillment", records / 10),
]);

describe("a shipment's usual way", () => {
  const updates = (commands: FulfillmentCommand[]) =>
    updatesBy(database.pool, "fulfillment.shipments", () => carryOut(commands));

  it("writes indexes only when it is shipped", async () => {
    const ids = newIds(300, 3 * records);
    await carryOut(opened(ids));
    expect(await updates(ids.map((id) => carried(id, shippedByVan)))).toEqual({ all: 300, inPlace: 0 });
  });

  it("is one of updates in place before, should it take several tries or parts", async () => {
    // As they stand in a large table, far from each other: only a few shipments are changed twice.
    const third = spread(300, Math.floor(openShipments / 3)).map((n) => n * 3 * openEvery);
    const open = third.map((n) => shipmentId(n + 50));
    const handingOver = third.map((n) => shipmentId(n + 50 - 2 * openEvery));
    const unanswered: HandoverOutcome = { result: "unanswered", retry_in_ms: 0 };
    expect(await updates(handingOver.map((id) => carried(id, unanswered)))).toEqual({
      all: 300,
      inPlace: 300,
    });
    expect(await updates(open.map(shipPart))).toEqual({ all: 300, inPlace: 300 });
    expect(await updates(open.map(ship))).toEqual({ all: 300, inPlace: 0 });
  });
});

inEachState(database, () => {
  it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
    const ids = spread(size, openShipments).map((n) => shipmentId((n - 1) * openEvery + 50));
    await expectBatch(opened(newIds(size)), "fulfillment_insert_shipments");
    await expectBatch(cancelled(ids), "fulfillment_update_shipments");
    await expectBatch(cancelled(newIds(size)), "fulfillment_insert_shipments");
    await expectBatch(ids.map(ship), "fulfillment_update_shipments");
    await expectBatch([{ type: "ClaimShipments", limit: size }], "fulfillment_update_shipments");
  });

  it.each<[string, (database: Reader) => Promise<unknown>]>([
    ["one shipment", (database) => queries.findShipment(database, shipmentId(500))],
    ...[undefined, ...shipmentStatuses].flatMap(lists),
  ])("%s is read without reading a large table from end to end", async (_what, read) => {
    await expectNoScan(database.pool, asked(database.pool, read));
  });
});

it("the tables are large", async () => {
  expect(await largeTables(database.pool)).toEqual(["fulfillment.log_from_0", "fulfillment.shipments"]);
});

// ---- commands ------------------------------------------------------------------------------------------------------

const handle = fulfillmentHandler(() => ({ room: 2_000, leaseMs: 30_000 }));

async function expectBatch(commands: FulfillmentCommand[], name: string): Promise<void> {
  await expectNoScan(database.pool, handled(database.pool, handle, commands), { name });
}

async function carryOut(commands: FulfillmentCommand[]): Promise<void> {
  await transact(database.pool, (tx) => handle(tx, commands));
}

const lines = [{ store_id: "main", sku: "SKU-1", quantity: 2 }];
const shippedByVan: HandoverOutcome = { result: "shipped", carrier: "van", tracking: null };

function opened(ids: readonly string[]): FulfillmentCommand[] {
  return commandsFrom(
    ids.map((id) => heard("orders", "OrderPaid", { ...ofOrder(id), customer_id: "ann", lines })),
  );
}

function cancelled(ids: readonly string[]): FulfillmentCommand[] {
  const reason = "changed my mind";
  return commandsFrom(
    ids.map((id) => heard("orders", "OrderCancellationRequested", { ...ofOrder(id), reason })),
  );
}

function carried(shipment_id: string, outcome: HandoverOutcome): FulfillmentCommand {
  return { type: "RecordHandover", shipment_id, outcome };
}

const ship = (shipment_id: string): FulfillmentCommand => ({
  type: "Ship",
  shipment_id,
  carrier: "van",
  tracking: null,
});
const shipPart = (id: string): FulfillmentCommand =>
  ({
    ...ship(id),
    key: "half",
    lines: [{ store_id: "main", sku: "SKU-1", quantity: 1 }],
  }) as FulfillmentCommand;

function ofOrder(order_id: string) {
  return { order_id, reservation_id: order_id };
}

function newIds(size: number, from = 2 * records): string[] {
  return Array.from({ length: size }, (_, i) => shipmentId(from + i));
}

function shipmentId(n: number): string {
  return `order-${String(n).padStart(7, "0")}`;
}

// ---- questions -----------------------------------------------------------------------------------------------------

/** The first page of a list, and the one behind its middle. */
function lists(
  status: (typeof shipmentStatuses)[number] | undefined,
): [string, (database: Reader) => Promise<unknown>][] {
  const after = encodeCursor([shipmentId(records / 2)]);
  return [undefined, after].map((start) => [
    `the list of ${status ?? "all"}${start === undefined ? "" : ", a later page"}`,
    (database) => queries.listShipments(database, status, start, 100),
  ]);
}
