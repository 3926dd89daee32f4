import { expect, it } from "vitest";
import { transact } from "../../src/platform/batch/transaction.ts";
import type { Reader } from "../../src/platform/postgres/statement.ts";
import { createLogger } from "../../src/platform/telemetry/logger.ts";
import { createRegistry } from "../../src/platform/telemetry/metrics.ts";
import type { InventorySettings } from "../../src/services/inventory/book.ts";
import type { InventoryCommand } from "../../src/services/inventory/contract/index.ts";
import { inventoryHandler } from "../../src/services/inventory/handle.ts";
import { inventoryMetrics } from "../../src/services/inventory/metrics.ts";
import * as queries from "../../src/services/inventory/queries.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables, scans, updatesBy } from "./plans.ts";

const records = 1_000_000;
/** Every hundredth reservation is open, and the sweep is to look at the first half of those: every second is confirmed. */
const openEvery = 100;
const openReservations = records / openEvery;
const lastOverdue = records / 2;

const sweepAt = `now() + (n - ${lastOverdue}) * interval '1 minute'`;
const each = `from (select n, 'SKU-' || lpad(n::text, 7, '0') as sku,
                           case when n % ${openEvery} <> 0 then 'released'
                                when n <= ${lastOverdue} and n % ${2 * openEvery} = 0 then 'confirmed'
                                else 'held' end as status
                    from generate_series(1, ${records}) n) as numbered`;

const database = useLargeDatabase([
  `insert into inventory.skus (sku, product_id, listed) select sku, 'P-' || n, true ${each}`,
  `insert into inventory.stock (sku, store_id, product_id, quantity_on_hand, quantity_reserved,
                                quantity_available, version, last_updated_at, listed)
   select sku, 'main', 'P-' || n, 100, (status <> 'released')::int, 100 - (status <> 'released')::int, 2, now(), true
   ${each}`,
  `insert into inventory.stock_history (sku, store_id, at, version, quantity_on_hand, quantity_reserved, position)
   select sku, 'main', now(), 2, 100, (status <> 'released')::int, n / 10 + 1 ${each}`,
  `insert into inventory.reservations (id, order_id, status, lines, expires_at, created_at, updated_at, positions, sweep_at)
   select 'order-' || n, 'order-' || n, status,
          format('[{"store_id":"main","sku":"%s","quantity":1,"quantity_committed":0}]', sku)::json,
          case when status = 'held' then ${sweepAt} end, now(), now(), array[n / 10 + 1],
          case when status <> 'released' then ${sweepAt} end
   ${each}`,
  ...logOf("inventory", records / 10),
]);

inEachState(database, (isAnalyzed) => {
  it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
    const held = spread(size, openReservations / 2).map((n) => lastOverdue + n * openEvery);
    await expectBatch(spread(size, records).map(reserve), "inventory_insert_reservations");
    await expectBatch(held.map(confirm), "inventory_update_reservations");
    await expectBatch(held.map(secure), "inventory_update_reservations");
    await expectBatch(held.map(commit), "inventory_update_stock");
    await expectBatch(held.map(release), "inventory_update_stock");
    await expectBatch(spread(size, records).map(adjust), "inventory_update_stock");
    // What is due is looked for among what is due, not among all that is open.
    const sweep: InventoryCommand = { type: "ExpireReservations", limit: size };
    await expectBatch([sweep], "inventory_postpone_sweep", openReservations / 2);
    if (!isAnalyzed) return;
    await expectBatch(spread(size, records).map(sync), "inventory_upsert_skus");
    const mixed = spread(size, records).flatMap((n) => [sync(n), reserve(n + 1)]);
    await expectBatch(mixed, "inventory_lock_stock_and_skus");
  });

  it("a forced count looks at open reservations only", async () => {
    await expectBatch([forceCount(500)], "inventory_find_holders");
  });

  it.each<[string, (database: Reader) => Promise<unknown>]>([
    ["one reservation", (database) => queries.findReservation(database, reservationId(500))],
    ["one stock record", (database) => queries.findStock(database, key(500))],
    ["one stock record of the past", (database) => queries.findStockAt(database, key(500), new Date())],
    [
      "the movements of one stock record",
      (database) => queries.listMovements(database, key(500), undefined, 100),
    ],
    ["the stock of one SKU", (database) => queries.listStock(database, { sku: sku(500) }, undefined, 100)],
    ["a page of all stock, and the next one", listTwoPages],
  ])("%s is read without reading a large table from end to end", async (_what, read) => {
    await expectNoScan(database.pool, asked(database.pool, read));
  });
});

it("this test sees a table that is read from end to end, by whichever way", async () => {
  expect(await largeTables(database.pool)).toEqual([
    "inventory.log_from_0",
    "inventory.reservations",
    "inventory.skus",
    "inventory.stock",
    "inventory.stock_history",
  ]);
  const sum = "select sum(version) from inventory.stock where version > $1";
  expect(await scans(database.pool, { text: sum, values: [0] })).toEqual([
    `Seq Scan of inventory.stock: ${records} rows`,
  ]);
  const rare = "select * from inventory.stock where version > $1 order by sku, store_id limit 1";
  expect(await scans(database.pool, { text: rare, values: [9] })).toHaveLength(1);
});

it("stock is updated in place: no index is written when quantities change", async () => {
  const updates = await updatesBy(database.pool, "inventory.stock", async () => {
    for (let round = 0; round < 10; round++) {
      await carryOut(
        spread(300, records).map((n) => ({ ...reserve(n), reservation_id: `round-${round}-${n}` })),
      );
    }
  });
  expect(updates).toEqual({ all: 3_000, inPlace: 3_000 });
});

it("a reservation is updated in place until it ends", async () => {
  const sold = spread(300, records);
  const ofNew = (command: InventoryCommand, n: number) =>
    ({ ...command, reservation_id: `new-${n}`, order_id: `new-${n}` }) as InventoryCommand;
  const updates = (command: (n: number) => InventoryCommand) =>
    updatesBy(database.pool, "inventory.reservations", () => carryOut(sold.map((n) => ofNew(command(n), n))));
  await carryOut(sold.map((n) => ofNew(reserve(n), n)));
  expect(await updates(secure)).toEqual({ all: 300, inPlace: 300 });
  expect(await updates(commit)).toEqual({ all: 300, inPlace: 0 });
});

// ---- commands ------------------------------------------------------------------------------------------------------

const settings: InventorySettings = {
  default_store: "main",
  hold_ttl_seconds: 900,
  low_stock_threshold: 5,
  commit_on: "fulfillment",
};
const nothing = { quantity_on_hand: 0, quantity_reserved: 0, oversold: 0, orphaned: 0 };
const handle = inventoryHandler(
  settings,
  inventoryMetrics(createRegistry(), createLogger("silent"), async () => nothing),
);

async function expectBatch(commands: InventoryCommand[], name: string, most?: number): Promise<void> {
  await expectNoScan(database.pool, handled(database.pool, handle, commands), {
    name,
    ...(most && { most }),
  });
}

async function carryOut(commands: InventoryCommand[]): Promise<void> {
  const replies = await transact(database.pool, (tx) => handle(tx, commands));
  expect(replies.filter(({ accepted }) => !accepted)).toEqual([]);
}

const reserve = (n: number): InventoryCommand => ({
  type: "ReserveStock",
  reservation_id: `new-${n}`,
  lines: [{ ...key(n), quantity: 1 }],
});
const confirm = (n: number): InventoryCommand => ({
  type: "ConfirmReservation",
  reservation_id: reservationId(n),
});
const secure = (n: number): InventoryCommand => ({
  type: "SecureReservation",
  reservation_id: reservationId(n),
  order_id: reservationId(n),
});
const commit = (n: number): InventoryCommand => ({
  type: "CommitReservation",
  reservation_id: reservationId(n),
  key: "all",
});
const release = (n: number): InventoryCommand => ({
  type: "ReleaseReservation",
  reservation_id: reservationId(n),
  reason: "cancelled",
  restock: true,
});
const adjust = (n: number): InventoryCommand => ({
  type: "AdjustStock",
  adjustment_id: `delivery-${n}`,
  lines: [{ ...key(n), quantity: 1 }],
  reason: "delivery",
  actor: "test",
  force: false,
});
const forceCount = (n: number): InventoryCommand => ({
  type: "CountStock",
  ...key(n),
  quantity_on_hand: 0,
  reason: "count",
  actor: "test",
  force: true,
});
const sync = (n: number): InventoryCommand => ({
  type: "SyncProduct",
  product_id: `P-${n}`,
  skus: [sku(n), `NEW-${n}`],
  position: 1,
  index: 0,
});

async function listTwoPages(database: Reader): Promise<void> {
  const { next } = await queries.listStock(database, {}, undefined, 100);
  await queries.listStock(database, {}, next!, 100);
}

function key(n: number) {
  return { store_id: "main", sku: sku(n) };
}

function sku(n: number): string {
  return `SKU-${String(n).padStart(7, "0")}`;
}

function reservationId(n: number): string {
  return `order-${n}`;
}
