import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../testing/database.ts";
import { OrderDesk } from "../../../testing/orders.ts";
import type { Order } from "../contract.ts";

let desk: OrderDesk;
let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
  desk = new OrderDesk();
  await desk.open(database.url);
  await desk.offer({ mug: 250 });
});

afterEach(async () => {
  await desk.close();
  await database.drop();
});

const placed = () => desk.placedOrder(desk.input("mug", 2));

async function paid(): Promise<Order> {
  const order = await placed();
  await desk.reserved(order);
  await desk.charged(order);
  await desk.confirmed(order);
  return order;
}

async function completed(): Promise<Order> {
  const order = await paid();
  await desk.shipped(order);
  await desk.committed(order);
  return order;
}

async function cancelled(): Promise<Order> {
  const order = await placed();
  await desk.reserved(order);
  await desk.charged(order);
  await desk.service.orders.cancel(order.id, "cancelled");
  return order;
}

const refunded = (order: Order) =>
  desk.tell("payments", "PaymentRefunded", {
    ...desk.ofStock(order),
    amount_minor: order.total_minor,
    currency: order.currency,
    reason: "cancelled",
  });

/** As if all of it had happened so long ago that nothing can be on its way any more. */
async function longAgo(): Promise<void> {
  for (const schema of ["orders", "inventory", "payments", "fulfillment"]) {
    await desk.pool.query(`update ${schema}.log_base set at = at - interval '20 hours'`);
    await desk.pool.query(`update ${schema}.log set at = at - interval '20 hours'`);
  }
  await desk.pool.query("update orders.heard set at = at - interval '20 hours'");
  await desk.pool.query(
    `update orders.orders set created_at = created_at - interval '20 hours', ended_at = ended_at - interval '20 hours'`,
  );
}

async function violations(): Promise<string[]> {
  return (await desk.verify()).flatMap((finding) => finding.violations);
}

describe("verify finds nothing wrong with", () => {
  it("orders in every state, however they came there", async () => {
    await placed();
    await paid();
    await completed();
    const order = await cancelled();
    await desk.released(order, "cancelled");
    await refunded(order);
    const rejected = await placed();
    const refusal = { code: "inventory.insufficient_stock", detail: "None left." };
    await desk.tell("inventory", "InventoryReservationFailed", {
      ...desk.ofStock(rejected),
      refusal,
      key: null,
    });
    await longAgo();
    const findings = await desk.verify();
    expect(findings.flatMap((finding) => finding.violations)).toEqual([]);
    expect(findings.map(({ looked_at }) => looked_at)).toEqual([
      "2 open orders",
      expect.stringMatching(/^5 orders in \d+ events, of which 2 are open or being settled$/),
      expect.stringMatching(/^5 orders in/),
      "5 orders",
    ]);
  });

  it("orders that began before the part of the logs that is kept", async () => {
    const settled = await completed();
    const open = await paid();
    for (const schema of ["orders", "inventory", "payments", "fulfillment"]) {
      await desk.pool.query(
        `insert into ${schema}.log_base (position, at, events) select max(position), max(at), '[]' from ${schema}.log
         having max(position) is not null`,
      );
      await desk.pool.query(`delete from ${schema}.log`);
    }
    await desk.pool.query("delete from orders.heard");
    await desk.shipped(open);
    await desk.released(settled, "cancelled");
    await completed();
    await longAgo();
    const findings = await desk.verify();
    expect(findings.flatMap((finding) => finding.violations)).toEqual([]);
    expect(findings[1]!.looked_at).toMatch(/^1 orders in/);
    expect(findings[3]!.looked_at).toBe("1 orders; 2 are older than what is kept of their story");
  });

  it("an order whose own events stand between what it heard in one batch", async () => {
    const order = await paid();
    const of = desk.ofStock(order);
    await desk.deliver(
      await desk.said("inventory", "InventoryReleased", {
        ...of,
        lines: [],
        reason: "shortfall",
        now: "released",
      }),
      await desk.said("fulfillment", "ShipmentCancellationRefused", { ...of, detail: "It has left." }),
    );
    expect((await desk.order(order.id)).cancellation_requested).toBeNull();
    expect(await violations()).toEqual([]);
  });

  it("orders of which only a part of what they heard is kept", async () => {
    await completed();
    await longAgo();
    await longAgo();
    await completed();
    await desk.pool.query("delete from orders.heard where at < now() - interval '1 day'");
    const findings = await desk.verify();
    expect(findings.flatMap((finding) => finding.violations)).toEqual([]);
    expect(findings[3]!.looked_at).toBe("1 orders; 1 are older than what is kept of their story");
  });

  it("what is still being put right", async () => {
    await cancelled();
    expect(await violations()).toEqual([]);
  });

  it("stock that was reduced with the payment and put back", async () => {
    const order = await placed();
    await desk.charged(order);
    await desk.committed(order);
    await desk.service.orders.cancel(order.id, "cancelled");
    await desk.tell("fulfillment", "ShipmentCancelled", { ...desk.ofStock(order), reason: "cancelled" });
    await refunded(order);
    await longAgo();
    expect(await violations()).toEqual([
      `${order.id} is cancelled, but was taken off the stock and not put back`,
    ]);
    const adjustment = {
      adjustment_id: `restock:${order.reservation_id}`,
      lines: [],
      reason: "cancelled",
      actor: "orders",
    };
    await desk.said("inventory", "InventoryAdjusted", adjustment);
    expect(await violations()).toEqual([]);
  });

  it("a hold that somebody took by hand in the order's name", async () => {
    const order = await completed();
    await desk.tell("inventory", "InventoryReserved", {
      order_id: order.id,
      reservation_id: "by-hand",
      lines: [],
      expires_at: new Date(),
      key: null,
    });
    await longAgo();
    expect(await violations()).toEqual([]);
  });
});

describe("verify finds", () => {
  it("what is held or kept by an order that has ended", async () => {
    const { id } = await cancelled();
    await longAgo();
    expect(await violations()).toEqual([
      `${id} is cancelled, but still holds stock`,
      `${id} is cancelled, but was paid and not paid back`,
    ]);
  });

  it.each<[string, (order: Order) => Promise<unknown>, string]>([
    ["paid twice", (order) => desk.charged(order), "was paid 2 times"],
    ["taken off the stock twice", (order) => desk.committed(order), "was taken off the stock 2 times"],
    ["shipped twice", (order) => desk.shipped(order), "was shipped 2 times"],
  ])("an order that was %s, however young that is", async (_, again, complaint) => {
    const order = await completed();
    await again(order);
    expect(await violations()).toContain(`${order.id} ${complaint}`);
  });

  it.each<[string, (order: Order) => object[], string]>([
    ["less", ({ lines: [mug] }) => [{ ...mug, quantity: 1 }], "1 too few of mug in main"],
    ["more", ({ lines: [mug] }) => [{ ...mug, quantity: 5 }], "3 too many of mug in main"],
    [
      "something else",
      ({ lines: [mug] }) => [{ ...mug, sku: "cup" }],
      "2 too few of mug in main, 2 too many of cup in main",
    ],
  ])("an order for which %s was taken off the stock than it was for", async (_, linesOf, complaint) => {
    const order = await paid();
    await desk.shipped(order);
    await desk.tell("inventory", "InventoryCommitted", {
      ...desk.ofStock(order),
      lines: linesOf(order),
      key: null,
      complete: true,
    });
    expect((await desk.order(order.id)).status).toBe("completed");
    await longAgo();
    expect(await violations()).toEqual([
      `${order.id} is completed, but was taken off the stock with ${complaint}`,
    ]);
  });

  it("a second payment that comes long after everything was settled", async () => {
    const order = await completed();
    await longAgo();
    await completed();
    const { total_minor: amount_minor, currency } = order;
    await desk.said("payments", "PaymentSucceeded", { ...desk.ofStock(order), amount_minor, currency });
    expect(await violations()).toEqual([`${order.id} was paid 2 times`]);
  });

  it("an open order that nobody cares for", async () => {
    const { id } = await placed();
    await desk.service.stop();
    await desk.overdue(id, 301);
    expect(await violations()).toEqual([expect.stringMatching(`^${id} is pending, and its deadline was `)]);
  });

  it.each([
    ["status = 'reserved'"],
    ["payment = 'none'"],
    ['shipped_parts = \'[{"part": 1, "lines": []}]\''],
    ["total_minor = 1"],
    ["hold_expires_at = null"],
    ["positions = '{}'"],
  ])("a row that its story does not explain: %s", async (change) => {
    const order = await placed();
    await desk.reserved(order);
    await desk.confirmed(order);
    await desk.pool.query(`update orders.orders set ${change} where id = $1`, [order.id]);
    expect(await violations()).toEqual([expect.stringMatching(`^${order.id}: the table has `)]);
  });

  it("lines that do not come to the total", async () => {
    const { id } = await placed();
    await desk.pool.query(
      `update orders.log set events = replace(events, '"total_minor":500', '"total_minor":400')`,
    );
    expect(await violations()).toContain(`the lines of ${id} come to 500, not 400`);
  });
});
