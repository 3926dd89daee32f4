import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { engineMigrations } from "../src/engine.ts";
import { type Transaction, transact } from "../src/platform/batch/transaction.ts";
import { migrate } from "../src/platform/postgres/migrate.ts";
import { createPool, type Pool } from "../src/platform/postgres/pool.ts";
import { type Reader, readerOf } from "../src/platform/postgres/statement.ts";
import { createRegistry } from "../src/platform/telemetry/metrics.ts";
import type { InventoryCommand } from "../src/services/inventory/contract.ts";
import { inventoryHandler } from "../src/services/inventory/handle.ts";
import { inventoryMetrics } from "../src/services/inventory/metrics.ts";
import * as queries from "../src/services/inventory/queries.ts";
import { useTestDatabase } from "../src/testing/database.ts";

const records = 1_000_000;
const largeTables = ["stock", "stock_history", "reservations", "log"];
/** Every hundredth reservation is still held, and the first half of those is overdue. */
const heldEvery = 100;
const lastOverdue = records / 2;

const database = useTestDatabase();
let pool: Pool;

beforeAll(async () => {
  await migrate(database.url, engineMigrations);
  pool = createPool(database.url, { max: 1, name: "test" });
  await fill();
}, 180_000);
afterAll(() => pool.end());

describe.each(["right after an import, without statistics,", "once it is analyzed,"])(
  "at a million SKUs and a million reservations, %s",
  (when) => {
    beforeAll(async () => {
      if (when === "once it is analyzed,") await pool.query("analyze");
    });

    it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
      const held = spread(size, (records - lastOverdue) / heldEvery).map((n) => lastOverdue + n * heldEvery);
      await expectNoScan(handled(spread(size).map(reserve)));
      await expectNoScan(handled(held.map(confirm)));
      await expectNoScan(handled(held.map(commit)));
      await expectNoScan(handled(spread(size).map(adjust)));
      await expectNoScan(handled([{ type: "ExpireReservations", limit: size }]));
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
      await expectNoScan(recorded(readerOf(pool), read));
    });
  },
);

it("this test sees a table that is read from end to end", async () => {
  const sum = { name: "test_sum", text: "select sum(version) from inventory.stock where version > $1" };
  expect(await scannedTables({ statement: sum, values: [0] })).toEqual(["stock"]);
});

it("stock is updated in place: no index is written when quantities change", async () => {
  const before = await stockUpdates();
  for (let round = 0; round < 10; round++) {
    const commands = spread(300).map((n) => ({ ...reserve(n), reservation_id: `round-${round}-${n}` }));
    await transact(pool, (tx) => handle(tx, commands));
  }
  const after = await stockUpdates();
  expect(after.all - before.all).toBe(3_000);
  expect(after.inPlace - before.inPlace).toBe(3_000);
});

// ---- commands ------------------------------------------------------------------------------------------------------

const settings = { default_store: "main", hold_ttl_seconds: 900, low_stock_threshold: 5 };
const nothing = { quantity_on_hand: 0, quantity_reserved: 0, oversold: 0, orphaned: 0 };
const handle = inventoryHandler(
  settings,
  inventoryMetrics(createRegistry(), async () => nothing),
);

const reserve = (n: number): InventoryCommand => ({
  type: "ReserveStock",
  reservation_id: `new-${n}`,
  lines: [{ ...key(n), quantity: 1 }],
});
const confirm = (n: number): InventoryCommand => ({
  type: "ConfirmReservation",
  reservation_id: reservationId(n),
});
const commit = (n: number): InventoryCommand => ({
  type: "CommitReservation",
  reservation_id: reservationId(n),
  key: "all",
});
const adjust = (n: number): InventoryCommand => ({
  type: "AdjustStock",
  adjustment_id: `delivery-${n}`,
  lines: [{ ...key(n), quantity: 1 }],
  reason: "delivery",
  actor: "test",
  force: false,
});

async function listTwoPages(database: Reader): Promise<void> {
  const { next } = await queries.listStock(database, {}, undefined, 100);
  await queries.listStock(database, {}, next!, 100);
}

// ---- plans ---------------------------------------------------------------------------------------------------------

type Call = { statement: Parameters<Reader["read"]>[0]; values: unknown[] };

/** The statements of a batch with these commands. What it would write is left out. */
function handled(commands: InventoryCommand[]): Promise<Call[]> {
  return transact(pool, (tx) =>
    recorded(tx, async (transaction) => {
      const replies = await handle(transaction, commands);
      expect(replies.filter(({ accepted }) => !accepted)).toEqual([]);
    }),
  );
}

async function recorded(database: Reader, work: (tx: Transaction) => Promise<unknown>): Promise<Call[]> {
  const calls: Call[] = [];
  await work({
    read(statement, values = []) {
      calls.push({ statement, values });
      return database.read(statement, values);
    },
    write: (statement, values) => void calls.push({ statement, values }),
    proveBy() {},
  });
  return calls;
}

async function expectNoScan(recording: Promise<Call[]>): Promise<void> {
  const calls = await recording;
  expect(calls.length).toBeGreaterThan(0);
  for (const call of calls) expect(await scannedTables(call), call.statement.name).toEqual([]);
}

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly Plans?: readonly PlanNode[];
}

/** The large tables that PostgreSQL would read from end to end. */
async function scannedTables({ statement, values }: Call): Promise<string[]> {
  const { rows } = await pool.query(`explain (format json) ${statement.text}`, values);
  return nodesOf(rows[0]["QUERY PLAN"][0].Plan)
    .filter((node) => node["Node Type"] === "Seq Scan")
    .map((node) => node["Relation Name"]!)
    .filter((table) => largeTables.includes(table));
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

async function stockUpdates(): Promise<{ all: number; inPlace: number }> {
  await pool.query("select pg_stat_force_next_flush()"); // counts are published by the connection that made them
  const { rows } = await pool.query<{ all: number; inPlace: number }>(
    `select n_tup_upd as all, n_tup_hot_upd as "inPlace" from pg_stat_user_tables
     where relid = 'inventory.stock'::regclass`,
  );
  return rows[0]!;
}

// ---- content -------------------------------------------------------------------------------------------------------

function key(n: number) {
  return { store_id: "main", sku: sku(n) };
}

function sku(n: number): string {
  return `SKU-${String(n).padStart(7, "0")}`;
}

function reservationId(n: number): string {
  return `order-${n}`;
}

/** So many different numbers from 1 to `end`, from everywhere in between. */
function spread(size: number, end = records): number[] {
  return Array.from({ length: size }, (_, i) => ((i * 7_919) % end) + 1);
}

/** Statistics are to be there when a test has asked for them, and not before. */
async function fill(): Promise<void> {
  for (const table of largeTables) {
    await pool.query(`alter table inventory.${table} set (autovacuum_enabled = off)`);
  }
  const each = `from (select n, 'SKU-' || lpad(n::text, 7, '0') as sku, n % ${heldEvery} = 0 as held
                      from generate_series(1, ${records}) n) as numbered`;
  await pool.query(
    `insert into inventory.stock (sku, store_id, product_id, quantity_on_hand, quantity_reserved,
                                  quantity_available, version, last_updated_at, listed)
     select sku, 'main', 'P', 100, held::int, 100 - held::int, 2, now(), true ${each}`,
  );
  await pool.query(
    `insert into inventory.stock_history (sku, store_id, at, version, quantity_on_hand, quantity_reserved, position)
     select sku, 'main', now(), 2, 100, held::int, n / 10 + 1 ${each}`,
  );
  await pool.query(
    `insert into inventory.reservations (id, status, lines, expires_at, created_at, updated_at, positions, sweep_at)
     select 'order-' || n, case when held then 'held' else 'released' end,
            format('[{"store_id":"main","sku":"%s","quantity":1,"quantity_committed":0}]', sku)::json,
            case when held then now() + (n - ${lastOverdue}) * interval '1 second' end, now(), now(), array[n / 10 + 1],
            case when held then now() + (n - ${lastOverdue}) * interval '1 second' end
     ${each}`,
  );
  await pool.query(
    `insert into inventory.log (position, at, events)
     select n, now(), '[]' from generate_series(1, ${records / 10}) n`,
  );
  await pool.query(`select setval('inventory.log_position', ${records / 10})`);
}
