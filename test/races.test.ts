import { afterAll, describe, expect, it, vi } from "vitest";
import type { BusEvent } from "../src/platform/bus/port.ts";
import type { Line } from "../src/services/inventory/contract/index.ts";
import { patience } from "../src/testing/patience.ts";
import { type Random, seededRandom } from "../src/testing/random.ts";
import { line, type Shop, useShop } from "../src/testing/shop.ts";

const groups = ["inventory", "orders", "payments", "fulfillment", "carts"];

describe("a payment that succeeds after its hold has expired", () => {
  const shop = useShop();
  afterAll(() => shop.addsUp());

  it("takes the stock again when it is still there, and the order is completed", async () => {
    const sku = await shop.stocked(2);
    const id = await shop.unpaid([line(sku, 2)]);
    await shop.holdRunsOut(id);
    await shop.stockIs(sku, 2, 0);
    expect((await shop.get(`/v1/orders/${id}`)).body.status).toBe("reserved");

    await shop.moneyComes(id);
    await shop.becomes(id, "completed");

    expect(await shop.stock(sku)).toEqual([0, 0, 0]);
    expect(await shop.story(id)).toEqual(
      expect.arrayContaining(["InventoryReleased", "InventoryRetaken", "InventoryConfirmed"]),
    );
  });

  it("goes back when somebody else has bought the stock meanwhile, and nothing is shipped", async () => {
    const sku = await shop.stocked(2);
    const id = await shop.unpaid([line(sku, 2)]);
    await shop.holdRunsOut(id);
    await shop.stockIs(sku, 2, 0);
    expect((await shop.outcome({ lines: [line(sku, 1)] })).status).toBe("completed");

    await shop.moneyComes(id);
    const order = await shop.becomes(id, "expired");

    expect(order.reason).toBe("inventory.insufficient_stock");
    await shop.shows(`/v1/payments/${id}`, { status: "refunded", refunded: true });
    await shop.shows(`/v1/orders/${id}`, { payment: { status: "refunded" } });
    expect((await shop.timeline(id)).outcome).toMatch(/^The order expired: .*the payment was paid back\.$/);
    expect(await shop.stock(sku)).toEqual([1, 0, 1]);
    expect((await shop.get(`/v1/shipments/${id}`)).status).toBe(404);
  });

  it("of an order that was cancelled when its hold had expired takes nothing again", async () => {
    const sku = await shop.stocked(2);
    const id = await shop.unpaid([line(sku, 2)]);
    await shop.holdRunsOut(id);
    await shop.stockIs(sku, 2, 0);

    expect((await shop.cancel(id)).body.status).toBe("cancelled");

    await shop.moneyComes(id);
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    await shop.settled();
    expect(await shop.story(id)).not.toContain("InventoryRetaken");
    expect(await shop.stock(sku)).toEqual([2, 0, 2]);
  });
});

describe("a gateway that does not answer as it should", () => {
  // What is delayed has its hold extended every four seconds or so: a slow machine may be late by twice that.
  const holdTtlSeconds = 12;
  const shop = useShop({ holdTtlSeconds });
  const gateway = "/v1/payments/gateways/simulated";
  afterAll(() => shop.addsUp());

  it("says yes, but its answer is lost: it is asked, and charges once", async () => {
    const sku = await shop.stocked(10);
    const orders = Array.from({ length: 10 }, () =>
      shop.outcome({ lines: [line(sku, 1)], token: "tok_lost" }),
    );
    for (const { id, status } of await Promise.all(orders)) {
      expect(status).toBe("completed");
      await chargedOnce(id);
    }
  });

  it("says yes three times: the order is paid once", async () => {
    const sku = await shop.stocked(10);
    const orders = Array.from({ length: 10 }, () =>
      shop.outcome({ lines: [line(sku, 1)], token: "tok_twice" }),
    );
    for (const { id, status } of await Promise.all(orders)) {
      expect(status).toBe("completed");
      await chargedOnce(id);
    }
  });

  it("is away for longer than a hold lasts: the orders wait, their holds too, and all complete when it is back", async () => {
    const sku = await shop.stocked(20);
    await shop.put(gateway, { down: true });
    const ids = await Promise.all(Array.from({ length: 20 }, () => shop.ordered({ lines: [line(sku, 1)] })));
    for (const id of ids) {
      await shop.shows(`/v1/orders/${id}`, { status: "reserved", payment: { status: "delayed" } });
    }
    const first = await holdOf(ids[0]!);

    await vi.waitFor(async () => {
      const { expires_at } = await holdOf(ids[0]!);
      expect(Date.parse(expires_at)).toBeGreaterThan(Date.parse(first.expires_at) + holdTtlSeconds * 1_000);
    }, patience);
    const rival = await shop.outcome({ lines: [line(sku, 1)] });
    expect(rival.status, "all of it is still held").toBe("rejected");
    expect(await shop.stock(sku)).toEqual([20, 20, 0]);
    await shop.put(gateway, {});

    for (const id of ids) {
      await shop.becomes(id, "completed");
      await chargedOnce(id);
    }
    expect(await shop.stock(sku)).toEqual([0, 0, 0]);
  });

  it("is away, and the order is cancelled: nothing is charged when it is back", async () => {
    const sku = await shop.stocked(5);
    await shop.put(gateway, { down: true });
    const id = await shop.ordered({ lines: [line(sku, 1)] });
    await shop.shows(`/v1/orders/${id}`, { payment: { status: "delayed" } });

    expect(await shop.cancel(id)).toMatchObject({ status: 200, body: { status: "cancelled" } });

    await shop.stockIs(sku, 5, 0);
    await shop.shows(`/v1/payments/${id}`, { status: "failed", code: "order_ended" });
    await shop.put(gateway, {});
  });

  async function holdOf(id: string) {
    return (await shop.get(`/v1/reservations/${id}`)).body;
  }

  async function chargedOnce(id: string): Promise<void> {
    const { rows } = await shop
      .poolOf("payments")
      .query(
        "select status, amount_minor::int, refunded_minor::int from payments.simulated_bank where id = $1",
        [id],
      );
    expect(rows).toEqual([{ status: "succeeded", amount_minor: 250, refunded_minor: 0 }]);
    const paid = (await shop.story(id)).filter((type) => type === "PaymentSucceeded");
    expect(paid).toHaveLength(1);
  }
});

describe("the last unit", () => {
  const shop = useShop();
  afterAll(() => shop.addsUp());

  it("is sold once, however many want it: three hundred orders at once for five of it", async () => {
    const sku = await shop.stocked(5);

    const orders = await Promise.all(
      Array.from({ length: 300 }, () => shop.outcome({ lines: [line(sku, 1)] })),
    );

    const ends = orders.map(({ status }) => status).sort();
    expect(ends).toEqual([...Array(5).fill("completed"), ...Array(295).fill("rejected")]);
    expect(await shop.stock(sku)).toEqual([0, 0, 0]);
  });

  it("goes to one of those who want it together with something else, and the others hold nothing", async () => {
    const random = seededRandom();
    const skus = await Promise.all([3, 3, 3, 3].map((quantity) => shop.stocked(quantity)));

    const orders = await Promise.all(
      Array.from({ length: 100 }, () => {
        const lines = random
          .shuffled(skus)
          .slice(0, random.integer(1, 3))
          .map((sku) => line(sku, random.integer(1, 2)));
        return shop.outcome({ lines });
      }),
    );

    for (const { status } of orders) expect(["completed", "rejected"]).toContain(status);
    const sold: Line[] = orders.filter(({ status }) => status === "completed").flatMap(({ lines }) => lines);
    for (const sku of skus) {
      const quantity = sold.filter((one) => one.sku === sku).reduce((sum, one) => sum + one.quantity, 0);
      expect(await shop.stock(sku)).toEqual([3 - quantity, 0, 3 - quantity]);
    }
  });
});

describe("events", () => {
  const shop = useShop({ carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("of an order's end that come before those of its beginning leave nothing behind", async () => {
    for (const group of ["inventory", "payments", "fulfillment"]) {
      const sku = await shop.stocked(3);
      // Without inventory the order stays as it is.
      const heldUp = await Promise.all([...new Set(["inventory", group])].map((name) => shop.holdUp(name)));
      const id = await shop.ordered({ lines: [line(sku, 2)] });
      expect((await shop.cancel(id)).body.status).toBe("cancelled");
      const story = (await shop.said()).filter(({ key, topic }) => key === id && topic === "orders");
      expect(story.map(({ type }) => type)).toEqual(["OrderCreated", "OrderCancelled"]);

      await shop.deliver(group, [...story].reverse());
      expect(await shop.stock(sku), `${group} has heard it in the wrong order`).toEqual([3, 0, 3]);
      // Heard of the stock first, payments would charge the order all the same.
      await shop.shows(`/v1/payments/${id}`, { status: "failed" });
      for (const letGo of heldUp) await letGo();

      await shop.settled();
      expect(await shop.stock(sku), group).toEqual([3, 0, 3]);
      expect((await shop.get(`/v1/payments/${id}`)).body, group).toMatchObject({ status: "failed" });
    }
  });

  it("of a cancellation that reaches fulfilment before the order does are answered all the same", async () => {
    const sku = await shop.stocked(3);
    const letGo = await shop.holdUp("fulfillment");
    const id = await shop.ordered({ lines: [line(sku, 2)] });
    await shop.becomes(id, "paid");
    const asked = shop.cancel(id, 30);
    await shop.shows(`/v1/orders/${id}`, { cancellation_requested: "changed my mind" });

    await shop.deliver("fulfillment", (await shop.said()).filter(({ key }) => key === id).reverse());
    await letGo();

    expect(await asked).toMatchObject({ status: 200, body: { status: "cancelled" } });
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    await shop.stockIs(sku, 3, 0);
  });

  it("that nobody has a use for are passed over", async () => {
    await shop.settled();
    const before = await shop.everything();
    const known = await shop.said();
    const made = known.map((event) => ({
      ...event,
      id: `${event.topic}-999999999-0`,
      key: "nobody",
      subject: "nobody",
      data: renamed(event.data),
    }));
    const harmless = made.filter(({ type }) => /^(Inventory|Payment|Shipment|OrderP|OrderF|Fulf)/.test(type));
    for (const group of ["orders", "carts"]) await shop.deliver(group, harmless);
    expect(await shop.everything()).toEqual(before);
  });
});

describe("all events", () => {
  const shop = useShop({ holdTtlSeconds: 2, carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("that come again, one by one, all at once or in any order of their topics, change nothing", async () => {
    const random = seededRandom();
    await storm(shop, random, 40);
    const before = await shop.everything();
    const said = await shop.said();

    for (const group of groups) {
      await shop.deliver(group, said);
      await shop.deliver(group, shuffledByTopic(said, random));
      for (const event of random.shuffled(said).slice(0, 60)) await shop.deliver(group, [event]);
    }
    for (const group of groups) {
      const { status, body } = await shop.post(`/v1/consumers/${group}/replay`, { from: 0 });
      expect({ status, moved: body.moved > 0 }, group).toEqual({ status: 200, moved: true });
    }
    await shop.settled();

    expect(await shop.everything()).toEqual(before);
  });
});

describe("in a storm of orders", () => {
  const shop = useShop({ holdTtlSeconds: 1, carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("each ends as it should although every event comes several times, and topics in any order", async () => {
    const random = seededRandom();
    for (const group of groups) {
      const own = random.fork();
      const heard: BusEvent[] = [];
      shop.intercept(group, (handle) => (tx, events) => {
        heard.push(...events);
        const again = Array.from({ length: 5 }, () => own.pick(heard));
        return handle(tx, [...again, ...shuffledByTopic(events, own), ...shuffledByTopic(events, own)]);
      });
    }
    await storm(shop, random, 60);
  });
});

describe("between any two steps", () => {
  const shop = useShop({ holdTtlSeconds: 1, carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("a service may die, and each order ends as it should", async () => {
    const died = new Set<string>();
    for (const group of groups) {
      shop.intercept(group, (handle) => async (tx, events) => {
        const afterCommit = await handle(tx, events);
        const fatal = events.map(({ type }) => `${group} after ${type}`).find((death) => !died.has(death));
        if (fatal === undefined) return afterCommit;
        died.add(fatal);
        throw new Error(`dies: ${fatal}`);
      });
    }

    const random = seededRandom();
    const missing = () => deaths.filter((death) => !died.has(death));
    // One storm has nearly all of them, and which it has is a matter of chance.
    for (let storms = 0; storms < 4 && missing().length > 0; storms++) await storm(shop, random, 60);

    expect(missing()).toEqual([]);
  });

  /** Those that storms do not do without. */
  const deaths = [
    "inventory after OrderCreated",
    "inventory after OrderCancelled",
    "inventory after OrderFailed",
    "inventory after PaymentSucceeded",
    "inventory after OrderFulfilled",
    "inventory after CartHoldRequested",
    "orders after CartCheckedOut",
    "orders after InventoryReserved",
    "orders after InventoryReservationFailed",
    "orders after InventoryConfirmed",
    "orders after InventoryReleased",
    "orders after InventoryCommitted",
    "orders after PaymentSucceeded",
    "orders after PaymentFailed",
    "orders after PaymentRefunded",
    "orders after OrderFulfilled",
    "payments after OrderCreated",
    "payments after InventoryReserved",
    "payments after InventoryReleased",
    "payments after OrderCancelled",
    "payments after OrderFailed",
    "fulfillment after OrderPaid",
    "fulfillment after OrderCancelled",
    "carts after InventoryReserved",
    "carts after OrderCreated",
    "carts after OrderCompleted",
  ];
});

// ---- a storm -------------------------------------------------------------------------------------------------------

const tokens = [
  "tok_ok",
  "tok_ok",
  "tok_ok",
  "tok_declined",
  "tok_lost",
  "tok_twice",
  "tok_late_1",
  "tok_late_4",
];

/** Orders and carts of all kinds, some of them cancelled, while somebody packs what is paid. All of them end. */
async function storm(shop: Shop, random: Random, size: number): Promise<void> {
  const plenty = await Promise.all([1, 2, 3].map(() => shop.stocked(1_000)));
  const scarce = await shop.stocked(Math.ceil(size / 8));
  const anything = () => [
    line(random.pick(plenty), random.integer(1, 3)),
    ...(random.integer(1, 3) === 1 ? [line(scarce, 1)] : []),
  ];
  const packer = new Packer(shop, random.fork());
  const packing = packer.pack();
  const buyers = Array.from({ length: size }, async (_, i) => {
    const id = i % 4 === 0 ? await viaCart(anything(), random.pick(tokens)) : await directly();
    if (id === undefined || random.integer(1, 4) > 1) return id;
    await new Promise((resolve) => setTimeout(resolve, random.integer(0, 400)));
    expect([200, 202, 409]).toContain((await shop.cancel(id)).status);
    return id;
  });
  const ids = (await Promise.all(buyers)).filter((id) => id !== undefined);
  const ends = ["completed", "rejected", "payment_failed", "cancelled", "expired"];
  for (const id of ids) {
    await vi.waitFor(async () => {
      const { body } = await shop.get(`/v1/orders/${id}`);
      expect(ends, JSON.stringify(body)).toContain(body.status);
    }, patience);
  }
  packer.goHome();
  await packing;
  await shop.settled();

  async function directly(): Promise<string> {
    return shop.ordered({ lines: anything(), token: random.pick(tokens) });
  }

  /** Undefined when it could not be held, or has expired before it came to the till. */
  async function viaCart(lines: ReturnType<typeof anything>, token: string): Promise<string | undefined> {
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await shop.put(path, { lines: [lines[0]], customer_id: "berta" });
    const { status } = await shop.put(path, { lines });
    expect([200, 202, 409]).toContain(status);
    if (random.integer(1, 5) === 1) {
      expect((await shop.delete(path)).status).toBe(204);
      return undefined;
    }
    const { status: checkedOut, body } = await shop.post(`${path}/checkout`, { payment: { token } });
    expect([202, 409], JSON.stringify(body)).toContain(checkedOut);
    return checkedOut === 202 ? body.id : undefined;
  }
}

/** Ships whatever is open, sometimes in parts, and now and then finds that it cannot be sent. */
class Packer {
  private readonly shop: Shop;
  private readonly random: Random;
  private isHome = false;

  constructor(shop: Shop, random: Random) {
    this.shop = shop;
    this.random = random;
  }

  goHome(): void {
    this.isHome = true;
  }

  async pack(): Promise<void> {
    while (!this.isHome) {
      for (const status of ["open", "partly_shipped"]) {
        const { body } = await this.shop.get(`/v1/shipments?status=${status}`);
        for (const shipment of body.items) await this.send(shipment);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  private async send(shipment: { id: string; status: string; lines: [ReturnType<typeof line>] }) {
    const path = `/v1/shipments/${shipment.id}`;
    const [{ store_id, sku }] = shipment.lines;
    const chance = shipment.status === "open" ? this.random.integer(1, 6) : 6;
    if (chance === 1) await this.shop.post(`${path}/fail`, { detail: "broken" });
    else if (chance === 2) await this.shop.post(`${path}/ship`, { lines: [{ store_id, sku, quantity: 1 }] });
    else await this.shop.post(`${path}/ship`, {});
  }
}

// ---- events --------------------------------------------------------------------------------------------------------

/** Another order of the topics; each topic stays in its own. */
function shuffledByTopic(events: readonly BusEvent[], random: Random): BusEvent[] {
  const queues = new Map<string, BusEvent[]>();
  for (const event of events) queues.set(event.topic, [...(queues.get(event.topic) ?? []), event]);
  return random.shuffled(events.map(({ topic }) => topic)).map((topic) => queues.get(topic)!.shift()!);
}

/** The same about an order, a reservation and a cart that nobody knows. */
function renamed(data: object): object {
  const others = Object.entries(data).map(([name, value]) => [name, name.endsWith("_id") ? "nobody" : value]);
  return Object.fromEntries(others);
}
