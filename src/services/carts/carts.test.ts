import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { patience } from "../../testing/patience.ts";
import {
  inField,
  inSecond,
  without,
  withUnknown,
  wrongIds,
  wrongIntegers,
  wrongTexts,
} from "../../testing/wrong-input.ts";
import type { CartEvent, CartSettings } from "./contract.ts";
import { type CartsService, cartMigrations, cartsService } from "./index.ts";

const database = useTestDatabase();
let pool: Pool;
let holding: Running;
let untilCheckout: Running;
let impatient: Running;

interface Running {
  readonly service: CartsService;
  readonly server: TestServer;
  readonly registry: ReturnType<typeof createRegistry>;
}

beforeAll(async () => {
  await migrate(database.url, cartMigrations);
  pool = createPool(database.url, { max: 8, name: "test" });
  holding = await run("cart");
  untilCheckout = await run("checkout");
  impatient = await run("cart", 10);
});
afterAll(async () => {
  await Promise.all(sent);
  for (const { service, server } of [holding, untilCheckout, impatient]) {
    await server.app.close();
    await service.stop();
  }
  await pool.end();
});

async function run(
  hold_on: CartSettings["hold_on"],
  patienceMs: number = patience.timeout,
): Promise<Running> {
  const registry = createRegistry();
  const service = cartsService({
    pool,
    reads: pool,
    maxWaiting: 1_000,
    registry,
    logger: createLogger("silent"),
    tracer: untraced,
    settings: { hold_on, hold_seconds: 1_800, cart_ttl_seconds: 3_600 },
    patienceMs,
  });
  service.start();
  const server = await startServer((app) => service.registerRoutes(app), { bodyLimitBytes: 1_048_576 });
  return { service, server, registry };
}

const mug = { store_id: "main", sku: "MUG", quantity: 1 };
const pen = { store_id: "main", sku: "PEN", quantity: 2 };
const short = {
  code: "inventory.insufficient_stock",
  detail: "There is too little.",
  lines: [{ store_id: "main", sku: "PEN", requested: 2, available: 1 }],
};
let named = 0;
const fresh = () => `cart.${++named}`;

// ---- the others on the bus -----------------------------------------------------------------------------------------

function event(topic: string, type: string, data: object, at = new Date()): BusEvent {
  return { id: `${topic}-${++named}-0`, topic, type, subject: "s", key: "k", at, data };
}

async function hear(...events: BusEvent[]): Promise<void> {
  const { subscription } = holding.service;
  const afterCommit = await transact(pool, (tx) => subscription!.handle(tx, events));
  afterCommit?.();
}

type Requested = Extract<CartEvent, { type: "CartHoldRequested" }>["data"];

function reserved({ reservation_id, key, lines }: Requested, expires_at = new Date(Date.now() + 1_800_000)) {
  return event("inventory", "InventoryReserved", { reservation_id, order_id: null, lines, expires_at, key });
}

function reservationFailed({ reservation_id, key }: Requested, refusal: object = short) {
  return event("inventory", "InventoryReservationFailed", { reservation_id, order_id: null, refusal, key });
}

async function eventsOf(cart_id: string): Promise<(CartEvent & { cause?: string; traceparent?: string })[]> {
  const { rows } = await pool.query("select events from carts.log order by position");
  return rows.flatMap((row) => JSON.parse(row.events)).filter(({ subject }) => subject === cart_id);
}

/** What the cart asks the stock for, once it does. */
async function requestOf(cart_id: string, count: number): Promise<Requested> {
  return vi.waitFor(async () => {
    const requests = (await eventsOf(cart_id)).filter(({ type }) => type === "CartHoldRequested");
    expect(requests).toHaveLength(count);
    return requests.at(-1)!.data as Requested;
  }, patience);
}

// ---- over HTTP -----------------------------------------------------------------------------------------------------

const sent: Promise<unknown>[] = [];

function send(method: string, path: string, body?: object, headers = {}, running = holding) {
  const answer = running.server.call(`/v1/carts/${path}`, {
    method,
    headers: { ...(body && { "content-type": "application/json" }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  sent.push(answer);
  return answer;
}

const requests = new Map<string, number>();

/** Puts lines into a cart while somebody plays the stock. */
async function put(id: string, body: object, answer: (request: Requested) => BusEvent = reserved) {
  const answered = send("PUT", id, body);
  const count = (requests.get(id) ?? 0) + 1;
  requests.set(id, count);
  await hear(answer(await requestOf(id, count)));
  return answered;
}

async function filled(): Promise<string> {
  const id = fresh();
  expect((await put(id, { lines: [mug] })).status).toBe(201);
  return id;
}

const payment = { token: "tok_ok" };

/** Begins a checkout; the order's id is known before the answer comes. */
async function checkOut(id: string, headers = {}, running = holding) {
  const answer = send("POST", `${id}/checkout`, { customer_id: "anna", payment }, headers, running);
  const order_id = await vi.waitFor(async () => {
    const [done] = (await eventsOf(id)).filter(({ type }) => type === "CartCheckedOut");
    return (done!.data as { order_id: string }).order_id;
  }, patience);
  return { answer, order_id };
}

function created(cart_id: string, order_id: string): BusEvent {
  return event("orders", "OrderCreated", {
    order_id,
    cart_id,
    reservation_id: order_id,
    customer_id: "anna",
    lines: [{ ...mug, price_minor: 250 }],
    total_minor: 250,
    currency: "EUR",
    payment,
  });
}

const completed = (order_id: string) => event("orders", "OrderCompleted", { order_id });

describe("PUT", () => {
  it("answers 201 with what is held, and then 200", async () => {
    const id = fresh();
    const first = await put(id, { lines: [mug], customer_id: "anna" });
    expect(first).toMatchObject({
      status: 201,
      body: {
        id,
        status: "open",
        revision: 1,
        customer_id: "anna",
        lines: [mug],
        pending_lines: null,
        hold: { status: "held", refusal: null, expires_at: expect.stringMatching(/Z$/) },
        order_id: null,
      },
    });
    const second = await put(id, { lines: [mug, pen] });
    expect(second).toMatchObject({
      status: 200,
      body: { revision: 2, customer_id: "anna", lines: [mug, pen] },
    });
    expect(second.body.hold.reservation_id).toBe(first.body.hold.reservation_id);
    expect((await send("GET", id)).body).toEqual(second.body);
  });

  it("answers 409 with the lines that are short, and the cart is as before", async () => {
    const id = await filled();
    const before = (await send("GET", id)).body;
    expect(await put(id, { lines: [mug, pen] }, reservationFailed)).toMatchObject({
      status: 409,
      body: { code: "carts.insufficient_stock", detail: short.detail, lines: short.lines },
    });
    expect((await send("GET", id)).body).toMatchObject({
      lines: [mug],
      hold: {
        ...before.hold,
        refusal: { code: "carts.insufficient_stock", detail: short.detail, lines: short.lines },
      },
    });
  });

  it.each([
    ["inventory.unknown_sku", 404, "carts.unknown_sku"],
    ["inventory.quantity_overflow", 422, "carts.quantity_overflow"],
    ["inventory.already_committed", 409, "carts.hold_refused"],
  ])("answers %s as %i %s", async (code, status, own) => {
    const refuse = (request: Requested) => reservationFailed(request, { code, detail: "no" });
    expect(await put(fresh(), { lines: [mug] }, refuse)).toMatchObject({ status, body: { code: own } });
  });

  it("answers 202 when the stock does not say in time, and the answer counts all the same", async () => {
    const id = fresh();
    expect(await send("PUT", id, { lines: [mug] }, {}, impatient)).toMatchObject({
      status: 202,
      body: { lines: [], pending_lines: [mug], hold: { status: "pending" } },
    });
    await hear(reserved(await requestOf(id, 1)));
    expect((await send("GET", id)).body).toMatchObject({ lines: [mug], hold: { status: "held" } });
  });

  it("hears of an answer that another process has handled", async () => {
    const id = fresh();
    const answered = send("PUT", id, { lines: [mug] });
    const request = await requestOf(id, 1);
    // Nothing is told to this process after the commit.
    await transact(pool, (tx) => holding.service.subscription!.handle(tx, [reserved(request)]));
    expect(await answered).toMatchObject({ status: 201, body: { hold: { status: "held" } } });
  });

  it("asks again by itself when the hold has ended under way", async () => {
    const id = fresh();
    const closed = { code: "inventory.reservation_closed", detail: "It is over." };
    const answered = send("PUT", id, { lines: [mug] });
    const first = await requestOf(id, 1);
    const failed = reservationFailed(first, closed);
    await hear(failed, failed);
    const second = await requestOf(id, 2);
    expect(second.reservation_id).not.toBe(first.reservation_id);
    await hear(reserved(second));
    expect(await answered).toMatchObject({ status: 201, body: { lines: [mug] } });
    expect((await eventsOf(id)).map(({ cause }) => cause)).toEqual([undefined, failed.id]);
  });

  it("without lines empties the cart at once", async () => {
    const id = await filled();
    expect(await send("PUT", id, { lines: [] })).toMatchObject({
      status: 200,
      body: { lines: [], hold: { status: "none", reservation_id: null } },
    });
    expect((await eventsOf(id)).map(({ type }) => type)).toEqual(["CartHoldRequested", "CartHoldReleased"]);
    expect((await send("PUT", fresh(), { lines: [] })).status).toBe(201);
  });

  it("asks nobody where carts do not hold", async () => {
    const id = fresh();
    const answer = await send("PUT", id, { lines: [mug] }, {}, untilCheckout);
    expect(answer).toMatchObject({ status: 201, body: { lines: [mug], hold: { status: "none" } } });
    expect(await eventsOf(id)).toEqual([]);
  });

  it("hands the trace on", async () => {
    const id = fresh();
    const trace = "0af7651916cd43dd8448eb211c80319c";
    await send("PUT", id, { lines: [mug] }, { traceparent: `00-${trace}-b7ad6b7169203331-01` }, impatient);
    expect((await eventsOf(id))[0]!.traceparent).toContain(trace);
  });

  const whole = { lines: [mug] };
  it.each([
    ...without(whole, "lines"),
    ...inField(
      whole,
      "lines",
      inSecond(mug, [...inField(mug, "quantity", wrongIntegers()), withUnknown(mug)]),
    ),
    ...inField(whole, "customer_id", wrongIds),
    ["too many lines", { lines: Array.from({ length: 501 }, (_, i) => ({ ...mug, sku: `S${i}` })) }, "lines"],
    withUnknown(whole),
  ] as const)("takes nothing wrong (%s)", async (_, body, field) => {
    const answer = await send("PUT", fresh(), body as object);
    expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, field]);
  });
});

describe("what is heard", () => {
  it("of an expired hold ends the cart; the next PUT takes a new one", async () => {
    const id = await filled();
    const { reservation_id } = await requestOf(id, 1);
    const expired = event("inventory", "InventoryReleased", {
      reservation_id,
      order_id: null,
      lines: [mug],
      reason: "expired",
      now: "expired",
    });
    await hear(expired, expired);
    expect((await send("GET", id)).body).toMatchObject({ status: "expired", hold: { status: "expired" } });
    expect(await send("POST", `${id}/checkout`, { customer_id: "anna", payment })).toMatchObject({
      status: 409,
      body: { code: "carts.expired" },
    });
    expect(await put(id, { lines: [mug] })).toMatchObject({ status: 200, body: { status: "open" } });
    await hear(expired);
    expect((await send("GET", id)).body).toMatchObject({ status: "open", hold: { status: "held" } });
  });

  it("of an amendment's smaller half, or a longer hold, is not an end", async () => {
    const id = await filled();
    const { reservation_id } = await requestOf(id, 1);
    const of = { reservation_id, order_id: null };
    await hear(
      event("inventory", "InventoryReleased", { ...of, lines: [mug], reason: "amended", now: null }),
      event("inventory", "InventoryExtended", { ...of, expires_at: "2040-01-01T00:00:00.000Z", key: null }),
    );
    expect((await send("GET", id)).body).toMatchObject({
      status: "open",
      expires_at: "2040-01-01T00:00:00.000Z",
    });
  });

  it("of others' orders and holds costs no write, and of their reservations not even a question", async () => {
    const position = () =>
      pool.query("select last_value from carts.log_position").then(({ rows }) => Number(rows[0].last_value));
    const theirs = { reservation_id: "order-7", key: "1", lines: [mug], cart_id: "x", ttl_seconds: 1 };
    const placesTaken = async () => {
      const before = await position();
      await hear(reserved({ ...theirs, reservation_id: "cart-unknown" }), completed("order-7"));
      return (await position()) - before;
    };
    // Once more, should the sweep have written something just then.
    await expect.poll(placesTaken).toBe(0);
    let asked = 0;
    const tx = { read: async () => asked++, write() {}, proveBy() {}, appended() {} } as never;
    await holding.service.subscription!.handle(tx, [reserved(theirs), created(null as never, "order-7")]);
    expect(asked).toBe(0);
  });
});

describe("DELETE", () => {
  it("answers 204, again too, and releases what is held", async () => {
    const id = await filled();
    for (let i = 0; i < 2; i++) expect(await send("DELETE", id)).toMatchObject({ status: 204 });
    expect((await eventsOf(id)).map(({ type }) => type)).toEqual(["CartHoldRequested", "CartHoldReleased"]);
    expect(await send("GET", id)).toMatchObject({ status: 404, body: { code: "carts.not_found" } });
    expect((await put(id, { lines: [pen] })).status).toBe(201);
  });

  it("answers 404 for a cart that never was", async () => {
    expect(await send("DELETE", fresh())).toMatchObject({ status: 404, body: { code: "carts.not_found" } });
  });
});

describe("POST checkout", () => {
  it("hands the hold over and answers 202 with the order, again too", async () => {
    const id = await filled();
    const { reservation_id } = await requestOf(id, 1);
    const { answer, order_id } = await checkOut(id);
    await hear(created(id, order_id));
    const order = {
      id: order_id,
      status: "pending",
      customer_id: "anna",
      lines: [{ ...mug, price_minor: 250 }],
      total_minor: 250,
      currency: "EUR",
      cart_id: id,
    };
    const { status, headers, body } = await answer;
    expect([status, headers.get("location"), body]).toEqual([202, `/v1/orders/${order_id}`, order]);
    expect((await eventsOf(id)).at(-1)).toMatchObject({
      type: "CartCheckedOut",
      data: { order_id, reservation_id, customer_id: "anna", lines: [mug], payment },
    });
    const again = await send("POST", `${id}/checkout`, { customer_id: "anna", payment });
    expect([again.status, again.body]).toEqual([202, order]);
    expect((await send("GET", id)).body).toMatchObject({ status: "checked_out", order_id });
    for (const [method, more] of [
      ["PUT", { lines: [pen] }],
      ["DELETE", undefined],
    ] as const) {
      expect(await send(method, id, more)).toMatchObject({
        status: 409,
        body: { code: "carts.checked_out" },
      });
    }
  });

  it("answers 202 without prices when the order is not heard of in time", async () => {
    const { answer } = await checkOut(await filled(), {}, impatient);
    expect(await answer).toMatchObject({
      status: 202,
      body: { status: "pending", lines: [mug], total_minor: null, currency: null },
    });
  });

  it.each([
    ["OrderCompleted", {}, "completed"],
    ["OrderCancelled", { reason: "x", detail: "x" }, "cancelled"],
    ["OrderFailed", { status: "rejected", reason: "x", detail: "x" }, "rejected"],
  ])("waits for the end on request: %s", async (type, data, status) => {
    const id = await filled();
    const { answer, order_id } = await checkOut(id, { prefer: "wait=30" });
    await hear(created(id, order_id));
    await hear(event("orders", type, { order_id, ...data }));
    expect(await answer).toMatchObject({ status: 201, body: { status, total_minor: 250 } });
    expect((await send("GET", id)).body.status).toBe("checked_out");
  });

  it("answers 202 when the end is not there in time", async () => {
    const id = await filled();
    const { answer, order_id } = await checkOut(id, { prefer: "respond-async, wait=1" });
    await hear(created(id, order_id));
    expect(await answer).toMatchObject({ status: 202, body: { status: "pending" } });
  });

  it("waits for a change that is under way", async () => {
    const id = await filled();
    void send("PUT", id, { lines: [pen] });
    const request = await requestOf(id, 2);
    const checkingOut = checkOut(id);
    await hear(reserved(request));
    const { answer, order_id } = await checkingOut;
    await hear(created(id, order_id));
    expect((await answer).status).toBe(202);
    expect((await eventsOf(id)).at(-1)).toMatchObject({ type: "CartCheckedOut", data: { lines: [pen] } });
  });

  it("answers 409 while the stock does not answer a change", async () => {
    const id = fresh();
    await send("PUT", id, { lines: [mug] }, {}, impatient);
    const body = { customer_id: "anna", payment };
    const { status, headers, body: problem } = await send("POST", `${id}/checkout`, body, {}, impatient);
    expect([status, problem.code, headers.get("retry-after")]).toEqual([409, "carts.hold_pending", "1"]);
  });

  it("answers 409 for an empty cart, 422 without a customer, 404 for none", async () => {
    const empty = fresh();
    await send("PUT", empty, { lines: [] });
    const body = { customer_id: "anna", payment };
    expect(await send("POST", `${empty}/checkout`, body)).toMatchObject({
      status: 409,
      body: { code: "carts.empty" },
    });
    expect(await send("POST", `${await filled()}/checkout`, { payment })).toMatchObject({
      status: 422,
      body: { code: "carts.customer_missing" },
    });
    expect(await send("POST", `${fresh()}/checkout`, body)).toMatchObject({
      status: 404,
      body: { code: "carts.not_found" },
    });
  });

  it("makes one order of a cart that is checked out many times at once", async () => {
    const id = fresh();
    await send("PUT", id, { lines: [mug] }, {}, untilCheckout);
    const { order_id } = await checkOut(id);
    const answers = Promise.all(
      Array.from({ length: 20 }, () => send("POST", `${id}/checkout`, { customer_id: "anna", payment })),
    );
    await hear(created(id, order_id));
    expect(new Set((await answers).map(({ body }) => body.id))).toEqual(new Set([order_id]));
    expect((await eventsOf(id)).map(({ type }) => type)).toEqual(["CartCheckedOut"]);
  });

  it.each([
    ...without({ payment }, "payment"),
    ...inField({ payment }, "customer_id", wrongIds),
    ["no token", { payment: {} }, "payment.token"],
    ["token: what no order takes", { payment: { token: "tok ü" } }, "payment.token"],
    ...inField({ payment }, "payment", inField(payment, "token", wrongTexts(255))),
    withUnknown({ payment }),
  ] as const)("takes nothing wrong (%s)", async (_, body, field) => {
    const answer = await send("POST", `${fresh()}/checkout`, body as object);
    expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, field]);
  });
});

describe("looking back", () => {
  it("the sweep ends what was left alone", async () => {
    const id = fresh();
    await send("PUT", id, { lines: [mug] }, {}, untilCheckout);
    await pool.query("update carts.carts set expires_at = now(), check_at = now() where id = $1", [id]);
    await vi.waitFor(async () => expect((await send("GET", id)).body.status).toBe("expired"), patience);
  });

  it("knows the share of the carts that became orders", async () => {
    const running = await run("checkout");
    const rate = async () =>
      /^cart_to_order_conversion_rate (.*)$/m.exec(await running.registry.metrics())?.[1];
    expect(await rate()).toBeUndefined();
    for (const deed of ["DELETE", "POST"] as const) {
      const id = fresh();
      await send("PUT", id, { lines: [mug] }, {}, running);
      if (deed === "DELETE") await send("DELETE", id, undefined, {}, running);
      else {
        const { answer, order_id } = await checkOut(id, {}, running);
        const { subscription } = running.service;
        const handled = await transact(pool, (tx) => subscription!.handle(tx, [created(id, order_id)]));
        handled!();
        await answer;
      }
    }
    await running.server.app.close();
    await running.service.stop();
    expect(await rate()).toBe("50");
  });

  it("the log explains the carts, and a hold that was left is found", async () => {
    const verify = () => holding.service.verify(readerOf(pool), () => {});
    expect((await verify()).flatMap(({ violations }) => violations)).toEqual([]);
    const id = await filled();
    await pool.query("update carts.carts set status = 'expired', check_at = null where id = $1", [id]);
    expect((await verify())[1]!.violations).toEqual([expect.stringContaining(id)]);
    await pool.query("delete from carts.carts where id = $1", [id]);
    expect((await verify())[0]!.violations).toEqual([expect.stringContaining(id)]);
  });
});
