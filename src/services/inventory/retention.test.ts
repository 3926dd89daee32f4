import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readLog } from "../../platform/log/read.ts";
import { logKeeper } from "../../platform/log/retention.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { Finding } from "../../platform/service.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { useTestDatabase } from "../../testing/database.ts";
import {
  adjust,
  commit,
  confirm,
  count,
  move,
  release,
  reserve,
  sync,
  testSettings,
} from "../../testing/inventory.ts";
import { smallSizes, usePartitions } from "../../testing/small-partitions.ts";
import type { InventoryCommand, StockRecord } from "./contract/index.ts";
import { inventoryMigrations } from "./index.ts";
import { createInventory, type Inventory } from "./inventory.ts";
import { stockSnapshot } from "./store/snapshot.ts";
import { verifyInventory } from "./verify/index.ts";

const database = useTestDatabase();
const mug = { store_id: "main", sku: "MUG" };
const hat = { store_id: "main", sku: "HAT" };
let pool: Pool;
let inventory: Inventory;

beforeAll(async () => {
  await migrate(database.url, inventoryMigrations);
  pool = createPool(database.url, { max: 8, name: "retention" });
  inventory = createInventory({
    pool,
    reads: pool,
    settings: testSettings,
    maxWaiting: 1_000,
    registry: createRegistry(),
    logger: createLogger("warn"),
  } as never);
});
afterAll(async () => {
  await inventory.drain();
  await pool.end();
});
beforeEach(async () => {
  await usePartitions(pool, "inventory");
  await pool.query(
    "truncate inventory.skus, inventory.stock, inventory.stock_history, inventory.reservations, inventory.adjustments",
  );
});

/** Each in a batch of its own. Answers when the last of them happened. */
async function happen(...commands: InventoryCommand[]): Promise<void> {
  for (const command of commands) {
    await keepRoom();
    expect(await inventory.submit(command)).toMatchObject({ accepted: true });
  }
}

const quiet = createLogger("silent");

async function keepRoom(): Promise<void> {
  const schemas = [{ schema: "inventory" }];
  await logKeeper({ pool, schemas, logger: quiet, registry: createRegistry(), sizes: smallSizes }).run();
}

/** Everything is older than a tenth of a millisecond, so whatever partition is full goes. */
async function dropOld(): Promise<number> {
  const lines: string[] = [];
  const logger = createLogger("warn", { write: (line) => lines.push(line) });
  const schemas = [{ schema: "inventory", days: 1e-9, snapshot: stockSnapshot }];
  await logKeeper({ pool, schemas, logger, registry: createRegistry(), sizes: smallSizes }).run();
  expect(lines).toEqual([]);
  const { rows } = await pool.query("select coalesce(max(position), 0) as position from inventory.log_base");
  return rows[0].position;
}

async function verified(): Promise<Finding[]> {
  const findings = await verifyInventory(readerOf(pool), () => {});
  expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
  return findings;
}

async function now(): Promise<Date> {
  const { rows } = await pool.query("select clock_timestamp() as now");
  await expect
    .poll(async () => (await pool.query("select clock_timestamp() as now")).rows[0].now > rows[0].now)
    .toBe(true);
  return rows[0].now;
}

async function stockNow(): Promise<StockRecord[]> {
  return (await pool.query("select * from inventory.stock order by sku, store_id")).rows;
}

async function historyOf(sku: string): Promise<number[]> {
  const { rows } = await pool.query(
    "select position from inventory.stock_history where sku = $1 order by at, version",
    [sku],
  );
  return rows.map(({ position }) => position);
}

/** A life of 12 batches: what began and ended in it, what is still open, what ends later. */
async function firstTwelve(): Promise<void> {
  await happen(
    sync("P1", "MUG", "HAT", "CAP"),
    adjust("a1", { MUG: 100, HAT: 50 }),
    reserve("ended", { MUG: 2 }),
    confirm("ended"),
    commit("ended"),
    reserve("open", { MUG: 5, HAT: 1 }),
    reserve("ends-later", { HAT: 3 }),
    confirm("ends-later"),
    reserve("given-up", { HAT: 1 }),
    release("given-up"),
    adjust("a2", { MUG: 7 }),
    count("HAT", 60),
  );
}

describe("the stock that is kept of the dropped log", () => {
  it("is the stock as it was at that position", async () => {
    await firstTwelve();
    const horizon = await dropOld();
    expect(horizon).toBe(10);
    const [base] = await readLog(readerOf(pool), "inventory", 0, 1);
    expect(base).toMatchObject({ position: 10, events: [{ type: "StockSnapshot", subject: "stock" }] });
    const { records } = base!.events[0]!.data as { records: StockRecord[] };
    const figures = records.map(
      ({ sku, quantity_on_hand, quantity_reserved, quantity_available, version, listed }) => [
        sku,
        quantity_on_hand,
        quantity_reserved,
        quantity_available,
        version,
        listed,
      ],
    );
    expect(figures).toEqual([
      ["CAP", 0, 0, 0, 1, true],
      ["HAT", 50, 4, 46, 6, true],
      ["MUG", 98, 5, 93, 5, true],
    ]);
    expect(records[0]).toMatchObject({ store_id: "main", product_id: "P1" });
  });

  it("and the rest of the log give the table, and verify says what it could not compare", async () => {
    await firstTwelve();
    await dropOld();
    await happen(
      commit("ends-later"),
      release("open"),
      reserve("new", { MUG: 1 }),
      reserve("newer", { MUG: 2 }),
    );
    const findings = await verified();
    expect(findings.map(({ check, looked_at }) => `${check}: ${looked_at}`).join("\n")).toMatch(
      /the stock at position 10 gives the stock[\s\S]*against 2 reservations; 4 began before the log that is kept/,
    );
    expect(await dropOld()).toBe(15);
    await verified();
    await happen(
      adjust("a3", { CAP: 4 }),
      commit("new"),
      release("newer"),
      reserve("last", { CAP: 1 }),
      confirm("last"),
    );
    expect(await dropOld()).toBe(20);
    await verified();
  });

  it("says what was owed there, which is made up for behind it", async () => {
    await happen(
      sync("P1", "MUG", "HAT"),
      adjust("a1", { MUG: 3, HAT: 9 }),
      move("m1", { MUG: -5 }),
      ...Array.from({ length: 4 }, (_, i) => reserve(`r${i}`, { HAT: 1 })),
      sync("P1", "HAT"),
    );
    expect(await dropOld()).toBe(5);
    const [base] = await readLog(readerOf(pool), "inventory", 0, 1);
    const { records } = base!.events[0]!.data as { records: StockRecord[] };
    expect(records.map(({ sku, quantity_owed }) => [sku, quantity_owed])).toEqual([
      ["HAT", 0],
      ["MUG", 2],
    ]);
    await happen(move("m2", { MUG: 3 }));
    expect(await stockNow()).toMatchObject([{ sku: "HAT" }, { quantity_on_hand: 1, quantity_owed: 0 }]);
    expect(await inventory.stock(mug, await now())).toMatchObject({ quantity_owed: 0 });
    await verified();
    await pool.query(
      `update inventory.log_base set events = replace(events, '"quantity_owed" : 2', '"quantity_owed" : 1')`,
    );
    const findings = await verifyInventory(readerOf(pool), () => {});
    expect(findings.flatMap(({ violations }) => violations).join()).toContain("MUG");
  });

  it("was kept by an earlier version, which knew of nothing owed, and is right all the same", async () => {
    await firstTwelve();
    await dropOld();
    await pool.query(`update inventory.log_base set events = replace(events, '"quantity_owed" : 0, ', '')`);
    await verified();
  });

  it("is held against the table: a unit that goes astray is found", async () => {
    await firstTwelve();
    await dropOld();
    await pool.query(
      `update inventory.log_base
       set events = replace(events, '"quantity_on_hand" : 50', '"quantity_on_hand" : 51')`,
    );
    const findings = await verifyInventory(readerOf(pool), () => {});
    expect(findings.flatMap(({ violations }) => violations).join()).toContain("HAT");
  });

  it("comes in batches of some hundred records, each at a position of its own", async () => {
    const skus = Array.from({ length: 1_300 }, (_, i) => `SKU-${i}`);
    await happen(
      sync("P1", ...skus),
      ...Array.from({ length: 5 }, (_, i) => adjust(`a${i}`, { "SKU-7": 1 })),
    );
    expect(await dropOld()).toBe(5);
    const batches = await readLog(readerOf(pool), "inventory", 0, 100);
    const sizes = batches
      .flatMap(({ events }) => events)
      .filter(({ type }) => type === "StockSnapshot")
      .map(({ data }) => (data as { records: unknown[] }).records.length);
    expect(sizes).toEqual([300, 500, 500]);
    expect(batches.map(({ position }) => position)).toEqual([3, 4, 5, 6]);
    await verified();
  });

  it("makes larger batches where few positions were dropped", async () => {
    const skus = Array.from({ length: 3_001 }, (_, i) => `SKU-${i}`);
    await happen(sync("P1", ...skus));
    await usePositions(5);
    await happen(adjust("a1", { "SKU-7": 1 }));
    expect(await dropOld()).toBe(1);
    const batches = await readLog(readerOf(pool), "inventory", 0, 100);
    expect(batches.map(({ position }) => position)).toEqual([1, 7]);
    await verified();
  });

  it("is neither there nor missed if the drop fails", async () => {
    await firstTwelve();
    const reader = await pool.connect();
    await reader.query("begin");
    await reader.query("select count(*) from inventory.log");
    await expect(dropOld()).rejects.toThrow();
    await reader.query("rollback");
    reader.release();
    const { rows } = await pool.query("select * from inventory.log_base");
    expect(rows).toEqual([]);
    await verified();
    expect(await dropOld()).toBe(10);
    await verified();
  });
});

/** Positions that are taken by nobody, as a rolled-back batch leaves them. */
function usePositions(many: number): Promise<unknown> {
  return pool.query("select nextval('inventory.log_position') from generate_series(1, $1)", [many]);
}

it("a drop while verify looks at the database as it was is told from a broken promise", async () => {
  await firstTwelve();
  const client = await pool.connect();
  await client.query("begin isolation level repeatable read, read only");
  await client.query("select count(*) from inventory.stock");
  await dropOld();
  await expect(verifyInventory(readerOf(client), () => {})).rejects.toMatchObject({
    code: "log.dropped_meanwhile",
    retryable: true,
  });
  await client.query("rollback");
  client.release();
  await verified();
});

describe("the past beyond the horizon", () => {
  it("is the stock as of a moment from there on, and not known before", async () => {
    await happen(sync("P1", "MUG", "HAT"), adjust("a1", { MUG: 10, HAT: 10 }));
    const early = await now();
    await happen(reserve("r1", { MUG: 1 }), reserve("r2", { MUG: 2 }), reserve("r3", { MUG: 3 }));
    const late = await now();
    await happen(reserve("r4", { MUG: 1 }));
    const before = [await inventory.stock(mug, late), await inventory.stock(hat, late)];
    expect(await inventory.stock(mug, early)).toMatchObject({ quantity_available: 10 });
    expect(await dropOld()).toBe(5);
    expect([await inventory.stock(mug, late), await inventory.stock(hat, late)]).toEqual(before);
    expect(before).toMatchObject([{ quantity_available: 4 }, { quantity_available: 10 }]);
    expect(await inventory.stock(mug, early)).toBeUndefined();
    expect(await inventory.stock(hat, early), "it has not moved since").toMatchObject({
      quantity_available: 10,
    });
  });

  it("leaves each record's last row of the history, and what came later", async () => {
    await firstTwelve();
    expect(await historyOf("MUG")).toEqual([1, 2, 3, 5, 6, 11]);
    await dropOld();
    expect([await historyOf("CAP"), await historyOf("HAT"), await historyOf("MUG")]).toEqual([
      [1],
      [10, 12],
      [6, 11],
    ]);
  });

  it("is forgotten by the next process if one dies between the drop and that", async () => {
    await firstTwelve();
    const history = (await pool.query("select * from inventory.stock_history")).rows;
    await dropOld();
    for (const row of history) {
      await pool.query(
        "insert into inventory.stock_history select * from json_populate_record(null::inventory.stock_history, $1) on conflict do nothing",
        [row],
      );
    }
    expect(await historyOf("MUG")).toHaveLength(6);
    await dropOld();
    expect(await historyOf("MUG")).toEqual([6, 11]);
  });

  it("is missing from the movements, which go on from there", async () => {
    await firstTwelve();
    await dropOld();
    const types: string[] = [];
    let after: string | undefined;
    do {
      const { items, next } = await inventory.listMovements(mug, after, 1);
      types.push(...items.map(({ event_type, quantity }) => `${event_type} ${quantity}`));
      after = next ?? undefined;
    } while (after !== undefined);
    expect(types).toEqual(["ADJUSTED 7"]);
  });

  it("leaves reservations, adjustments and stock alone: what was done is not done again", async () => {
    await firstTwelve();
    const before = await stockNow();
    await dropOld();
    expect(await inventory.submit(adjust("a1", { MUG: 100, HAT: 50 }))).toMatchObject({ accepted: true });
    expect(await inventory.submit(reserve("ended", { MUG: 2 }))).toMatchObject({ accepted: false });
    expect(await inventory.reservation("ended")).toMatchObject({ status: "committed", positions: [3, 4, 5] });
    expect(await stockNow()).toEqual(before);
    await verified();
  });
});
