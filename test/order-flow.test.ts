import { afterAll, describe, expect, it, vi } from "vitest";
import { patience } from "../src/testing/patience.ts";
import { type HttpAnswer, line, useShop } from "../src/testing/shop.ts";

const goodWay = [
  "OrderCreated",
  "InventoryReserved",
  "PaymentSucceeded",
  "InventoryConfirmed",
  "OrderPaid",
  "ShipmentOpened",
  "OrderFulfilled",
  "InventoryCommitted",
  "OrderCompleted",
];

describe("an order", () => {
  const shop = useShop();
  afterAll(() => shop.addsUp());

  it("is answered as soon as it is durable, and can be followed to its end", async () => {
    const sku = await shop.stocked(5);

    const { status, headers, body } = await shop.order({ lines: [line(sku, 2)] });

    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/v1/orders/${body.id}`);
    expect(body).toMatchObject({
      status: "pending",
      customer_id: "anna",
      lines: [{ store_id: "main", sku, quantity: 2, price_minor: 250 }],
      total_minor: 500,
      currency: "EUR",
    });
    await shop.becomes(body.id, "completed");
  });

  it("is answered with how it ended when the client prefers to wait", async () => {
    const [mug, pen] = [await shop.stocked(5), await shop.stocked(7)];

    const { status, headers, body } = await shop.order({ lines: [line(mug, 2), line(pen, 3)], wait: 30 });

    expect(status).toBe(201);
    expect(headers.get("location")).toBe(`/v1/orders/${body.id}`);
    expect(headers.get("preference-applied")).toBe("wait=30");
    expect(body).toMatchObject({
      status: "completed",
      total_minor: 1_250,
      reason: null,
      payment: { status: "succeeded" },
      shipped_lines: [line(mug, 2), line(pen, 3)],
      deadline: null,
    });
    expect(await shop.stock(mug)).toEqual([3, 0, 3]);
    expect(await shop.stock(pen)).toEqual([4, 0, 4]);
    expect((await shop.get(`/v1/payments/${body.id}`)).body).toMatchObject({
      order_id: body.id,
      status: "succeeded",
      amount_minor: 1_250,
      currency: "EUR",
      refunded: false,
    });
    await shop.shows(`/v1/shipments/${body.id}`, {
      status: "shipped",
      lines: [
        { ...line(mug, 2), quantity_shipped: 2 },
        { ...line(pen, 3), quantity_shipped: 3 },
      ],
    });
    expect((await shop.get(`/v1/reservations/${body.reservation_id}`)).body.status).toBe("committed");
  });

  it("tells its story in order, with the time between, across all services", async () => {
    const sku = await shop.stocked(5);
    const order = await shop.outcome({ lines: [line(sku, 1)] });

    const { order_id, status, outcome, items } = await shop.timeline(order.id);

    expect({ order_id, status, outcome }).toEqual({
      order_id: order.id,
      status: "completed",
      outcome: "The order was paid, shipped and completed.",
    });
    expect(items.map(({ type }: { type: string }) => type)).toEqual(goodWay);
    let before = Date.parse(items[0].at);
    for (const { at, since_previous_ms, since_start_ms, summary, data } of items) {
      expect(since_previous_ms).toBe(Date.parse(at) - before);
      expect(since_start_ms).toBe(Date.parse(at) - Date.parse(items[0].at));
      expect(summary).toMatch(/^[A-Z0-9].*\.$/);
      expect(data.order_id).toBe(order.id);
      before = Date.parse(at);
    }
    const ids: string[] = items.map(({ id }: { id: string }) => id);
    for (const { cause, type } of items.slice(1)) expect(ids, type).toContain(cause);
  });

  it("stands in the feed of all events, each tied to the order and to what led to it", async () => {
    const sku = await shop.stocked(5);
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const body = { customer_id: "anna", lines: [line(sku, 1)], payment: { token: "tok_ok" } };
    const headers = { "idempotency-key": shop.fresh("request"), traceparent };
    const { body: order } = await shop.post("/v1/orders", body, headers);
    await shop.becomes(order.id, "completed");
    await shop.settled();

    const events = (await shop.feed(500)).filter(({ correlationid }) => correlationid === order.id);

    expect(events.map(({ type }) => type).sort()).toEqual([...goodWay].sort());
    const ids = events.map(({ id }) => id);
    for (const { type, source, causationid, partitionkey, traceparent: trace } of events) {
      expect(partitionkey).toBe(order.id);
      expect(source).toMatch(/^\/holdfast\/(orders|inventory|payments|fulfillment)$/);
      expect(trace, type).toMatch(/^00-4bf92f3577b34da6a3ce929d0e0e4736-/);
      if (type === "OrderCreated") expect(causationid).toBeUndefined();
      else expect(ids, type).toContain(causationid);
    }
  });

  it("ships nothing that nobody has paid for, whatever a client does to its hold", async () => {
    const sku = await shop.stocked(5);
    const letGo = await shop.holdUp("payments");
    const id = await shop.ordered({ lines: [line(sku, 3)] });
    await shop.becomes(id, "reserved");
    const hold = `/v1/reservations/${id}`;
    const taken = [409, "inventory.reservation_taken"] as const;
    await shop.refused({ method: "POST", path: `${hold}/confirm` }, ...taken);
    await shop.refused({ method: "POST", path: `${hold}/commit`, body: {} }, ...taken);
    await shop.refused({ method: "PUT", path: hold, body: { lines: [line(sku, 1)] } }, ...taken);
    const gift = { lines: [line(sku, 1)], order_id: id, ttl_seconds: 1 };
    expect(await shop.put(`/v1/reservations/${shop.fresh("gift")}`, gift)).toMatchObject({ status: 201 });
    await letGo();
    await shop.becomes(id, "completed");
    await shop.stockIs(sku, 2, 0);
  });

  it("keeps the means of payment between the customer and the gateway", async () => {
    const sku = await shop.stocked(5);
    const token = "tok_of-nobody-else's-business";
    const order = await shop.outcome({ lines: [line(sku, 1)], token });
    expect(order.status).toBe("completed");
    await shop.settled();

    const shown = await Promise.all(
      [`/v1/orders/${order.id}`, `/v1/orders/${order.id}/timeline`, `/v1/payments/${order.id}`]
        .concat([`/v1/shipments/${order.id}`, "/v1/orders?customer_id=anna"])
        .map((path) => shop.get(path)),
    );

    for (const { status } of shown) expect(status).toBe(200);
    expect(JSON.stringify([order, shown, await shop.feed(500)])).not.toContain(token);
  });

  it("is rejected when the stock is short, and one call says why in words", async () => {
    const [mug, pen] = [await shop.stocked(5), await shop.stocked(1)];

    const { id, ...order } = await shop.outcome({ lines: [line(mug, 1), line(pen, 2)] });

    expect(order).toMatchObject({ status: "rejected", reason: "inventory.insufficient_stock" });
    const { outcome, items } = await shop.timeline(id);
    expect(outcome).toMatch(/^The order was rejected: /);
    expect(outcome).toContain(pen);
    expect(outcome).not.toContain(mug);
    expect(items[1]).toMatchObject({
      type: "InventoryReservationFailed",
      data: { refusal: { lines: [{ store_id: "main", sku: pen, requested: 2, available: 1 }] } },
    });
    expect(await shop.stock(mug)).toEqual([5, 0, 5]);
    await shop.shows(`/v1/payments/${id}`, { status: "failed", attempts: 0 });
  });

  it("whose card is declined is not paid, and gives its stock back", async () => {
    const sku = await shop.stocked(5);

    const { id, ...order } = await shop.outcome({ lines: [line(sku, 2)], token: "tok_declined" });

    expect(order).toMatchObject({ status: "payment_failed", reason: "declined" });
    expect((await shop.timeline(id)).outcome).toBe("The order was not paid: The card was declined.");
    await shop.stockIs(sku, 5, 0);
    expect((await shop.get(`/v1/shipments/${id}`)).status).toBe(404);
  });

  it("that waits for its stock is cancelled at once, and again", async () => {
    const sku = await shop.stocked(5);
    const letGo = await shop.holdUp("inventory");
    const id = await shop.ordered({ lines: [line(sku, 2)] });

    const cancelled = await shop.cancel(id);
    const again = await shop.cancel(id);
    // Heard of the stock first, payments would charge the order all the same.
    await shop.shows(`/v1/payments/${id}`, { status: "failed" });
    await letGo();

    expect(cancelled).toMatchObject({
      status: 200,
      body: { status: "cancelled", reason: "changed my mind" },
    });
    expect(again).toMatchObject({ status: 200, body: { status: "cancelled" } });
    await shop.settled();
    expect(await shop.stock(sku)).toEqual([5, 0, 5]);
    expect((await shop.get(`/v1/payments/${id}`)).body).toMatchObject({ status: "failed", attempts: 0 });
    expect((await shop.story(id)).filter((type) => type === "OrderCancelled")).toHaveLength(1);
  });

  it("whose payment is in flight is cancelled at once; the money that comes all the same goes back", async () => {
    const sku = await shop.stocked(5);
    const id = await shop.unpaid([line(sku, 2)]);

    expect(await shop.cancel(id)).toMatchObject({ status: 200, body: { status: "cancelled" } });

    await shop.stockIs(sku, 5, 0);
    await shop.moneyComes(id);
    await shop.shows(`/v1/payments/${id}`, { status: "refunded", refunded: true });
    await shop.shows(`/v1/orders/${id}`, { status: "cancelled", payment: { status: "refunded" } });
    expect((await shop.timeline(id)).outcome).toMatch(/the payment was paid back\.$/);
  });

  it("that is completed can be cancelled no more", async () => {
    const sku = await shop.stocked(5);
    const { id } = await shop.outcome({ lines: [line(sku, 2)] });

    expect(await shop.cancel(id)).toMatchObject({
      status: 409,
      body: { code: "orders.already_shipped" },
    });

    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
  });

  it("that was rejected can be cancelled no more, and an unknown one neither", async () => {
    const sku = await shop.stocked(0);
    const { id } = await shop.outcome({ lines: [line(sku, 2)] });

    expect(await shop.cancel(id)).toMatchObject({ status: 409, body: { code: "orders.ended" } });
    expect(await shop.cancel("nobody")).toMatchObject({ status: 404, body: { code: "orders.not_found" } });
  });

  it("sent again with its key is the same order, while it is under way and afterwards", async () => {
    const sku = await shop.stocked(5);
    const wanted = { lines: [line(sku, 2)], key: shop.fresh("key") };

    const answers = await Promise.all(Array.from({ length: 20 }, () => shop.order({ ...wanted, wait: 30 })));
    const later = await shop.order(wanted);

    const ids = new Set([...answers, later].map(({ body }) => body.id));
    expect(ids.size).toBe(1);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(later.body.status).toBe("completed");
    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
  });

  it("needs a key, and a key names one order only", async () => {
    const sku = await shop.stocked(5);
    const key = shop.fresh("key");
    const body = { customer_id: "anna", lines: [line(sku, 1)], payment: { token: "tok_ok" } };
    const { body: first } = await shop.post("/v1/orders", body, { "idempotency-key": key });
    await shop.becomes(first.id, "completed");

    const missing = await shop.post("/v1/orders", body);
    const others = await Promise.all(
      [
        { ...body, customer_id: "berta" },
        { ...body, lines: [line(sku, 2)] },
        { ...body, payment: { token: "tok_late_1" } },
      ].map((other) => shop.post("/v1/orders", other, { "idempotency-key": key })),
    );

    expect(missing).toMatchObject({ status: 400, body: { code: "orders.idempotency_key_missing" } });
    for (const other of others) {
      expect(other).toMatchObject({ status: 422, body: { code: "orders.idempotency_key_reused" } });
    }
    expect(await shop.stock(sku)).toEqual([4, 0, 4]);
  });

  it("costs what the catalogue said when it was placed", async () => {
    const sku = await shop.stocked(5);
    const letGo = await shop.holdUp("inventory");
    const id = await shop.ordered({ lines: [line(sku, 2)] });
    await shop.priced(sku, 9_999);
    await letGo();

    const order = await shop.becomes(id, "completed");

    expect(order).toMatchObject({ total_minor: 500, lines: [{ price_minor: 250 }] });
    expect((await shop.get(`/v1/payments/${id}`)).body.amount_minor).toBe(500);
    await shop.settled();
    const next = await shop.outcome({ lines: [line(sku, 1)] });
    expect(next).toMatchObject({ status: "completed", total_minor: 9_999 });
  });

  it("for what the catalogue does not offer is refused, and nothing is left of it", async () => {
    const sku = await shop.stocked(5);
    const key = shop.fresh("key");

    const refused = await shop.order({ lines: [line(sku, 1), line("unheard-of", 1)], key });

    expect(refused).toMatchObject({ status: 422, body: { code: "orders.unknown_sku" } });
    expect(refused.body.detail).toContain("unheard-of");
    const { status } = await shop.outcome({ lines: [line(sku, 1)], key });
    expect(status, "the key is free").toBe("completed");
  });

  it("is found by its status, its customer and its time, a page at a time, the newest first", async () => {
    const sku = await shop.stocked(20);
    const customer_id = shop.fresh("customer");
    const place = (token: string) => shop.outcome({ lines: [line(sku, 1)], customer_id, token });
    const good = [await place("tok_ok"), await place("tok_ok"), await place("tok_ok")];
    const bad = [await place("tok_declined"), await place("tok_declined")];
    const last = await place("tok_ok");
    const ids = (orders: { id: string }[]) => orders.map(({ id }) => id);
    const found = async (query: string, limit: number) =>
      ids(await shop.pages(`/v1/orders?customer_id=${customer_id}${query}`, limit));

    expect(await found("", 2)).toEqual(ids([last, ...[...bad].reverse(), ...[...good].reverse()]));
    expect(await found("&status=payment_failed", 1)).toEqual(ids([...bad].reverse()));
    expect(await found("&status=completed", 3)).toEqual(ids([last, ...[...good].reverse()]));
    expect(await found("&status=pending", 3)).toEqual([]);
    expect(await found(`&from=${bad[0].created_at}&to=${last.created_at}`, 10)).toEqual(
      ids([...bad].reverse()),
    );
    expect((await shop.get("/v1/orders?customer_id=nobody")).body).toEqual({ items: [], next: null });
    expect((await shop.get("/v1/orders?after=nonsense")).status).toBe(422);
    expect((await shop.get("/v1/orders?status=lost")).status).toBe(422);
  });
});

describe("an order that is shipped by hand", () => {
  const shop = useShop({ carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("and that nothing has left of is cancelled by fulfilment's word, and paid back", async () => {
    const [sku, id] = await paid(2);
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });

    const answer = await shop.cancel(id, 30);

    expect(answer).toMatchObject({ status: 200, body: { status: "cancelled", reason: "changed my mind" } });
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    await shop.stockIs(sku, 5, 0);
    expect((await shop.post(`/v1/shipments/${id}/ship`, {})).body.code).toBe("fulfillment.shipment_ended");
    expect(await shop.cancel(id)).toMatchObject({ status: 200, body: { status: "cancelled" } });
  });

  it("is asked of fulfilment without waiting, too", async () => {
    const [, id] = await paid(2);
    const letGo = await shop.holdUp("fulfillment");

    const [first, second] = [await shop.cancel(id), await shop.cancel(id)];
    await letGo();

    expect(first).toMatchObject({
      status: 202,
      body: { status: "paid", cancellation_requested: "changed my mind" },
    });
    expect(second).toMatchObject({ status: 202 });
    await shop.becomes(id, "cancelled");
    expect((await shop.story(id)).filter((type) => type === "OrderCancellationRequested")).toHaveLength(1);
  });

  it("ships whatever was asked when the parcel has left before fulfilment hears of the cancellation", async () => {
    const [sku, id] = await paid(2);
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });
    const letGo = await shop.holdUp("fulfillment");
    const letOrdersGo = await shop.holdUp("orders");
    expect((await shop.post(`/v1/shipments/${id}/ship`, {})).status).toBe(200);

    const asked = shop.cancel(id, 30);
    await shop.shows(`/v1/orders/${id}`, { cancellation_requested: "changed my mind" });
    await letGo();
    await letOrdersGo();

    expect(await asked).toMatchObject({ status: 409, body: { code: "orders.already_shipped" } });
    await shop.becomes(id, "completed");
    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
  });

  it("leaves in parts, each taken off the stock as it leaves, and is then too far to cancel", async () => {
    const [sku, id] = await paid(4);
    const ship = (quantity: number, key: string) =>
      shop.post(
        `/v1/shipments/${id}/ship`,
        { lines: [line(sku, quantity)], tracking: `T-${key}` },
        { "idempotency-key": key },
      );
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });

    const part = await ship(1, "part-a");
    const again = await ship(1, "part-a");
    const tooMuch = await ship(4, "part-b");

    expect(part).toMatchObject({ status: 200, body: { status: "partly_shipped" } });
    expect(again).toMatchObject({ status: 200, body: { status: "partly_shipped" } });
    expect(tooMuch).toMatchObject({ status: 409, body: { code: "fulfillment.exceeds_shipment" } });
    await shop.stockIs(sku, 4, 3);
    await shop.shows(`/v1/orders/${id}`, { status: "paid", shipped_lines: [line(sku, 1)] });
    expect(await shop.cancel(id)).toMatchObject({
      status: 409,
      body: { code: "orders.already_shipped" },
    });

    expect(await ship(3, "part-b")).toMatchObject({ status: 200, body: { status: "shipped" } });
    await shop.becomes(id, "completed");
    expect(await shop.stock(sku)).toEqual([1, 0, 1]);
    expect(await shop.story(id)).toEqual(
      expect.arrayContaining(["OrderPartlyShipped", "OrderFulfilled", "OrderCompleted"]),
    );
  });

  it("that can never be sent is cancelled and paid back", async () => {
    const [sku, id] = await paid(2);
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });

    await shop.post(`/v1/shipments/${id}/fail`, { detail: "It fell off the shelf." });

    const order = await shop.becomes(id, "cancelled");
    expect(order).toMatchObject({ reason: "fulfillment_failed", detail: "It fell off the shelf." });
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    await shop.stockIs(sku, 5, 0);
  });

  it("that is paid loses its stock to a forced count: it is cancelled and paid back", async () => {
    const [sku, id] = await paid(3);
    const path = `/v1/stock/main/${sku}`;

    const kept = await shop.put(path, { quantity_on_hand: 1, reason: "flood" });
    const forced = await shop.put(path, { quantity_on_hand: 1, reason: "flood", force: true });

    expect(kept).toMatchObject({ status: 409, body: { code: "inventory.below_reserved" } });
    expect(forced.status).toBe(200);
    expect(await shop.becomes(id, "cancelled")).toMatchObject({ reason: "shortfall" });
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    expect(await shop.stock(sku)).toEqual([1, 0, 1]);
    expect((await shop.get(`/v1/shipments/${id}`)).body.status).toBe("cancelled");
  });

  it("that loses its stock to a forced count while its parcel leaves is completed", async () => {
    const [sku, id] = await paid(3);
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });
    const letGo = await shop.holdUp("inventory");
    await shop.post(`/v1/shipments/${id}/ship`, {});
    await shop.put(`/v1/stock/main/${sku}`, { quantity_on_hand: 1, reason: "flood", force: true });
    await letGo();

    await shop.becomes(id, "completed");
    expect(await shop.stock(sku)).toEqual([1, 0, 1]);
  });

  /** Of five of a SKU. */
  async function paid(quantity: number): Promise<[sku: string, id: string]> {
    const sku = await shop.stocked(5);
    const id = await shop.ordered({ lines: [line(sku, quantity)] });
    await shop.becomes(id, "paid");
    return [sku, id];
  }
});

describe("an order whose stock is reduced as it is paid", () => {
  const shop = useShop({ commitOn: "payment", carrier: "manual" });
  afterAll(() => shop.addsUp());

  it("is completed when it has left", async () => {
    const sku = await shop.stocked(5);
    const id = await shop.ordered({ lines: [line(sku, 2)] });
    await shop.becomes(id, "paid");
    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });

    await shop.post(`/v1/shipments/${id}/ship`, { lines: [line(sku, 1)] }, { "idempotency-key": "one" });
    await shop.post(`/v1/shipments/${id}/ship`, {});

    await shop.becomes(id, "completed");
    await shop.settled();
    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
  });

  it("puts its goods back when it is cancelled, once", async () => {
    const sku = await shop.stocked(5);
    const id = await shop.ordered({ lines: [line(sku, 2)] });
    await shop.becomes(id, "paid");
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });

    expect(await shop.cancel(id, 30)).toMatchObject({ status: 200, body: { status: "cancelled" } });

    await shop.stockIs(sku, 5, 0);
    await shop.shows(`/v1/payments/${id}`, { status: "refunded" });
    await shop.post("/v1/consumers/inventory/replay", { from: 0 });
    await shop.settled();
    expect(await shop.stock(sku)).toEqual([5, 0, 5]);
  });
});

describe("a cart that holds what is in it", () => {
  const shop = useShop();
  afterAll(() => shop.addsUp());

  /** The stock may take longer than it is waited for: then the same is put once more. */
  async function put(path: string, body: object): Promise<HttpAnswer> {
    return vi.waitFor(async () => {
      const answer = await shop.put(path, body);
      expect(answer.status).not.toBe(202);
      return answer;
    }, patience);
  }

  it("holds its lines as they are put, and gives back what is taken out", async () => {
    const [mug, pen] = [await shop.stocked(5), await shop.stocked(5)];
    const path = `/v1/carts/${shop.fresh("cart")}`;

    const first = await put(path, { lines: [line(mug, 2)] });
    expect(first.status).toBeLessThan(300);
    expect(first.body).toMatchObject({ status: "open", hold: { status: "held" } });
    expect(await shop.stock(mug)).toEqual([5, 2, 3]);

    const second = await put(path, { lines: [line(mug, 1), line(pen, 3)] });
    expect(second).toMatchObject({ status: 200, body: { lines: [line(mug, 1), line(pen, 3)] } });
    expect(await shop.stock(mug)).toEqual([5, 1, 4]);
    expect(await shop.stock(pen)).toEqual([5, 3, 2]);

    expect((await shop.delete(path)).status).toBe(204);
    await shop.stockIs(mug, 5, 0);
    await shop.stockIs(pen, 5, 0);
    expect((await shop.get(path)).status).toBe(404);
  });

  it("stays as it was when a change of it cannot be held", async () => {
    const [mug, pen] = [await shop.stocked(5), await shop.stocked(1)];
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await put(path, { lines: [line(mug, 2)] });

    const refused = await put(path, { lines: [line(mug, 4), line(pen, 2)] });

    expect(refused).toMatchObject({
      status: 409,
      body: {
        code: "carts.insufficient_stock",
        lines: [{ store_id: "main", sku: pen, requested: 2, available: 1 }],
      },
    });
    expect((await shop.get(path)).body).toMatchObject({
      lines: [line(mug, 2)],
      pending_lines: null,
      hold: { status: "held" },
    });
    expect(await shop.stock(mug)).toEqual([5, 2, 3]);
    expect(await shop.stock(pen)).toEqual([1, 0, 1]);
    await shop.delete(path);
  });

  it("becomes an order without a gap in which somebody else could take the last unit", async () => {
    for (let round = 0; round < 5; round++) {
      const sku = await shop.stocked(1);
      const cart = shop.fresh("cart");
      expect((await put(`/v1/carts/${cart}`, { lines: [line(sku, 1)] })).status).toBeLessThan(300);
      let isOver = false;
      const others = Array.from({ length: 8 }, async () => {
        const answers = [];
        while (!isOver) {
          answers.push((await shop.put(`/v1/reservations/${shop.fresh("rival")}`, wanted(sku))).status);
        }
        return answers;
      });

      const { status, body, headers } = await shop.post(
        `/v1/carts/${cart}/checkout`,
        { customer_id: "anna", payment: { token: "tok_ok" } },
        { prefer: "wait=30" },
      );
      isOver = true;

      expect({ status, body }).toMatchObject({ status: 201, body: { status: "completed", cart_id: cart } });
      expect(headers.get("location")).toBe(`/v1/orders/${body.id}`);
      expect(new Set((await Promise.all(others)).flat())).toEqual(new Set([409]));
      expect(await shop.stock(sku)).toEqual([0, 0, 0]);
      expect((await shop.get(`/v1/orders/${body.id}`)).body).toMatchObject({
        cart_id: cart,
        total_minor: 250,
        lines: [{ ...line(sku, 1), price_minor: 250 }],
      });
    }
  });

  it("becomes one order, however often it is checked out, and takes nothing more", async () => {
    const sku = await shop.stocked(5);
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await put(path, { lines: [line(sku, 2)], customer_id: "anna" });
    const checkout = () => shop.post(`${path}/checkout`, { payment: { token: "tok_ok" } });

    const answers = await Promise.all(Array.from({ length: 10 }, checkout));
    const [{ body: order }] = answers as [HttpAnswer];
    await shop.becomes(order.id, "completed");
    const later = await checkout();

    for (const { status, body } of [...answers, later]) {
      expect({ status, id: body.id }).toEqual({ status: 202, id: order.id });
    }
    expect(await shop.stock(sku)).toEqual([3, 0, 3]);
    expect(await shop.put(path, { lines: [line(sku, 1)] })).toMatchObject({
      status: 409,
      body: { code: "carts.checked_out" },
    });
    expect((await shop.get(path)).body).toMatchObject({ status: "checked_out", order_id: order.id });
  });

  it("leaves what it held to its order when that is cancelled: to everybody", async () => {
    const sku = await shop.stocked(1);
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await put(path, { lines: [line(sku, 1)], customer_id: "anna" });
    await shop.settled();
    await shop.holdUp("payments");
    const { body } = await shop.post(`${path}/checkout`, { payment: { token: "tok_ok" } });
    await shop.becomes(body.id, "reserved");

    expect((await shop.cancel(body.id)).status).toBe(200);

    await shop.stockIs(sku, 1, 0);
    expect(await shop.story(body.id)).toEqual(expect.arrayContaining(["CartCheckedOut", "OrderCancelled"]));
  });

  it("that is empty, or nobody's, does not become an order", async () => {
    const sku = await shop.stocked(5);
    const path = `/v1/carts/${shop.fresh("cart")}`;
    const pay = { payment: { token: "tok_ok" } };
    expect((await shop.post(`${path}/checkout`, pay)).body.code).toBe("carts.not_found");
    await shop.put(path, { lines: [] });
    expect((await shop.post(`${path}/checkout`, { ...pay, customer_id: "anna" })).body.code).toBe(
      "carts.empty",
    );
    await put(path, { lines: [line(sku, 1)] });
    expect((await shop.post(`${path}/checkout`, pay)).body.code).toBe("carts.customer_missing");
    await shop.delete(path);
  });

  it("is answered while inventory is away, and holds as soon as it is back", async () => {
    const sku = await shop.stocked(5);
    const path = `/v1/carts/${shop.fresh("cart")}`;
    const letGo = await shop.holdUp("inventory");

    const answer = await shop.put(path, { lines: [line(sku, 2)] });
    await letGo();

    expect(answer).toMatchObject({
      status: 202,
      body: { pending_lines: [line(sku, 2)], hold: { status: "pending" } },
    });
    await shop.shows(path, { lines: [line(sku, 2)], hold: { status: "held" } });
    await shop.delete(path);
  });

  it("that holds what the catalogue has dropped since becomes an order that says why it failed", async () => {
    const [sku, other] = [await shop.stocked(5), shop.fresh("sku")];
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await put(path, { lines: [line(sku, 1)], customer_id: "anna" });
    const successor = { name: sku, skus: [{ sku: other, price_minor: 1, currency: "EUR" }] };
    await shop.put(`/v1/products/${shop.productOf(sku)}`, successor);
    await shop.settled();

    const { body } = await shop.post(`${path}/checkout`, { payment: { token: "tok_ok" } });

    expect(await shop.becomes(body.id, "rejected")).toMatchObject({ reason: "orders.unknown_sku" });
    await shop.stockIs(sku, 5, 0);
  });
});

describe("a cart that holds from checkout on", () => {
  const shop = useShop({ holdOn: "checkout" });
  afterAll(() => shop.addsUp());

  it("holds nothing before, and its order is rejected when the stock is gone by then", async () => {
    const sku = await shop.stocked(2);
    const checkout = (path: string) =>
      shop.post(`${path}/checkout`, { payment: { token: "tok_ok" } }, { prefer: "wait=30" });
    const paths = [shop.fresh("cart"), shop.fresh("cart")].map((id) => `/v1/carts/${id}`);
    for (const path of paths) {
      const { status, body } = await shop.put(path, { lines: [line(sku, 2)], customer_id: "anna" });
      expect({ status, body }).toMatchObject({ status: 201, body: { hold: { status: "none" } } });
    }
    expect(await shop.stock(sku)).toEqual([2, 0, 2]);

    const [first, second] = [await checkout(paths[0]!), await checkout(paths[1]!)];

    expect(first).toMatchObject({ status: 201, body: { status: "completed" } });
    expect(second).toMatchObject({ status: 201, body: { status: "rejected" } });
    expect(await shop.stock(sku)).toEqual([0, 0, 0]);
  });
});

describe("a cart that is left alone", () => {
  const shop = useShop({ cartHoldSeconds: 1 });
  afterAll(() => shop.addsUp());

  it("expires with its hold, is not checked out any more, and can be filled again", async () => {
    const sku = await shop.stocked(5);
    const path = `/v1/carts/${shop.fresh("cart")}`;
    await shop.put(path, { lines: [line(sku, 2)], customer_id: "anna" });

    await shop.shows(path, { status: "expired", hold: { status: "expired" } });

    await shop.stockIs(sku, 5, 0);
    const late = await shop.post(`${path}/checkout`, { payment: { token: "tok_ok" } });
    expect(late).toMatchObject({ status: 409, body: { code: "carts.expired" } });
    // On a slow machine it may expire again before anybody has looked.
    await vi.waitFor(async () => {
      const again = await shop.put(path, { lines: [line(sku, 3)] });
      expect(again).toMatchObject({ status: 200, body: { status: "open", hold: { status: "held" } } });
      expect(await shop.stock(sku)).toEqual([5, 3, 2]);
    }, patience);
    await shop.delete(path);
  });
});

function wanted(sku: string) {
  return { lines: [line(sku, 1)] };
}
