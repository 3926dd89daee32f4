import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import { type EventRecord, logWriter } from "../../platform/log/append.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { patience } from "../../testing/patience.ts";
import { seededRandom } from "../../testing/random.ts";
import type { InventoryCommand, Line } from "../inventory/contract/index.ts";
import { inventoryMigrations, inventoryService } from "../inventory/index.ts";
import { type StorefrontService, storefrontMigrations, storefrontService } from "./index.ts";

const database = useTestDatabase();
const log = logWriter("inventory");
const running: StorefrontService[] = [];
const warnings: string[] = [];
let pool: Pool;
let listeners: (() => void)[] = [];

beforeAll(async () => {
  await migrate(database.url, [...inventoryMigrations, ...storefrontMigrations]);
  pool = createPool(database.url, { max: 12, name: "storefront" });
});
afterAll(() => pool.end());
beforeEach(() =>
  pool.query("truncate inventory.log, inventory.log_base, storefront.availability, storefront.cursors"),
);
afterEach(async () => {
  for (const service of running.splice(0)) await service.stop();
  listeners = [];
});

/** One process. */
function open(): StorefrontService {
  const service = storefrontService({
    ...common(),
    settings: { max_streams: 10 },
    follows: "inventory",
    watch,
  });
  running.push(service);
  return service;
}

function common() {
  const logger = createLogger("warn", { write: (line) => warnings.push(line) });
  return { pool, reads: pool, maxWaiting: 20_000, registry: createRegistry(), logger, tracer: untraced };
}

function watch(_topic: string, onGrown: () => void): void {
  listeners.push(onGrown);
}

async function started(): Promise<StorefrontService> {
  const service = open();
  service.start();
  await vi.waitFor(() => expect(service.storefront.isReady).toBe(true), patience);
  return service;
}

async function stop(service: StorefrontService): Promise<void> {
  running.splice(running.indexOf(service), 1);
  await service.stop();
}

/** Appends one batch; answers its position. */
async function append(...events: EventRecord[]): Promise<number> {
  const position = await transact(pool, async (tx) => {
    const mark = await log.mark(tx);
    log.append(tx, mark, events);
    return mark.position;
  });
  for (const listener of listeners) listener();
  return position;
}

function event(type: string, data: object): EventRecord {
  return { type, subject: "any", data };
}

const opened = (sku: string, store_id = "main") => event("StockOpened", { store_id, sku, product_id: "P" });
const delisted = (sku: string) => event("SkuDelisted", { product_id: "P", sku });
const adjusted = (sku: string, version: number, quantity_available: number, store_id = "main") =>
  event("InventoryAdjusted", { lines: [{ store_id, sku, quantity: 1, quantity_available, version }] });

interface Item {
  store_id: string;
  sku: string;
  quantity_available: number;
  version: number;
  as_of: string;
}

function asked({ storefront }: StorefrontService, ...skus: string[]): Item[] {
  return JSON.parse(storefront.answer(skus, undefined)).items;
}

function quantities(service: StorefrontService, ...skus: string[]): Record<string, number> {
  return Object.fromEntries(
    asked(service, ...skus).map(({ store_id, sku, quantity_available }) => [
      `${store_id}/${sku}`,
      quantity_available,
    ]),
  );
}

async function cursor(): Promise<number | undefined> {
  const { rows } = await pool.query("select position from storefront.cursors where topic = 'inventory'");
  return rows[0]?.position;
}

async function violations(service: StorefrontService): Promise<string[]> {
  const findings = await service.verify(readerOf(pool), () => {});
  return findings.flatMap((finding) => finding.violations);
}

describe("following the log", () => {
  it("begins with what is there and goes on with what comes", async () => {
    await append(opened("A"), adjusted("A", 2, 5), opened("A", "shop"));
    const service = await started();
    expect(quantities(service, "A", "N")).toEqual({ "main/A": 5, "shop/A": 0 });
    const position = await append(adjusted("A", 3, 4), opened("N"));
    expect(await service.storefront.reached(position, patience.timeout)).toBe(true);
    expect(quantities(service, "A", "N")).toEqual({ "main/A": 4, "shop/A": 0, "main/N": 0 });
  });

  it("hears of what other processes write without being told", async () => {
    const service = await started();
    listeners = [];
    await append(opened("A"), adjusted("A", 2, 5));
    await vi.waitFor(() => expect(quantities(service, "A")).toEqual({ "main/A": 5 }), patience);
  });

  it("overlooks nothing that is committed late, and does not say that it is up to date meanwhile", async () => {
    await append(opened("A"), opened("B"));
    const service = await started();
    let commit!: () => void;
    const permission = new Promise<void>((resolve) => {
      commit = resolve;
    });
    let isMarked!: () => void;
    const marked = new Promise<void>((resolve) => {
      isMarked = resolve;
    });
    const late = transact(pool, async (tx) => {
      const mark = await log.mark(tx);
      log.append(tx, mark, [adjusted("A", 2, 7)]);
      isMarked();
      await permission;
    });
    await marked;
    const position = await append(adjusted("B", 2, 7));
    const [{ now }] = (await pool.query("select clock_timestamp() as now")).rows;
    expect(await service.storefront.reached(position, 700)).toBe(false);
    expect(quantities(service, "A", "B")).toEqual({ "main/A": 0, "main/B": 0 });
    expect(Date.parse(asked(service, "B")[0]!.as_of)).toBeLessThanOrEqual(now.getTime());
    commit();
    await late;
    expect(await service.storefront.reached(position, patience.timeout)).toBe(true);
    expect(quantities(service, "A", "B")).toEqual({ "main/A": 7, "main/B": 7 });
  });

  it("moves its time on while nothing happens", async () => {
    await append(opened("A"));
    const service = await started();
    const [{ now }] = (await pool.query("select clock_timestamp() as now")).rows;
    await vi.waitFor(
      () => expect(Date.parse(asked(service, "A")[0]!.as_of)).toBeGreaterThan(now.getTime()),
      patience,
    );
    expect(await service.probes![0]!.check()).toMatchObject({
      as_of: expect.any(String),
      position: expect.any(Number),
    });
  });

  it("begins with the snapshot of a log whose beginning was dropped", async () => {
    const position = await append(adjusted("A", 8, 3));
    const records = [
      { store_id: "main", sku: "A", quantity_available: 9, version: 7, listed: true },
      { store_id: "main", sku: "B", quantity_available: 9, version: 7, listed: false },
    ];
    await pool.query("insert into inventory.log_base (position, at, events) values ($1, now(), $2)", [
      position - 1,
      JSON.stringify([event("StockSnapshot", { records })]),
    ]);
    const service = await started();
    expect(quantities(service, "A", "B")).toEqual({ "main/A": 3, "main/B": 0 });
  });

  it("is not well, and not ready, before it has read the log", async () => {
    const service = open();
    expect(service.storefront.isReady).toBe(false);
    await expect(service.probes![0]!.check()).rejects.toMatchObject({ code: "storefront.not_ready" });
  });

  it("goes on when the log could not be read", async () => {
    const service = await started();
    await pool.query("alter table inventory.log rename to hidden");
    await vi.waitFor(() => expect(warnings.join()).toContain("could not be followed"), patience);
    await pool.query("alter table inventory.hidden rename to log");
    const position = await append(opened("A"));
    expect(await service.storefront.reached(position, patience.timeout)).toBe(true);
  });
});

describe("the table", () => {
  it("holds what was followed when the process ends, and the next one begins with it", async () => {
    await append(opened("A"), adjusted("A", 2, 5), opened("A", "shop"));
    const last = await append(delisted("A"));
    await stop(await started());
    expect(await cursor()).toBe(last);
    // What is saved is not read again: it is gone.
    await pool.query("truncate inventory.log");
    const service = await started();
    expect(asked(service, "A")).toMatchObject([
      { quantity_available: 0, version: expect.any(Number) },
      { quantity_available: 0, version: expect.any(Number) },
    ]);
    const position = await append(
      event("SkuListed", { product_id: "P", sku: "A" }),
      adjusted("A", 2, 3, "shop"),
    );
    await service.storefront.reached(position, patience.timeout);
    expect(quantities(service, "A")).toEqual({ "main/A": 5, "shop/A": 3 });
  });

  it("moves its cursor over what changes nothing as well", async () => {
    const service = await started();
    const position = await append(event("InventoryConfirmed", { reservation_id: "R", order_id: null }));
    await service.storefront.reached(position, patience.timeout);
    await stop(service);
    expect(await cursor()).toBe(position);
  });

  it("keeps a row that another process has saved from further on", async () => {
    await append(opened("A"), adjusted("A", 2, 5));
    const service = await started();
    await pool.query(
      `insert into storefront.availability
         (sku, store_id, quantity_available, version, listed, listing_position, position, event_index)
       values ('A', 'main', 1, 9, true, 0, 900, 0)
       on conflict (sku, store_id) do update set quantity_available = 1, version = 9, position = 900`,
    );
    await stop(service);
    const { rows } = await pool.query("select quantity_available, version from storefront.availability");
    expect(rows).toEqual([{ quantity_available: 1, version: 9 }]);
  });

  /** Follows one more batch and ends, while somebody else, who has the cursor first, sets it; answers to where. */
  async function stopWhileSomebodySets(
    service: StorefrontService,
    batch: EventRecord,
    wanted: (position: number) => number,
  ): Promise<number> {
    const client = await pool.connect();
    await client.query("begin");
    await client.query(
      `insert into storefront.cursors as c (topic, position) values ('inventory', 0)
       on conflict (topic, partition) do update set position = c.position`,
    );
    const position = await append(batch);
    await service.storefront.reached(position, patience.timeout);
    const stopped = stop(service);
    await vi.waitFor(async () => {
      const { rows } = await pool.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      expect(rows).toHaveLength(1);
    }, patience);
    await client.query("update storefront.cursors set position = $1", [wanted(position)]);
    await client.query("commit");
    client.release();
    await stopped;
    return wanted(position);
  }

  it("has a cursor that no process sets back which has not come as far", async () => {
    const set = await stopWhileSomebodySets(await started(), opened("A"), (position) => position + 5);
    expect(await cursor()).toBe(set);
    // The cursor may have been set by hand, past what nobody has saved yet.
    const { rows } = await pool.query("select sku from storefront.availability");
    expect(rows).toEqual([{ sku: "A" }]);
  });

  it("has a cursor that no process moves on which has not seen that it was set back", async () => {
    const first = await append(opened("A"));
    await stop(await started());
    const set = await stopWhileSomebodySets(await started(), adjusted("A", 2, 5), () => first - 1);
    expect(await cursor()).toBe(set);
  });

  it("is saved by each of several processes, and the last of them has it whole", async () => {
    const [first, second] = [await started(), await started()];
    for (let version = 1; version <= 20; version++) await append(adjusted("A", version, version));
    const position = await append(adjusted("A", 21, 21));
    await Promise.all(
      [first, second].map(({ storefront }) => storefront.reached(position, patience.timeout)),
    );
    await Promise.all([stop(first), stop(second)]);
    expect(await cursor()).toBe(position);
    expect(await violations(second)).toEqual([]);
  });
});

describe("a replay", () => {
  it("reads the log again, changes no answer, and puts the table right", async () => {
    await append(opened("A"), adjusted("A", 2, 5), opened("B"));
    const position = await append(adjusted("B", 2, 6), delisted("A"));
    await stop(await started());
    const service = await started();
    await pool.query("delete from storefront.availability where sku = 'A'");
    await pool.query("update storefront.availability set quantity_available = 99 where sku = 'B'");
    expect(await violations(service)).toHaveLength(2);
    await pool.query("update storefront.cursors set position = 0");
    await vi.waitFor(async () => expect(await cursor()).toBe(position), patience);
    expect(await violations(service)).toEqual([]);
    expect(quantities(service, "A", "B")).toEqual({ "main/A": 0, "main/B": 6 });
  });
});

describe("verify", () => {
  it("takes a row that is further than the cursor for what the log says further on", async () => {
    const first = await append(opened("A"));
    await append(adjusted("A", 2, 5));
    const service = await started();
    await stop(service);
    await pool.query("update storefront.cursors set position = $1", [first]);
    expect(await violations(service)).toEqual([]);
    await pool.query("update storefront.availability set quantity_available = 6");
    expect(await violations(service)).toEqual([expect.stringContaining("never stated")]);
  });

  it("finds records that nobody saved, and rows that the log does not know", async () => {
    await append(opened("A"), opened("B"));
    const service = await started();
    await stop(service);
    await pool.query("update storefront.availability set sku = 'X' where sku = 'B'");
    expect(await violations(service)).toEqual([
      expect.stringContaining("1 records are kept of the 2"),
      expect.stringContaining("X in main"),
    ]);
  });
});

it("thousands of movements come to what the stock has, with restarts and a replay among them", async () => {
  const random = seededRandom();
  const stock = inventoryService({
    ...common(),
    settings: {
      default_store: "main",
      hold_ttl_seconds: 900,
      low_stock_threshold: 2,
      commit_on: "fulfillment",
    },
  });
  const submit = (command: InventoryCommand) => stock.inventory.submit(command);
  const skus = Array.from({ length: 12 }, (_, i) => `sku ${i}`);
  const products = ["P", "Q", "R"];
  let said = 0;
  const sync = (product_id: string) => {
    const own = skus.filter((_, i) => i % 3 === products.indexOf(product_id) && random.integer(0, 4) > 0);
    return submit({ type: "SyncProduct", product_id, skus: own, position: ++said, index: 0 });
  };
  for (const product of products) await sync(product);
  let service = await started();
  const line = (most: number): Line => ({
    store_id: random.pick(["main", "shop"]),
    sku: random.pick(skus),
    quantity: random.integer(1, most),
  });
  for (let round = 0; round < 20; round++) {
    const commands = Array.from({ length: 200 }, (_, i): InventoryCommand => {
      const reservation_id = `hold-${random.integer(0, 400)}`;
      const lines = [line(3)];
      switch (random.integer(0, 5)) {
        case 0: {
          const { quantity, ...key } = line(50);
          return {
            type: "CountStock",
            ...key,
            quantity_on_hand: quantity,
            reason: "r",
            actor: "a",
            force: true,
          };
        }
        case 1:
          return {
            type: "AdjustStock",
            adjustment_id: `${round}-${i}`,
            lines,
            reason: "r",
            actor: "a",
            force: false,
          };
        case 2:
          return { type: "ReleaseReservation", reservation_id, reason: "cancelled" };
        case 3:
          return { type: "CommitReservation", reservation_id };
        default:
          return { type: "ReserveStock", reservation_id, lines };
      }
    });
    await Promise.all(commands.map(submit));
    if (round % 4 === 1) await sync(random.pick(products));
    if (round % 5 === 2) {
      await stop(service);
      service = await started();
    }
    if (round === 13) await pool.query("update storefront.cursors set position = 0");
  }
  await stock.stop();
  const [{ position }] = (await pool.query("select max(position) as position from inventory.log")).rows;
  expect(await service.storefront.reached(position, patience.timeout)).toBe(true);

  const { rows } = await pool.query(
    `select store_id, sku, case when listed then quantity_available else 0 end as quantity_available, version
     from inventory.stock order by sku, store_id`,
  );
  const byKey = (a: Item, b: Item) => (`${a.sku}/${a.store_id}` < `${b.sku}/${b.store_id}` ? -1 : 1);
  const items = () =>
    asked(service, ...skus)
      .sort(byKey)
      .map(({ as_of, ...item }) => item);
  expect(rows.length).toBeGreaterThan(12);
  expect(items()).toEqual([...rows].sort(byKey));
  expect(rows.some(({ quantity_available }) => quantity_available > 0)).toBe(true);
  await stop(service);
  expect(await violations(service)).toEqual([]);
  service = await started();
  expect(items()).toEqual([...rows].sort(byKey));
});
