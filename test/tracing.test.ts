import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPool, type Pool } from "../src/platform/postgres/pool.ts";
import { type CollectedSpan, type Collector, startCollector } from "../src/testing/collector.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { type LogLine, WholeServer } from "./whole-server.ts";

const database = useTestDatabase();
const callerId = "00f067aa0ba902b7";
let collector: Collector;
let server: WholeServer;
let pool: Pool;
let traces = 0;

beforeAll(async () => {
  collector = await startCollector();
  server = await WholeServer.start(database.url, { HOLDFAST_OTLP_URL: collector.url });
  pool = createPool(database.url, { max: 1, name: "test" });
  await server.stock("MUG", 100);
});
afterAll(async () => {
  await server?.stop();
  await pool?.end();
  await collector?.close();
});

/** A client's trace, and the header that continues it. */
function clientTrace() {
  const trace_id = (++traces).toString(16).padStart(32, "f");
  return { trace_id, headers: { traceparent: `00-${trace_id}-${callerId}-01` } };
}

function spansOf(trace_id: string): CollectedSpan[] {
  return collector.spans.filter((span) => span.trace_id === trace_id);
}

/** What led to a step, from the request down to the step itself. */
function pathTo(name: string, spans: readonly CollectedSpan[]): string[] {
  const bySpan = new Map(spans.map((span) => [span.span_id, span]));
  const path: string[] = [];
  let step = spans.find((span) => span.name === name);
  for (; step !== undefined; step = bySpan.get(step.parent_span_id ?? "")) path.unshift(step.name);
  return path;
}

/** The steps of a trace once the last of them, which are named, have been exported. */
async function untilExported(trace_id: string, ...last: string[]): Promise<CollectedSpan[]> {
  const names = () => spansOf(trace_id).map(({ name }) => name);
  await expect.poll(names).toEqual(expect.arrayContaining(last));
  return spansOf(trace_id);
}

const services = (spans: readonly CollectedSpan[]) =>
  new Set(spans.map(({ name }) => name.split(" ")[0]).filter((name) => name !== "POST"));

/** What every trace of an order must show: one root, below the client, and the order's id on every step. */
function expectOneTraceOf(order_id: string, spans: readonly CollectedSpan[]): void {
  const ids = new Set(spans.map(({ span_id }) => span_id));
  const roots = spans.filter(({ parent_span_id }) => !ids.has(parent_span_id ?? ""));
  expect(roots.map(({ name, parent_span_id }) => [name, parent_span_id])).toEqual([
    ["POST /v1/orders", callerId],
  ]);
  expect(spans.filter(({ attributes }) => attributes.order_id !== order_id)).toEqual([]);
}

const untilCharged = ["POST /v1/orders", "orders CreateOrder", "inventory OrderCreated"];
const untilShipped = ["inventory PaymentSucceeded", "orders InventoryConfirmed", "fulfillment OrderPaid"];
const untilCompleted = ["fulfillment ship", "fulfillment RecordHandover"];

describe("an order", () => {
  it("is one trace over all services, the client's, from the request to what its completion causes", async () => {
    const { trace_id, headers } = clientTrace();
    const { status, body } = await server.order("completed", { sku: "MUG", headers });
    expect(body.status).toBe("completed");
    const spans = await untilExported(trace_id, "carts OrderCompleted", "POST /v1/orders");
    expectOneTraceOf(body.id, spans);
    expect(services(spans)).toEqual(new Set(["orders", "inventory", "payments", "fulfillment", "carts"]));
    expect(spans.filter((span) => span.status === 2)).toEqual([]);

    // Payment waits for the order and for its stock; whichever it hears of last leads to the charge.
    const path = pathTo("carts OrderCompleted", spans);
    const charge = path.indexOf("payments charge");
    expect(path.slice(0, 2)).toEqual(untilCharged.slice(0, 2));
    expect([["payments InventoryReserved"], ["payments OrderCreated"]]).toContainEqual([path[charge - 1]]);
    expect(path.slice(charge, charge + 7)).toEqual([
      "payments charge",
      "payments RecordCharge",
      ...untilShipped,
      ...untilCompleted,
    ]);
    // Shipped and committed are told to orders by two services, and the later one completes the order.
    expect(path.slice(charge + 7).at(-2)).toMatch(/^orders (OrderFulfilled|InventoryCommitted)$/);
    const request = spans.find(({ name }) => name === "POST /v1/orders")!;
    expect(request.attributes).toMatchObject({ "http.response.status_code": status });
    for (const { started_at, ended_at } of spans) {
      expect(started_at >= request.started_at && ended_at >= started_at).toBe(true);
    }
  });

  it.each([
    ["whose first answer from the gateway is lost", "tok_lost", "payments ask"],
    ["whose payment comes late, by a webhook", "tok_late_1", "payments charge"],
  ])("%s keeps its trace", async (_case, token, step) => {
    const { trace_id, headers } = clientTrace();
    const { body } = await server.order(token, { sku: "MUG", token, headers });
    expect(body.status).toBe("completed");
    const spans = await untilExported(trace_id, "carts OrderCompleted", "POST /v1/orders", step);
    expectOneTraceOf(body.id, spans);
    expect(pathTo("carts OrderCompleted", spans)).toEqual(expect.arrayContaining([...untilShipped]));
  });

  it("that is rejected ends its trace with what the rejection causes", async () => {
    const { trace_id, headers } = clientTrace();
    const { body } = await server.order("rejected", { sku: "MUG", quantity: 5_000, headers });
    expect(body.status).toBe("rejected");
    const last = ["inventory OrderFailed", "payments OrderFailed", "fulfillment OrderFailed"];
    const spans = await untilExported(trace_id, ...last, "POST /v1/orders");
    expectOneTraceOf(body.id, spans);
    for (const name of last) {
      const path = [...untilCharged, "orders InventoryReservationFailed", name];
      expect(pathTo(name, spans)).toEqual(path);
    }
    // A refusal is an answer, no failure.
    expect(spans.filter((span) => span.status === 2)).toEqual([]);
    expect(spans.map(({ name }) => name)).not.toContain("payments charge");
  });
});

// ---- what fails ----------------------------------------------------------------------------------------------------

/** From now on, and until it is mended, the rows that hold this SKU cannot be written. */
async function curse(table: string, column: string, sku: string): Promise<() => Promise<unknown>> {
  const [schema] = table.split(".");
  await pool.query(`
    create function ${schema}.curse() returns trigger language plpgsql as
      $$ begin if new.${column}::text like '%${sku}%' then raise 'cursed'; end if; return new; end $$;
    create trigger curse before insert or update on ${table} for each row execute function ${schema}.curse();`);
  return () => pool.query(`drop trigger curse on ${table}; drop function ${schema}.curse()`);
}

function linesWith(words: string): LogLine[] {
  return server.log.filter(({ msg }) => String(msg).includes(words));
}

describe("what fails", () => {
  it("an event's handler: a failed step of the order's trace, and lines that name both", async () => {
    const { trace_id, headers } = clientTrace();
    await server.stock("GHOST", 5);
    const mend = await curse("fulfillment.shipments", "lines", "GHOST");
    const { body } = await server.order("cursed", { sku: "GHOST", headers, wait: 0 });
    const about = { group: "fulfillment", order_id: body.id, trace_id };
    await expect.poll(() => linesWith("and was set aside")).not.toEqual([]);
    expect(linesWith("looking for the one that is to blame")[0]).toMatchObject({ level: "warn", ...about });
    const setAside = { level: "error", ...about, type: "OrderPaid", err: { message: "cursed" } };
    expect(linesWith("and was set aside")[0]).toMatchObject(setAside);

    // It is told before it is committed, and once it can be handled it may be before we ask for that.
    const letters = async () => (await server.ask("GET", "/v1/dead-letters?group=fulfillment")).body.items;
    await expect.poll(letters).toHaveLength(1);
    const [{ id }] = await letters();
    await mend();
    const retried = await server.ask("POST", `/v1/dead-letters/${id}/retry`);
    expect([202, 404]).toContain(retried.status);
    const spans = await untilExported(trace_id, "carts OrderCompleted", "POST /v1/orders");
    expectOneTraceOf(body.id, spans);
    const failed = spans.filter(({ status }) => status === 2);
    expect(failed.length).toBeGreaterThan(0);
    for (const span of failed)
      expect(span).toMatchObject({ name: "fulfillment OrderPaid", message: "cursed" });
    expect(spans.filter(({ name, status }) => name === "fulfillment OrderPaid" && status === 0)).toHaveLength(
      1,
    );
  });

  it("a command: a failed step, and lines that name the order and its trace", async () => {
    const { trace_id, headers } = clientTrace();
    await server.stock("SPECTRE", 5);
    const mend = await curse("orders.orders", "lines", "SPECTRE");
    expect((await server.order("haunted", { sku: "SPECTRE", headers })).status).toBe(500);
    await mend();
    const spans = await untilExported(trace_id, "POST /v1/orders", "orders CreateOrder");
    const failed = spans.filter(({ status }) => status === 2).map(({ name }) => name);
    expect(failed.sort()).toEqual(["POST /v1/orders", "orders CreateOrder"]);
    const { order_id } = spans.find(({ name }) => name === "orders CreateOrder")!.attributes;
    expect(order_id).toMatch(/\w/);
    expect(linesWith("a command could not be carried out")).toMatchObject([
      { level: "error", order_id, trace_id, err: { message: "cursed" }, command: { type: "CreateOrder" } },
    ]);
    expect(linesWith("request failed")).toMatchObject([{ level: "error", trace_id, route: "/v1/orders" }]);
  });

  it("a call to the gateway, tried again in the same trace", async () => {
    const { trace_id, headers } = clientTrace();
    const { body } = await server.order("down", { sku: "MUG", token: "tok_down", headers, wait: 0 });
    const failed = () => spansOf(trace_id).filter(({ status }) => status === 2);
    await expect.poll(() => failed().length).toBeGreaterThan(1);
    const spans = await untilExported(trace_id, "POST /v1/orders", "payments RecordCharge");
    expectOneTraceOf(body.id, spans);
    expect(new Set(failed().map(({ name }) => name))).toEqual(new Set(["payments charge"]));
    expect(
      linesWith("the gateway did not answer").filter((line) => line.order_id === body.id)[0],
    ).toMatchObject({
      level: "warn",
      trace_id,
      err: { message: expect.any(String) },
    });
  });

  it("a call to the carrier, tried again in the same trace", async () => {
    const { trace_id, headers } = clientTrace();
    const behave = (down: boolean) =>
      server.ask("PUT", "/v1/shipments/carriers/simulated", { latency_ms: 0, failure_rate: 0, down });
    expect((await behave(true)).status).toBe(200);
    const { body } = await server.order("stranded", { sku: "MUG", headers, wait: 0 });
    await expect.poll(() => linesWith("the carrier did not answer")).not.toEqual([]);
    await behave(false);
    const line = { level: "warn", order_id: body.id, trace_id, next_try_in_ms: expect.any(Number) };
    expect(linesWith("the carrier did not answer")[0]).toMatchObject(line);
    const spans = await untilExported(trace_id, "carts OrderCompleted", "POST /v1/orders");
    expectOneTraceOf(body.id, spans);
    const calls = spans.filter(({ name }) => name === "fulfillment ship").map(({ status }) => status);
    expect(new Set(calls)).toEqual(new Set([2, 0]));
  });
});
