import { v7 as uuid } from "uuid";
import { describe, expect, it } from "vitest";
import { useOrders } from "../../testing/orders.ts";
import {
  inField,
  inSecond,
  type Wrong,
  without,
  withUnknown,
  wrongIds,
  wrongIntegers,
  wrongStockIds,
  wrongTexts,
} from "../../testing/wrong-input.ts";
import type { Order } from "./contract.ts";
import { hasEnded } from "./order.ts";

const desk = useOrders();

type Headers = Record<string, string>;

function post(path: string, body: unknown, headers: Headers = {}) {
  return desk.server.call(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

const place = (body: unknown, headers: Headers = {}) =>
  post("/v1/orders", body, { "idempotency-key": desk.key(), ...headers });
const cancel = (id: string, headers?: Headers, body: object = {}) =>
  post(`/v1/orders/${id}/cancel`, body, headers);
const get = (path: string) => desk.server.call(path);

async function offered(price = 250): Promise<string> {
  const sku = `sku-${desk.key()}`;
  await desk.offer({ [sku]: price });
  return sku;
}

async function placed() {
  return desk.placedOrder(desk.input(await offered(), 2));
}

async function paid() {
  const order = await placed();
  await desk.reserved(order);
  await desk.charged(order);
  await desk.confirmed(order);
  return order;
}

/** Lets something happen once somebody waits. */
async function whileWaiting<Answer>(asked: Promise<Answer>, happen: () => Promise<unknown>): Promise<Answer> {
  await happen();
  return asked;
}

/** Whatever is created from now on is later by the millisecond, in which times are told. */
const past = ({ created_at }: Order) => expect.poll(() => Date.now()).toBeGreaterThan(created_at.getTime());

const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

describe("POST orders", () => {
  it("answers 202 with the order and where it is", async () => {
    const sku = await offered();
    const { status, headers, body } = await place(desk.input(sku, 2));
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/v1/orders/${body.id}`);
    expect(body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      status: "pending",
      customer_id: "ann",
      lines: [{ store_id: "main", sku, quantity: 2, price_minor: 250 }],
      total_minor: 500,
      currency: "EUR",
      reason: null,
      detail: null,
      reservation_id: body.id,
      cart_id: null,
      payment: { status: "none" },
      shipped_lines: [],
      cancellation_requested: null,
      deadline: instant,
      created_at: instant,
      updated_at: instant,
    });
    expect((await get(`/v1/orders/${body.id}`)).body).toEqual(body);
  });

  it("answers the same order to the same key", async () => {
    const input = desk.input(await offered());
    const headers = { "idempotency-key": desk.key() };
    const first = await post("/v1/orders", input, headers);
    const again = await post("/v1/orders", input, headers);
    expect([again.status, again.body]).toEqual([202, first.body]);
    expect(await desk.events(first.body.id)).toEqual(["OrderCreated"]);
  });

  it.each([
    ["other lines", { lines: [{ store_id: "main", sku: "other", quantity: 1 }] }],
    ["another customer", { customer_id: "bob" }],
    ["another means of payment", { payment: { token: "tok_other" } }],
  ])("refuses the same key with %s", async (_, change) => {
    const input = desk.input(await offered());
    const headers = { "idempotency-key": desk.key() };
    await post("/v1/orders", input, headers);
    expect(await post("/v1/orders", { ...input, ...change }, headers)).toMatchObject({
      status: 422,
      body: { code: "orders.idempotency_key_reused" },
    });
  });

  it("refuses to be without a key, and keys that are none", async () => {
    const input = desk.input(await offered());
    expect(await post("/v1/orders", input)).toMatchObject({
      status: 400,
      body: { code: "orders.idempotency_key_missing" },
    });
    for (const key of ["a b", '"quoted"', "x".repeat(65)]) {
      expect(await post("/v1/orders", input, { "idempotency-key": key })).toMatchObject({
        status: 422,
        body: { code: "request.invalid", errors: [{ field: "idempotency-key" }] },
      });
    }
  });

  it("refuses SKUs that the catalogue does not offer, and names their lines", async () => {
    const sku = await offered();
    const lines = [...desk.input(sku).lines, ...desk.input("nobody has this").lines];
    const refused = await place({ ...desk.input(sku), lines });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: "orders.unknown_sku", errors: [{ field: "lines.1.sku" }] },
    });
  });

  it("refuses two currencies, and a total or a quantity beyond what can be kept", async () => {
    const [sku, dear] = [await offered(), await offered(Number.MAX_SAFE_INTEGER)];
    await desk.offer({ foreign: 1 }, "USD");
    const [line, dearLine, foreignLine] = [sku, dear, "foreign"].map((each) => desk.input(each).lines[0]!);
    const huge = { ...line!, quantity: 2_147_483_647 };
    for (const [lines, code] of [
      [[line, foreignLine], "orders.mixed_currencies"],
      [[line, dearLine], "orders.total_too_large"],
      [[line, huge], "orders.quantity_too_large"],
    ]) {
      expect(await place({ ...desk.input(sku), lines })).toMatchObject({ status: 422, body: { code } });
    }
  });

  it("does not show the means of payment", async () => {
    const { body } = await place(desk.input(await offered()));
    const shown = [body, (await get(`/v1/orders/${body.id}`)).body, (await get("/v1/orders")).body];
    expect(JSON.stringify(shown)).not.toContain("tok_secret");
  });
});

describe("POST orders with Prefer: wait", () => {
  it("answers 201 with the order as it ended", async () => {
    const input = desk.input(await offered());
    const headers = { "idempotency-key": desk.key(), prefer: "respond-async, wait=30" };
    const answer = await whileWaiting(post("/v1/orders", input, headers), async () => {
      const order = await desk.placedOrder(input, headers["idempotency-key"]);
      const refusal = { code: "inventory.insufficient_stock", detail: "None left." };
      await desk.tell("inventory", "InventoryReservationFailed", {
        ...desk.ofStock(order),
        refusal,
        key: null,
      });
    });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        status: "rejected",
        reason: "inventory.insufficient_stock",
        detail: "None left.",
        deadline: null,
      },
    });
    expect(answer.headers.get("preference-applied")).toBe("wait=30");
    const again = await post("/v1/orders", input, headers);
    expect([again.status, again.body]).toEqual([201, answer.body]);
  });

  it("finds out what another process has done", async () => {
    const input = desk.input(await offered());
    const headers = { "idempotency-key": desk.key(), prefer: "wait=30" };
    const answer = await whileWaiting(post("/v1/orders", input, headers), async () => {
      const order = await desk.placedOrder(input, headers["idempotency-key"]);
      await desk.pool.query(
        `update orders.orders set status = 'cancelled', ended_as = 'cancelled', ended_at = now(), deadline = null
         where id = $1`,
        [order.id],
      );
    });
    expect(answer).toMatchObject({ status: 201, body: { status: "cancelled" } });
  });

  it("answers 202 when the time is over first", async () => {
    const answer = await place(desk.input(await offered()), { prefer: "wait=0" });
    expect(answer).toMatchObject({ status: 202, body: { status: "pending" } });
    expect(answer.headers.get("preference-applied")).toBe("wait=0");
  });

  it.each(["wait", "wait=soon", "wait=-1", "await=3", "respond-async"])(
    "passes over what it does not understand: %s",
    async (prefer) => {
      const answer = await place(desk.input(await offered()), { prefer });
      expect([answer.status, answer.headers.get("preference-applied")]).toEqual([202, null]);
    },
  );

  it("answers whoever waits when the server is to stop", async () => {
    const stopping = new AbortController();
    const { orders } = desk.another(undefined, stopping.signal);
    const order = await desk.placedOrder(desk.input(await offered()));
    const waiting = orders.until(order, hasEnded, 3_600);
    stopping.abort();
    expect(await waiting).toBeUndefined();
  });
});

describe("an order is read", () => {
  it("with what has been shipped so far", async () => {
    const order = await paid();
    const [line] = order.lines;
    const part = { ...desk.ofStock(order), carrier: "DHL", tracking: null, part: 1 };
    const { store_id, sku } = line!;
    await desk.tell("fulfillment", "OrderPartlyShipped", {
      ...part,
      lines: [{ store_id, sku, quantity: 1 }],
    });
    const { body } = await get(`/v1/orders/${order.id}`);
    expect(body).toMatchObject({ status: "paid", payment: { status: "succeeded" } });
    expect(body.shipped_lines).toEqual([{ store_id, sku, quantity: 1 }]);
    await desk.shipped(order);
    const { body: after } = await get(`/v1/orders/${order.id}`);
    expect(after.shipped_lines).toEqual([{ store_id, sku, quantity: 2 }]);
  });

  it("unless there is none, and so is its timeline", async () => {
    for (const path of ["/v1/orders/nobodys", "/v1/orders/nobodys/timeline"]) {
      expect(await get(path)).toMatchObject({ status: 404, body: { code: "orders.not_found" } });
    }
    expect(await get("/v1/orders/a%20b")).toMatchObject({ status: 422, body: { code: "request.invalid" } });
  });

  it("with its timeline", async () => {
    const order = await paid();
    const { status, body } = await get(`/v1/orders/${order.id}/timeline`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ order_id: order.id, status: "paid" });
    expect(body.outcome).toBe("The order is paid, and waits to be shipped.");
    expect(body.items[0]).toEqual({
      id: expect.stringMatching(/^orders-\d+-0$/),
      at: instant,
      service: "orders",
      type: "OrderCreated",
      summary: "The order was taken: 2 units for 5.00 EUR.",
      since_previous_ms: 0,
      since_start_ms: 0,
      data: expect.objectContaining({ total_minor: 500, customer_id: "ann" }),
      cause: null,
    });
  });
});

describe("orders are listed", () => {
  const ids = async (query: string) =>
    (await get(`/v1/orders?${query}`)).body.items.map(({ id }: { id: string }) => id);

  it("the newest first, by status, customer and time, a page at a time", async () => {
    const sku = await offered();
    const customer_id = desk.key();
    const input = { ...desk.input(sku), customer_id };
    const orders: Order[] = [];
    for (let i = 0; i < 5; i++) {
      orders.push(await desk.placedOrder(input));
      await past(orders[i]!);
    }
    const [first, second, third, fourth, fifth] = orders.map(({ id }) => id);
    await desk.service.orders.cancel(second!, "cancelled");
    const of = `customer_id=${customer_id}`;
    expect(await ids(of)).toEqual([fifth, fourth, third, second, first]);
    expect(await ids(`${of}&status=cancelled`)).toEqual([second]);
    expect(await ids(`${of}&status=pending`)).toEqual([fifth, fourth, third, first]);
    expect(await ids(`${of}&status=reserved`)).toEqual([]);
    const from = orders[2]!.created_at.toISOString();
    expect(await ids(`${of}&from=${from}`)).toEqual([fifth, fourth, third]);
    expect(await ids(`${of}&to=${from}`)).toEqual([second, first]);

    const page = (await get(`/v1/orders?${of}&limit=2`)).body;
    expect(page.items).toHaveLength(2);
    const next = (await get(`/v1/orders?${of}&limit=2&after=${page.next}`)).body;
    const last = (await get(`/v1/orders?${of}&limit=2&after=${next.next}`)).body;
    expect([...next.items, ...last.items].map(({ id }: { id: string }) => id)).toEqual([
      third,
      second,
      first,
    ]);
    expect(last.next).toBeNull();
  });

  it("by when they were created, also if their carts were checked out long before, a page at a time", async () => {
    const customer_id = desk.key();
    const sku = await offered();
    const checkedOut = async (minutesAgo: number) => {
      const order_id = uuid({ msecs: Date.now() - minutesAgo * 60_000 });
      const { lines, payment } = desk.input(sku);
      const ids = { cart_id: desk.key(), order_id, reservation_id: null, customer_id };
      await desk.tell("carts", "CartCheckedOut", { ...ids, lines, payment });
      const order = await desk.order(order_id);
      await past(order);
      return order;
    };
    const before = await checkedOut(30);
    const late = await checkedOut(10);
    const later = await checkedOut(20);
    const timely = await desk.placedOrder({ ...desk.input(sku), customer_id });
    const from = late.created_at.toISOString();
    const of = `customer_id=${customer_id}&from=${from}`;
    expect(await ids(of)).toEqual([timely.id, late.id, later.id]);
    expect(await ids(`from=${from}`)).toEqual([timely.id, late.id, later.id]);
    expect(await ids(`${of}&status=pending&to=${timely.created_at.toISOString()}`)).toEqual([
      late.id,
      later.id,
    ]);
    expect(await ids(`customer_id=${customer_id}&to=${from}`)).toEqual([before.id]);

    const first = (await get(`/v1/orders?${of}&limit=2`)).body;
    expect(first.items.map(({ id }: { id: string }) => id)).toEqual([timely.id, late.id]);
    const second = (await get(`/v1/orders?${of}&limit=2&after=${first.next}`)).body;
    expect(second.items.map(({ id }: { id: string }) => id)).toEqual([later.id]);
    expect(second.next).toBeNull();
  });

  it.each([
    "status=lost",
    "after=none",
    "limit=0",
    "from=yesterday",
    "to=2030-06-30T23:59:60Z",
    "colour=red",
  ])("not with %s", async (query) => {
    const { status, body } = await get(`/v1/orders?${query}`);
    expect([status, body.code]).toEqual([422, "request.invalid"]);
    expect(body.errors[0].field).toBe(query.split("=")[0]);
  });
});

describe("POST cancel", () => {
  it("answers 200 while nothing is paid, and again", async () => {
    const order = await placed();
    const answer = await cancel(order.id, {}, { reason: "changed my mind" });
    expect(answer).toMatchObject({ status: 200, body: { status: "cancelled", reason: "changed my mind" } });
    expect(await cancel(order.id)).toMatchObject({ status: 200, body: answer.body });
    expect(await desk.events(order.id)).toEqual(["OrderCreated", "OrderCancelled"]);
  });

  it("answers 202 once it is paid, until fulfilment has said something", async () => {
    const order = await paid();
    const asked = await cancel(order.id);
    expect(asked).toMatchObject({
      status: 202,
      body: { status: "paid", cancellation_requested: "cancelled" },
    });
    await desk.tell("fulfillment", "ShipmentCancelled", { ...desk.ofStock(order), reason: "cancelled" });
    expect(await cancel(order.id)).toMatchObject({ status: 200, body: { status: "cancelled" } });
  });

  it("waits for fulfilment to cancel", async () => {
    const order = await paid();
    const answer = await whileWaiting(cancel(order.id, { prefer: "wait=30" }), async () => {
      await expect.poll(async () => (await desk.order(order.id)).cancellation_requested).not.toBeNull();
      await desk.tell("fulfillment", "ShipmentCancelled", { ...desk.ofStock(order), reason: "cancelled" });
    });
    expect(answer).toMatchObject({ status: 200, body: { status: "cancelled" } });
    expect(answer.headers.get("preference-applied")).toBe("wait=30");
  });

  it("waits for fulfilment to refuse", async () => {
    const order = await paid();
    const answer = await whileWaiting(cancel(order.id, { prefer: "wait=30" }), async () => {
      await expect.poll(async () => (await desk.order(order.id)).cancellation_requested).not.toBeNull();
      await desk.tell("fulfillment", "ShipmentCancellationRefused", { ...desk.ofStock(order), detail: "." });
    });
    expect(answer).toMatchObject({ status: 409, body: { code: "orders.already_shipped" } });
  });

  it("answers 409 when it is shipped, or has ended", async () => {
    const shipped = await paid();
    await desk.shipped(shipped);
    expect(await cancel(shipped.id)).toMatchObject({ status: 409, body: { code: "orders.already_shipped" } });
    await desk.committed(shipped);
    expect(await cancel(shipped.id)).toMatchObject({ status: 409, body: { code: "orders.already_shipped" } });
    const failed = await placed();
    await desk.tell("payments", "PaymentFailed", {
      ...desk.ofStock(failed),
      code: "declined",
      detail: "No money.",
    });
    expect(await cancel(failed.id)).toMatchObject({ status: 409, body: { code: "orders.ended" } });
  });

  it("answers 404 for an order that is not there, and 422 for what it does not understand", async () => {
    expect(await cancel("nobodys")).toMatchObject({ status: 404, body: { code: "orders.not_found" } });
    expect(await cancel("nobodys", {}, { why: "x" })).toMatchObject({ status: 422 });
    expect(await cancel("nobodys", {}, { reason: "" })).toMatchObject({ status: 422 });
  });
});

describe("POST orders is refused with", () => {
  const input = desk.input("mug");
  const [line] = input.lines;
  it.each<Wrong>([
    withUnknown(input),
    ...without(input, "customer_id", "lines", "payment"),
    ...inField(input, "customer_id", wrongIds),
    ...inField(input, "payment", [
      withUnknown(input.payment),
      ...without(input.payment, "token"),
      ...inField(input.payment, "token", wrongTexts(255)),
    ]),
    ...inField(input, "lines", [
      ["empty", [], ""],
      ["too many", Array(2_001).fill(line), ""],
      ...inSecond(line, [
        withUnknown(line!),
        ...without(line!, "store_id", "sku", "quantity"),
        ...inField(line!, "store_id", wrongStockIds),
        ...inField(line!, "sku", wrongStockIds),
        ...inField(line!, "quantity", wrongIntegers()),
      ]),
    ]),
  ])("%s", async (_what, body, field) => {
    const { status, body: problem } = await place(body);
    expect([status, problem.code]).toEqual([422, "request.invalid"]);
    expect(problem.errors.map((error: { field: string }) => error.field)).toContain(field);
  });
});
