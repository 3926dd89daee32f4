import { describe, expect, it } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import { useOrders } from "../../testing/orders.ts";
import type { Order } from "./contract.ts";

const desk = useOrders();

async function placed(quantity = 2) {
  const sku = `sku-${desk.key()}`;
  await desk.offer({ [sku]: 250 });
  return desk.placedOrder(desk.input(sku, quantity));
}

async function paid() {
  const order = await placed();
  await desk.reserved(order);
  await desk.charged(order);
  await desk.confirmed(order);
  return order;
}

describe("an order", () => {
  it("goes from its creation to its completion", async () => {
    const order = await paid();
    await desk.shipped(order);
    expect(await desk.order(order.id)).toMatchObject({ status: "paid", shipped: true });
    await desk.committed(order);
    expect(await desk.order(order.id)).toMatchObject({
      status: "completed",
      payment: "succeeded",
      deadline: null,
    });
    expect(await desk.events(order.id)).toEqual(["OrderCreated", "OrderPaid", "OrderCompleted"]);
  });

  it("is carried through all of its events in one batch", async () => {
    const order = await placed();
    const of = desk.ofStock(order);
    const shipped = { ...of, lines: order.lines, carrier: "DHL", tracking: null, part: 1 };
    await desk.deliver(
      await desk.said("fulfillment", "OrderFulfilled", shipped),
      await desk.said("inventory", "InventoryReserved", {
        ...of,
        lines: [],
        expires_at: new Date(),
        key: null,
      }),
      await desk.said("inventory", "InventoryConfirmed", of),
      await desk.said("inventory", "InventoryCommitted", {
        ...of,
        lines: order.lines,
        key: null,
        complete: true,
      }),
    );
    expect((await desk.order(order.id)).status).toBe("completed");
    expect(await desk.events(order.id)).toEqual(["OrderCreated", "OrderPaid", "OrderCompleted"]);
  });

  it("names the event that led to its own, and hands the trace on", async () => {
    const order = await placed();
    const confirmed = await desk.said("inventory", "InventoryConfirmed", desk.ofStock(order));
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await desk.deliver({ ...confirmed, traceparent });
    const { rows } = await desk.pool.query("select events from orders.log where events like $1", [
      `%"OrderPaid"%${order.id}%`,
    ]);
    expect(JSON.parse(rows[0].events)).toMatchObject([
      { type: "OrderPaid", cause: confirmed.id, traceparent },
    ]);
  });

  it("hears an event that is delivered again once", async () => {
    const order = await paid();
    const refused = await desk.tell("fulfillment", "ShipmentCancellationRefused", {
      ...desk.ofStock(order),
      detail: ".",
    });
    await desk.service.orders.cancel(order.id, "cancelled");
    await desk.deliver(refused, refused);
    expect((await desk.order(order.id)).cancellation_requested).toBe("cancelled");
    const { items } = (await desk.service.orders.timeline(order.id))!;
    expect(items.filter(({ type }) => type === refused.type)).toHaveLength(1);
  });

  it("from a cart takes the cart's reservation over, once", async () => {
    const sku = `sku-${desk.key()}`;
    await desk.offer({ [sku]: 250 });
    const data = {
      cart_id: "c1",
      order_id: `order-${desk.key()}`,
      reservation_id: "cart-hold",
      customer_id: "bob",
      lines: [{ store_id: "main", sku, quantity: 3 }],
      payment: { token: "tok_secret" },
    };
    const event = await desk.tell("carts", "CartCheckedOut", data);
    await desk.deliver(event);
    expect(await desk.order(data.order_id)).toMatchObject({
      status: "pending",
      cart_id: "c1",
      reservation_id: "cart-hold",
      total_minor: 750,
    });
    expect(await desk.events(data.order_id)).toEqual(["OrderCreated"]);
  });

  it("has the price of the product that a SKU belongs to, in whatever order the catalogue is heard", async () => {
    const [mug, pen, hat] = ["mug", "pen", "hat"].map((name) => `${name}-of-two`);
    const saying = (product_id: string, ...skus: (string | undefined)[]) =>
      desk.said("catalog", "ProductUpdated", {
        product_id,
        name: "Any",
        skus: skus.map((sku) => ({ sku, price_minor: 250, currency: "EUR", policy: "hold" })),
      });
    const [both, without, other, later] = [
      await saying("A", mug, pen),
      await saying("A", pen),
      await saying("B", mug),
      await saying("A", pen, hat),
    ];
    await desk.deliver(both, without, later);
    await desk.deliver(other);
    expect((await desk.placedOrder(desk.input(mug!))).status).toBe("pending");
  });

  it("that is not known here is passed over, and so is a hold without one", async () => {
    const of = { order_id: "nobodys", reservation_id: "nobodys" };
    await desk.tell("inventory", "InventoryConfirmed", of);
    await desk.tell("inventory", "InventoryConfirmed", { ...of, order_id: null });
    expect(await desk.service.orders.order("nobodys")).toBeUndefined();
  });

  it("whose deadline is over is ended by the sweep, and by nothing before", async () => {
    const [late, early, shipping] = [await placed(), await placed(), await paid()];
    await desk.overdue(late.id);
    await desk.overdue(shipping.id);
    await desk.service.orders.sweep();
    await desk.service.orders.sweep();
    expect(await desk.order(late.id)).toMatchObject({ status: "expired", reason: "deadline" });
    expect((await desk.order(early.id)).status).toBe("pending");
    expect(await desk.order(shipping.id)).toMatchObject({
      status: "paid",
      cancellation_requested: "not shipped in time",
    });
    expect(await desk.events(shipping.id)).toEqual([
      "OrderCreated",
      "OrderPaid",
      "OrderCancellationRequested",
    ]);
  });

  it("sent to two processes at once with the same key is created once", async () => {
    const sku = `sku-${desk.key()}`;
    await desk.offer({ [sku]: 250 });
    const other = desk.another();
    for (let i = 0; i < 5; i++) {
      const key = desk.key();
      const services = [desk.service, other, desk.service, other];
      const replies = await Promise.all(services.map(({ orders }) => orders.create(key, desk.input(sku))));
      const ids = replies.map((reply) => reply.accepted && reply.orders[0]!.id);
      expect(new Set(ids).size).toBe(1);
      expect(replies.filter((reply) => reply.accepted && reply.created)).toHaveLength(1);
    }
    await other.stop();
  });

  it("is told at once to whoever waits for it in the process that changes it", async () => {
    const process = desk.another();
    const isOver = ({ ended_at }: Order) => ended_at !== null;
    const [first, second] = [await placed(), await placed()];
    const waiting = [first, second].map((order) => process.orders.until(order, isOver, 3_600));
    await process.orders.cancel(first.id, "cancelled");
    const failed = { ...desk.ofStock(second), code: "declined", detail: "No money." };
    await desk.deliverTo(process, await desk.said("payments", "PaymentFailed", failed));
    expect((await Promise.all(waiting)).map((order) => order?.status)).toEqual([
      "cancelled",
      "payment_failed",
    ]);
    await process.stop();
  });

  it("of 2,000 lines is nothing special", async () => {
    const prices = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`many-${i}`, i]));
    await desk.offer(prices);
    const lines = Object.keys(prices).map((sku) => ({ store_id: "main", sku, quantity: 1 }));
    const order = await desk.placedOrder({ ...desk.input("any"), lines });
    await desk.reserved(order);
    expect(await desk.order(order.id)).toMatchObject({
      status: "reserved",
      total_minor: (2_000 * 1_999) / 2,
    });
  });
});

describe("the table", () => {
  it("is updated within its pages, without new index entries, until an order ends", async () => {
    const order = await placed();
    const of = desk.ofStock(order);
    const { handle } = desk.service.subscription!;
    const hot = {
      name: "hot",
      text: "select pg_stat_get_xact_tuples_hot_updated('orders.orders'::regclass) as hot",
    };
    for (const event of [
      await desk.said("inventory", "InventoryReserved", {
        ...of,
        lines: [],
        expires_at: new Date(),
        key: null,
      }),
      await desk.said("inventory", "InventoryConfirmed", of),
      await desk.said("fulfillment", "OrderFulfilled", {
        ...of,
        lines: [],
        carrier: "DHL",
        tracking: null,
        part: 1,
      }),
    ]) {
      const updates = await transact(desk.pool, async (tx) => {
        const [before] = await tx.read<{ hot: number }>(hot);
        await handle(tx, [event]);
        const [after] = await tx.read<{ hot: number }>(hot);
        return after!.hot - before!.hot;
      });
      expect(updates, event.type).toBe(1);
    }
  });
});

describe("prices", () => {
  const sku = (name: string, price_minor: number) => ({
    sku: name,
    price_minor,
    currency: "EUR",
    policy: "hold",
  });
  const product = (product_id: string, ...skus: object[]) =>
    desk.said("catalog", "ProductUpdated", { product_id, name: "Any", skus });
  const priceOf = async (name: string) => (await desk.placedOrder(desk.input(name))).total_minor;

  it("are the newest, however often the older ones are told again", async () => {
    const older = await product("p1", sku("a", 1), sku("b", 2));
    const newer = await product("p1", sku("a", 10));
    await desk.deliver(older, newer);
    await desk.deliver(older);
    expect(await priceOf("a")).toBe(10);
    await expect(priceOf("b")).rejects.toThrow("orders.unknown_sku");
  });

  it("are the newest for a cart, too, that is checked out while older ones are told again", async () => {
    const older = await product("p4", sku("e", 1));
    await desk.deliver(older, await product("p4", sku("e", 7)));
    const checkedOut = await desk.said("carts", "CartCheckedOut", {
      cart_id: "c4",
      order_id: "order-4",
      reservation_id: null,
      customer_id: "bob",
      lines: [{ store_id: "main", sku: "e", quantity: 1 }],
      payment: { token: "tok_ok" },
    });
    await desk.deliver(older, checkedOut);
    expect((await desk.order("order-4")).total_minor).toBe(7);
  });

  it("of a SKU that has moved to another product stay, whichever is heard first", async () => {
    await desk.deliver(await product("p2", sku("c", 1)));
    const dropped = await product("p2", sku("d", 1));
    const taken = await product("p3", sku("c", 5));
    await desk.deliver(taken);
    await desk.deliver(dropped);
    expect(await priceOf("c")).toBe(5);
  });
});

describe("the timeline", () => {
  it("tells every event of every service, by time, with what led to it, and keeps the means of payment to itself", async () => {
    const order = await paid();
    await desk.tell("fulfillment", "ShipmentOpened", { ...desk.ofStock(order), lines: order.lines });
    await desk.shipped(order);
    await desk.committed(order);
    const timeline = (await desk.service.orders.timeline(order.id))!;
    expect(timeline).toMatchObject({
      order_id: order.id,
      status: "completed",
      outcome: "The order was paid, shipped and completed.",
    });
    expect(timeline.items.map(({ service, type }) => `${service} ${type}`)).toEqual([
      "orders OrderCreated",
      "inventory InventoryReserved",
      "payments PaymentSucceeded",
      "inventory InventoryConfirmed",
      "orders OrderPaid",
      "fulfillment ShipmentOpened",
      "fulfillment OrderFulfilled",
      "inventory InventoryCommitted",
      "orders OrderCompleted",
    ]);
    const [first, ...others] = timeline.items;
    expect([first!.since_previous_ms, first!.since_start_ms]).toEqual([0, 0]);
    expect(others.reduce((sum, item) => sum + item.since_previous_ms, 0)).toBe(others.at(-1)!.since_start_ms);
    expect(timeline.items[4]!.cause).toBe(timeline.items[3]!.id);
    expect(JSON.stringify(timeline)).not.toContain("tok_secret");
  });

  it("tells of one order only, though others stand in the same batches", async () => {
    const [one, two] = [await placed(), await placed()];
    await desk.deliver(
      await desk.said("inventory", "InventoryConfirmed", desk.ofStock(one)),
      await desk.said("inventory", "InventoryConfirmed", desk.ofStock(two)),
    );
    const { items } = (await desk.service.orders.timeline(two.id))!;
    expect(items.map(({ type }) => type)).toEqual(["OrderCreated", "InventoryConfirmed", "OrderPaid"]);
  });

  it("of a cart's order does not show the means of payment either", async () => {
    const data = { cart_id: "c", order_id: "cart-order", reservation_id: null, customer_id: "bob" };
    const lines = [{ store_id: "main", sku: "nobody has this", quantity: 1 }];
    await desk.tell("carts", "CartCheckedOut", { ...data, lines, payment: { token: "tok_secret" } });
    const timeline = (await desk.service.orders.timeline("cart-order"))!;
    expect(timeline.outcome).toBe("The order was rejected: The catalogue does not offer nobody has this.");
    expect(timeline.items.map(({ type }) => type)).toEqual(["CartCheckedOut", "OrderCreated", "OrderFailed"]);
    expect(JSON.stringify(timeline)).not.toContain("tok_secret");
    const { rows } = await desk.pool.query(
      "select count(*) from orders.heard where events like '%tok_secret%'",
    );
    expect(rows).toEqual([{ count: 0 }]);
  });
});

describe("the figures", () => {
  it("are absent until there is something to tell, and then tell it", async () => {
    const text = await desk.registry.metrics();
    expect(text).toMatch(/^order_saga_success_rate \d/m);
    expect(text).toMatch(/^revenue_per_order\{currency="EUR"\} 500$/m);
    expect(text).toMatch(/^order_saga_completion_duration_seconds_count [1-9]/m);
    expect(text).toMatch(/^order_orphaned_orders_total 0$/m);
    expect(text).not.toMatch(/^order_event_publish_failures_total/m);
  });
});
