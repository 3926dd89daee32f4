import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Transaction, transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { adjust, busEvent, inStore, testSettings } from "../../testing/inventory.ts";
import { type InventoryService, inventoryMigrations, inventoryService } from "./index.ts";
import type { InventoryOptions } from "./inventory.ts";

const database = useTestDatabase();
const registry = createRegistry();
let pool: Pool;
let service: InventoryService;

beforeAll(async () => {
  await migrate(database.url, inventoryMigrations);
  pool = createPool(database.url, { max: 4, name: "test" });
  service = inventoryService(optionsWith({ registry }));
});
afterAll(async () => {
  await service.stop();
  await pool.end();
});
beforeEach(async () => {
  await pool.query(
    `truncate inventory.log, inventory.skus, inventory.stock, inventory.stock_history, inventory.reservations,
       inventory.adjustments`,
  );
  await deliver(event("catalog", "ProductCreated", { product_id: "P1", skus: [{ sku: "MUG" }] }));
  await service.inventory.submit(adjust("opening", inStore("main", { MUG: 10 })));
});

let position = 0;
function event(topic: string, type: string, data: object): BusEvent {
  return busEvent(topic, ++position, { type, data });
}

function put(product_id: string, ...skus: string[]): BusEvent {
  return event("catalog", "ProductUpdated", { product_id, skus: skus.map((sku) => ({ sku })) });
}

function optionsWith(options: Partial<InventoryOptions>): InventoryOptions {
  const logger = createLogger("warn");
  const given = {
    pool,
    reads: pool,
    maxWaiting: 1_000,
    registry: createRegistry(),
    logger,
    tracer: untraced,
  };
  return { ...given, settings: testSettings, ...options };
}

const order = { order_id: "o1", reservation_id: "o1" };
const mugs = (quantity: number) => [{ store_id: "main", sku: "MUG", quantity, price_minor: 250 }];
const created = event("orders", "OrderCreated", { ...order, lines: mugs(3) });
const paid = event("payments", "PaymentSucceeded", order);
const partlyShipped = event("fulfillment", "OrderPartlyShipped", { ...order, lines: mugs(1), part: 1 });
const fulfilled = event("fulfillment", "OrderFulfilled", { ...order, lines: mugs(2), part: 2 });
const wholeFlow = [created, paid, partlyShipped, fulfilled];

/** As the bus does it: one transaction, and then what is to be done after its commit. */
async function deliver(...events: BusEvent[]): Promise<void> {
  const after = await transact(pool, (tx) => service.subscription.handle(tx, events));
  after?.();
}

async function loggedEvents(): Promise<{ type: string; subject: string; cause?: string }[]> {
  const { rows } = await pool.query("select events from inventory.log order by position");
  return rows.flatMap(({ events }) => JSON.parse(events));
}

/** Of the tables, as they stand. */
async function everything(): Promise<unknown[]> {
  const tables = ["log", "skus", "stock", "stock_history"].map(async (table) => {
    const { rows } = await pool.query(`select to_json(t)::text as row from inventory.${table} t order by 1`);
    return rows;
  });
  return Promise.all(tables);
}

async function listedBy(product_id: string): Promise<string[]> {
  const text = "select sku from inventory.skus where product_id = $1 and listed order by sku";
  const { rows } = await pool.query(text, [product_id]);
  return rows.map(({ sku }) => sku);
}

type Work = (tx: Transaction) => Promise<unknown>;

async function somebodyWaits(): Promise<void> {
  const waiting = `select count(*)::int as count from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'`;
  await expect.poll(async () => (await pool.query(waiting)).rows[0].count).toBe(1);
}

async function expectVerified(): Promise<void> {
  const findings = await service.verify(readerOf(pool), () => {});
  expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
}

const theirs = ({ subject }: { subject: string }) => subject === "o1";

it.each([
  ["one at a time", (all: BusEvent[]) => all.map((each) => [each])],
  ["all at once", (all: BusEvent[]) => [all]],
])("an order's events are carried out %s, and every event names its cause", async (_, batched) => {
  for (const batch of batched(wholeFlow)) await deliver(...batch);
  expect((await loggedEvents()).filter(theirs)).toMatchObject([
    { type: "InventoryReserved", cause: created.id },
    { type: "InventoryConfirmed", cause: paid.id },
    { type: "InventoryCommitted", cause: partlyShipped.id, data: { key: "part-1", complete: false } },
    { type: "InventoryCommitted", cause: fulfilled.id, data: { complete: true } },
  ]);
  expect(await service.inventory.stock({ store_id: "main", sku: "MUG" })).toMatchObject({
    quantity_on_hand: 7,
    quantity_reserved: 0,
  });
  await expectVerified();
});

it("a replay of everything writes nothing", async () => {
  await deliver(...wholeFlow);
  const before = await loggedEvents();
  for (const each of wholeFlow) await deliver(each);
  await deliver(...wholeFlow);
  expect(await loggedEvents()).toEqual(before);
});

describe("the catalogue", () => {
  it("that is replayed changes nothing, and offers nothing that is offered no more", async () => {
    const said = [put("P2", "CUP", "PEN"), put("P2", "PEN"), put("P2", "PEN", "CAP"), put("P3", "CUP")];
    for (const each of said) await deliver(each);
    await deliver(put("P3", "HAT"));
    const before = await everything();
    for (const each of said) await deliver(each);
    await deliver(...said);
    expect(await everything()).toEqual(before);
    await expectVerified();
  });

  it("moves a SKU to another product and back, though the other's events come last", async () => {
    const [taken, dropped] = [put("P2", "CUP"), put("P2", "PEN")];
    const [lent, returned] = [put("P3", "CUP", "HAT"), put("P3", "HAT")];
    const back = put("P2", "PEN", "CUP");
    for (const each of [taken, dropped, back, lent, returned]) await deliver(each);
    const cups = (await loggedEvents()).filter(({ subject }) => subject === "CUP");
    expect(cups.map(({ cause }) => cause)).toEqual([taken.id, taken.id, dropped.id, back.id]);
    expect(await service.inventory.stock({ store_id: "main", sku: "CUP" })).toMatchObject({
      product_id: "P2",
      listed: true,
    });
    await expectVerified();
  });

  it("is taken up from the rows of the version before, which name no place", async () => {
    const [listed, dropped] = [put("P2", "CUP", "PEN"), put("P2", "PEN")];
    for (const sku of ["CUP", "PEN"])
      await pool.query("insert into inventory.skus (sku, product_id, listed) values ($1, 'P2', true)", [sku]);
    await deliver(listed, dropped);
    expect(await listedBy("P2")).toEqual(["PEN"]);
  });
});

describe("two processes that hear of products with the same SKUs at once", () => {
  const [earlier, later] = [put("P2", "CUP"), put("P3", "CUP")];

  /** What comes of a delivery that waits for somebody until he has done all of this. */
  async function meeting(
    events: BusEvent[],
    before: Work,
    meanwhile: Work = async () => {},
  ): Promise<unknown> {
    let outcome: Promise<unknown> | undefined;
    await transact(pool, async (tx) => {
      await before(tx);
      // Writes are not waited for; what is answered behind them tells that they are done.
      await tx.read({ name: "test_written", text: "select" });
      outcome = deliver(...events).catch((error: unknown) => error);
      await somebodyWaits();
      await meanwhile(tx);
    });
    return outcome;
  }

  it.each([
    ["the earlier word", earlier, later],
    ["the later word", later, earlier],
  ])("keep what was said later when %s is written first", async (_, first, second) => {
    const lost = await meeting([second], async (tx) => {
      await service.subscription.handle(tx, [first]);
    });
    expect(lost).toMatchObject({ code: "23505" });
    await deliver(second);
    expect(await service.inventory.stock({ store_id: "main", sku: "CUP" })).toMatchObject({
      product_id: "P3",
      listed: true,
    });
  });

  it("never overwrite what was said later, even if nothing else stops them", async () => {
    const insert = "insert into inventory.skus values ('CUP', 'P9', true, 1000000, 0)";
    await meeting([later], (tx) => tx.read({ name: "test_said", text: insert }));
    expect([await listedBy("P9"), await listedBy("P3")]).toEqual([["CUP"], []]);
  });

  it("write new SKUs in one order", async () => {
    const insert = (sku: string) => (tx: Transaction) =>
      tx.read({ name: "test_sku", text: "insert into inventory.skus values ($1, 'P9', true, 0, 0)" }, [sku]);
    await meeting([put("P2", "HAT", "CUP")], insert("CUP"), insert("HAT"));
    expect(await listedBy("P2")).toEqual(["CUP", "HAT"]);
  });

  it("lock the stock in one order, for whatever they want it", async () => {
    const lock = (sku: string) => (tx: Transaction) =>
      tx.read({ name: "test_lock", text: "select 1 from inventory.stock where sku = $1 for update nowait" }, [
        sku,
      ]);
    await deliver(put("P2", "CUP"));
    await meeting([created, put("P3", "CUP")], lock("CUP"), lock("MUG"));
    expect(await listedBy("P3")).toEqual(["CUP"]);
  });
});

it("what is delivered is counted like what is submitted, once it is durable", async () => {
  const count = async () =>
    (await registry.getSingleMetric("inventory_reservations_total")!.get()).values[0]!.value;
  const before = await count();
  await deliver(created);
  expect(await count()).toBe(before + 1);
  await transact(pool, async (tx) => {
    await service.subscription.handle(tx, [event("orders", "OrderCreated", { ...order, order_id: "o2" })]);
    throw new Error("rolled back");
  }).catch(() => {});
  expect(await count()).toBe(before + 1);
});

it("an order takes over a cart's hold, which is the cart's to let go no more", async () => {
  const cart = { cart_id: "mine", reservation_id: "c1" };
  await deliver(event("carts", "CartHoldRequested", { ...cart, key: "k1", lines: mugs(3), ttl_seconds: 60 }));
  await deliver(event("orders", "OrderCreated", { order_id: "o1", reservation_id: "c1", lines: mugs(3) }));
  await deliver(event("carts", "CartHoldReleased", { ...cart, reason: "emptied" }));
  expect(await service.inventory.reservation("c1")).toMatchObject({ status: "held", order_id: "o1" });
  await expectVerified();
});

it("what was taken again is a movement, and verify follows a hold that lives again long after it had ended", async () => {
  await deliver(created);
  await pool.query(
    "update inventory.reservations set expires_at = now() - interval '1 hour', sweep_at = now() - interval '1 hour' where id = 'o1'",
  );
  await service.inventory.submit({ type: "ExpireReservations", limit: 10 });
  // Verify reads the log in pages of a hundred batches, and forgets at the end of each what has ended for good.
  for (let n = 0; n < 120; n++) await service.inventory.submit(adjust(`a${n}`, inStore("main", { MUG: 1 })));
  await deliver(paid);
  expect(await service.inventory.reservation("o1")).toMatchObject({ status: "confirmed" });
  const { items } = await service.inventory.listMovements({ store_id: "main", sku: "MUG" }, undefined, 200);
  expect(items.at(-1)).toMatchObject({ event_type: "RESERVED", quantity: 3, order_id: "o1" });
  await expectVerified();
});

it("verify sees a reservation that differs from the log, though it has lived again", async () => {
  await deliver(created);
  await pool.query(
    "update inventory.reservations set expires_at = now() - interval '1 hour', sweep_at = now() - interval '1 hour' where id = 'o1'",
  );
  await service.inventory.submit({ type: "ExpireReservations", limit: 10 });
  await deliver(paid);
  await pool.query("update inventory.reservations set order_id = 'o2' where id = 'o1'");
  const findings = await service.verify(readerOf(pool), () => {});
  expect(findings.flatMap(({ violations }) => violations)).toMatchObject([
    expect.stringContaining("o1: the table has"),
  ]);
});

it("what was committed for an order that then ends comes back once, however often that is said", async () => {
  const cancelled = event("orders", "OrderCancelled", { ...order, reason: "changed_mind", detail: "" });
  await deliver(...wholeFlow);
  await deliver(cancelled);
  await deliver(cancelled, cancelled);
  const { items } = await service.inventory.listMovements({ store_id: "main", sku: "MUG" }, undefined, 50);
  expect(items.filter(({ adjustment_id }) => adjustment_id === "restock:o1")).toMatchObject([
    { event_type: "ADJUSTED", quantity: 3, quantity_on_hand: 10, actor: "orders" },
  ]);
  await expectVerified();
});

it("a payment for an open hold waits for no stock record that somebody else has locked", async () => {
  await deliver(created);
  await transact(pool, async (tx) => {
    await tx.read({ name: "test_lock_stock", text: "select 1 from inventory.stock for update" });
    await deliver(paid);
  });
  expect(await service.inventory.reservation("o1")).toMatchObject({ status: "confirmed" });
});

it("stock that is reduced with the payment is reduced within the batch of the payment", async () => {
  const prompt = inventoryService(optionsWith({ settings: { ...testSettings, commit_on: "payment" } }));
  await deliver(created);
  await transact(pool, (tx) => prompt.subscription.handle(tx, [paid]));
  expect(await service.inventory.stock({ store_id: "main", sku: "MUG" })).toMatchObject({
    quantity_on_hand: 7,
  });
  await expectVerified();
});
