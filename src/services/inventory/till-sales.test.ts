import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrationsOf } from "../../engine.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { serviceNames } from "../../platform/settings.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { installClock } from "../../testing/flow/clock.ts";
import { comeToAnEnd } from "../../testing/flow/end.ts";
import { Flow } from "../../testing/flow/flow.ts";
import { allIsWell, neverOversold } from "../../testing/flow/promises.ts";
import type { FlowSettings } from "../../testing/flow/services.ts";

const database = useTestDatabase();
let pool: Pool;

beforeAll(async () => {
  await migrate(database.url, migrationsOf("postgres", serviceNames));
  const first = createPool(database.url, { max: 1, name: "test" });
  await installClock(first);
  await first.end();
  pool = createPool(database.url, { max: 8, name: "test" });
});
afterAll(() => pool?.end());

const onHand = 3;
const sku = "mug";
const wanted = [{ sku: 1, quantity: 2 }];

/** Somebody orders 2 of 3, `happens` happens, and then the till tells that 3 were sold over the counter before. */
async function soldOverTheCounter(
  happens: (flow: Flow) => Promise<void>,
  settings: Partial<FlowSettings> = {},
): Promise<{ status: string; refunded: boolean | undefined; stock: (number | undefined)[] }> {
  const all = { commit_on: "fulfillment", hold_on: "checkout", carrier: "manual", ...settings } as const;
  const flow = await Flow.open(pool, all, onHand);
  try {
    await flow.order("request", wanted, "tok_ok");
    await happens(flow);
    const { receives } = flow.fleet.part("inventory");
    await receives.receive([
      {
        attributes: { source: "/tills/7", id: "4711", type: "StockOut" },
        body: JSON.stringify({ lines: [{ store_id: "main", sku, quantity: 3 }] }),
        place: "inventory.inbound/0@1",
      },
    ]);
    expect(await neverOversold(flow)).toEqual([]);
    await flow.deliverAll();
    await comeToAnEnd(flow);
    expect(await allIsWell(flow)).toEqual([]);
    const id = flow.acknowledged.get("request")!;
    const order = await flow.fleet.part("orders").orders.order(id);
    const payment = await flow.fleet.part("payments").payments.payment(id);
    const record = await flow.fleet.part("inventory").inventory.stock({ store_id: "main", sku });
    return {
      status: order!.status,
      refunded: payment?.refunded,
      stock: [record?.quantity_on_hand, record?.quantity_reserved, record?.quantity_owed],
    };
  } finally {
    await flow.close();
  }
}

async function isReserved(flow: Flow): Promise<void> {
  await flow.deliveries.look();
  await flow.hear("inventory", flow.deliveries.next("inventory", [1_000]));
}

async function isPaid(flow: Flow): Promise<void> {
  await flow.deliverAll();
}

async function isShipped(flow: Flow): Promise<void> {
  await flow.deliverAll();
  await flow.ship(flow.acknowledged.get("request")!);
}

describe("an order whose stock turns out to have been sold over the counter", () => {
  it("before it was held, is refused", async () => {
    const ended = await soldOverTheCounter(async () => {});
    expect(ended).toEqual({
      status: "rejected",
      refunded: expect.toBeOneOf([false, undefined]),
      stock: [0, 0, 0],
    });
  });

  it("before it was paid, ends, and no money is kept", async () => {
    expect(await soldOverTheCounter(isReserved)).toMatchObject({ status: "cancelled", stock: [0, 0, 0] });
  });

  it("after it was paid, is cancelled and paid back", async () => {
    expect(await soldOverTheCounter(isPaid)).toEqual({
      status: "cancelled",
      refunded: true,
      stock: [0, 0, 0],
    });
  });

  it("after its goods have left, is completed all the same", async () => {
    expect(await soldOverTheCounter(isShipped)).toEqual({
      status: "completed",
      refunded: false,
      stock: [0, 0, 0],
    });
  });

  it("after its stock was reduced with the payment, is completed, and what cannot have been there is owed", async () => {
    expect(await soldOverTheCounter(isPaid, { commit_on: "payment" })).toEqual({
      status: "completed",
      refunded: false,
      stock: [0, 0, 2],
    });
  });
});
