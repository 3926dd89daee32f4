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
import { wrongIds } from "../../testing/wrong-input.ts";
import { type FulfillmentService, fulfillmentMigrations, fulfillmentService } from "./index.ts";

const database = useTestDatabase();
let pool: Pool;
let manual: Running;
let simulated: Running;

interface Running {
  readonly service: FulfillmentService;
  readonly server: TestServer;
  readonly registry: ReturnType<typeof createRegistry>;
}

beforeAll(async () => {
  await migrate(database.url, fulfillmentMigrations);
  pool = createPool(database.url, { max: 6, name: "test" });
  manual = await run("manual");
  simulated = await run("simulated");
});
afterAll(async () => {
  for (const { service, server } of [manual, simulated]) {
    await server.app.close();
    await service.stop();
  }
  await pool.end();
});

async function run(carrier: "manual" | "simulated"): Promise<Running> {
  const registry = createRegistry();
  const service = fulfillmentService({
    pool,
    reads: pool,
    maxWaiting: 1_000,
    registry,
    logger: createLogger("silent"),
    tracer: untraced,
    settings: { carrier },
  });
  service.start();
  const server = await startServer((app) => service.registerRoutes(app), { probes: service.probes ?? [] });
  return { service, server, registry };
}

const line = { store_id: "main", sku: "MUG", quantity: 2 };
let named = 0;
const fresh = () => `order-${++named}`;

function event(type: string, order_id: string, data: object = {}): BusEvent {
  return {
    id: `orders-${++named}-0`,
    topic: "orders",
    type,
    subject: order_id,
    key: order_id,
    at: new Date(),
    data: { order_id, reservation_id: `r-${order_id}`, ...data },
  };
}

const paid = (id: string) => event("OrderPaid", id, { customer_id: "c", lines: [line] });
const wanted = (id: string) => event("OrderCancellationRequested", id, { reason: "changed" });

async function hear({ service }: Running, ...events: BusEvent[]): Promise<void> {
  const { subscription } = service;
  const afterCommit = await transact(pool, (tx) => subscription!.handle(tx, events));
  afterCommit?.();
}

async function eventsOf(id: string): Promise<{ type: string; cause?: string }[]> {
  const { rows } = await pool.query("select events from fulfillment.log order by position");
  return rows.flatMap((row) => JSON.parse(row.events)).filter(({ subject }) => subject === id);
}

async function typesOf(id: string): Promise<string[]> {
  return (await eventsOf(id)).map(({ type }) => type);
}

function post(running: Running, path: string, body: object, key?: string) {
  return running.server.call(`/v1/shipments/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key && { "idempotency-key": key }) },
    body: JSON.stringify(body),
  });
}

const get = (running: Running, path = "") => running.server.call(`/v1/shipments${path}`);

async function openManual(): Promise<string> {
  const id = fresh();
  await hear(manual, paid(id));
  return id;
}

async function behave(settings: object) {
  return simulated.server.call("/v1/shipments/carriers/simulated", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(settings),
  });
}

async function attemptsOf(id: string): Promise<number> {
  const { rows } = await pool.query("select attempts from fulfillment.shipments where id = $1", [id]);
  return rows[0].attempts;
}

describe("with a carrier", () => {
  it("ships a paid order right after the commit, and hands on what led to it", async () => {
    const id = fresh();
    const payment = { ...paid(id), traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    await hear(simulated, payment, paid(id));
    await vi.waitFor(
      async () => expect(await typesOf(id)).toEqual(["ShipmentOpened", "OrderFulfilled"]),
      patience,
    );
    expect(await attemptsOf(id), "nobody had to take it over").toBe(0);
    for (const { cause, ...rest } of await eventsOf(id)) {
      expect(cause).toBe(payment.id);
      expect(rest).toHaveProperty("traceparent", payment.traceparent);
    }
    const { status, body } = await get(simulated, `/${id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      id,
      reservation_id: `r-${id}`,
      status: "shipped",
      lines: [{ ...line, quantity_shipped: 2 }],
      parts: [
        {
          part: 1,
          carrier: "simulated",
          tracking: `SIM-${id}`,
          lines: [line],
          at: expect.stringMatching(/Z$/),
        },
      ],
      reason: null,
      created_at: expect.stringMatching(/Z$/),
      updated_at: expect.stringMatching(/Z$/),
    });
  });

  it("ships hundreds together, each once, though the events come again", async () => {
    const ids = Array.from({ length: 300 }, fresh);
    await hear(simulated, ...ids.map(paid));
    await hear(simulated, ...ids.map(paid));
    await vi.waitFor(async () => {
      const { rows } = await pool.query(
        "select count(*)::int as n from fulfillment.shipments where status = 'shipped' and id = any($1)",
        [ids],
      );
      expect(rows[0].n).toBe(300);
    }, patience);
    for (const id of ids.slice(0, 3)) expect(await typesOf(id)).toEqual(["ShipmentOpened", "OrderFulfilled"]);
  });

  it("takes up what nobody carries any more, asking first", async () => {
    const id = fresh();
    // Whoever claimed it has died: its shortcut after the commit was never taken.
    await transact(pool, (tx) => simulated.service.subscription!.handle(tx, [paid(id)]));
    expect((await get(simulated, `/${id}`)).body.status).toBe("handing_over");
    await pool.query("update fulfillment.shipments set next_try_at = now() where id = $1", [id]);
    await vi.waitFor(
      async () => expect((await get(simulated, `/${id}`)).body.status).toBe("shipped"),
      patience,
    );
    expect(await attemptsOf(id)).toBe(1);
  });

  it("tries again while it cannot be reached, and decides about a cancellation when it can", async () => {
    await behave({ latency_ms: 0, failure_rate: 0, down: true });
    const [kept, cancelled] = [fresh(), fresh()];
    await hear(simulated, paid(kept), paid(cancelled));
    await hear(simulated, wanted(cancelled));
    expect(await typesOf(cancelled)).toEqual(["ShipmentOpened"]);
    expect((await get(simulated, "?status=handing_over")).body.items).toHaveLength(2);
    await behave({ latency_ms: 0, failure_rate: 0, down: false });
    await vi.waitFor(async () => {
      expect(await typesOf(kept)).toEqual(["ShipmentOpened", "OrderFulfilled"]);
      expect(await typesOf(cancelled)).toEqual(["ShipmentOpened", "ShipmentCancelled"]);
    }, patience);
  });

  it("fails what it refuses", async () => {
    await behave({ latency_ms: 0, failure_rate: 1, down: false });
    const id = fresh();
    await hear(simulated, paid(id));
    await vi.waitFor(
      async () => expect(await typesOf(id)).toEqual(["ShipmentOpened", "FulfillmentFailed"]),
      patience,
    );
    await behave({ latency_ms: 0, failure_rate: 0, down: false });
  });

  it("answers 409 to whoever ships what is being handed over", async () => {
    await behave({ latency_ms: 0, failure_rate: 0, down: true });
    const id = fresh();
    await hear(simulated, paid(id));
    expect(await post(simulated, `${id}/ship`, {})).toMatchObject({
      status: 409,
      body: { code: "fulfillment.handing_over" },
    });
    await behave({ latency_ms: 0, failure_rate: 0, down: false });
    await vi.waitFor(
      async () => expect((await get(simulated, `/${id}`)).body.status).toBe("shipped"),
      patience,
    );
  });

  it("is set over HTTP", async () => {
    const url = "/v1/shipments/carriers/simulated";
    const settings = { latency_ms: 7, failure_rate: 0, down: false };
    expect(await behave(settings)).toMatchObject({ status: 200, body: settings });
    expect(await simulated.server.call(url)).toMatchObject({ status: 200, body: settings });
    for (const wrong of [{ latency_ms: -1 }, { failure_rate: 1.1 }, { down: "yes" }, { colour: "red" }]) {
      expect((await behave({ ...settings, ...wrong })).status).toBe(422);
    }
    await behave({ latency_ms: 0, failure_rate: 0, down: false });
    expect(await manual.server.call(url)).toMatchObject({
      status: 404,
      body: { code: "fulfillment.carrier_not_used" },
    });
  });

  it("shows the breaker without being down for it", async () => {
    const { body } = await simulated.server.call("/health");
    expect(body.dependencies.carrier).toMatchObject({
      status: "up",
      details: { breaker: "closed", calls_in_flight: 0, calls_waiting: 0 },
    });
  });
});

describe("by hand", () => {
  it("ships parts, each once, until all has left", async () => {
    const id = await openManual();
    const one = { lines: [{ ...line, quantity: 1 }], tracking: "T1", carrier: "DHL" };
    for (let i = 0; i < 2; i++) {
      const { status, body } = await post(manual, `${id}/ship`, one, "part-1");
      expect([status, body.status, body.parts.length]).toEqual([200, "partly_shipped", 1]);
    }
    for (let i = 0; i < 2; i++) {
      const { status, body } = await post(manual, `${id}/ship`, {}, "part-2");
      expect([status, body.status]).toEqual([200, "shipped"]);
      expect(body.parts.map(({ tracking }: { tracking: string }) => tracking)).toEqual(["T1", null]);
    }
    expect(await typesOf(id)).toEqual(["ShipmentOpened", "OrderPartlyShipped", "OrderFulfilled"]);
    expect(await post(manual, `${id}/ship`, {})).toMatchObject({
      status: 409,
      body: { code: "fulfillment.already_shipped" },
    });
    expect(await post(manual, `${id}/ship`, one, "part-2")).toMatchObject({
      status: 422,
      body: { code: "fulfillment.key_reused" },
    });
  });

  it("refuses more than is left, and names the lines", async () => {
    const id = await openManual();
    expect(await post(manual, `${id}/ship`, { lines: [{ ...line, quantity: 3 }] })).toMatchObject({
      status: 409,
      body: {
        code: "fulfillment.exceeds_shipment",
        lines: [{ store_id: "main", sku: "MUG", requested: 3, left: 2 }],
      },
    });
  });

  it("fails what cannot be sent", async () => {
    const id = await openManual();
    const answer = await post(manual, `${id}/fail`, { detail: "it burnt" });
    expect(answer).toMatchObject({ status: 200, body: { status: "failed", reason: "it burnt" } });
    for (const deed of ["ship", "fail"]) {
      expect(await post(manual, `${id}/${deed}`, deed === "fail" ? { detail: "again" } : {})).toMatchObject({
        status: 409,
        body: { code: "fulfillment.shipment_ended" },
      });
    }
  });

  it("knows no shipment but those of paid orders", async () => {
    const remembered = fresh();
    await hear(manual, wanted(remembered));
    for (const id of [fresh(), remembered]) {
      const notFound = { status: 404, body: { code: "fulfillment.shipment_not_found" } };
      expect(await get(manual, `/${id}`)).toMatchObject(notFound);
      expect(await post(manual, `${id}/ship`, {})).toMatchObject(notFound);
      expect(await post(manual, `${id}/fail`, { detail: "no" })).toMatchObject(notFound);
    }
    await hear(manual, paid(remembered));
    expect(await typesOf(remembered)).toEqual(["ShipmentOpened", "ShipmentCancelled"]);
  });

  it("lists what is open, a page at a time", async () => {
    const ids = [await openManual(), await openManual(), await openManual()];
    const listed: string[] = [];
    for (let after = ""; ; ) {
      const { status, body } = await get(manual, `?status=open&limit=2${after}`);
      expect(status).toBe(200);
      listed.push(...body.items.map(({ id }: { id: string }) => id));
      if (body.next === null) break;
      after = `&after=${body.next}`;
    }
    expect(listed).toEqual(expect.arrayContaining(ids));
    expect(new Set(listed).size).toBe(listed.length);
    const all = (await get(manual, "?limit=1000")).body.items.map(({ status }: { status: string }) => status);
    expect(all).toEqual(expect.arrayContaining(["open", "shipped", "failed", "cancelled"]));
    expect((await get(manual, "?status=shipped&limit=1")).body.items).toMatchObject([{ status: "shipped" }]);
  });

  it.each(["?status=called_off", "?status=x", "?after=x", "?limit=0", "?colour=red"])(
    "does not list %s",
    async (query) => expect((await get(manual, query)).status).toBe(422),
  );

  it.each([
    ["ship", { lines: [] }],
    ["ship", { lines: [{ ...line, quantity: 0 }] }],
    ["ship", { tracking: "" }],
    ["ship", { carrier: "a\nb" }],
    ["ship", { colour: "red" }],
    ["fail", {}],
    ["fail", { detail: "" }],
  ])("takes for %s no %j", async (deed, body) => {
    expect((await post(manual, `${fresh()}/${deed}`, body)).status).toBe(422);
  });

  it.each(wrongIds.filter(([, id]) => typeof id === "string" && id !== "" && !id.includes("/")))(
    "takes no id that is %s",
    async (_, id) => {
      expect((await get(manual, `/${encodeURIComponent(String(id))}`)).status).toBe(422);
    },
  );
});

describe("looking back", () => {
  it("counts shipments by what came of them", async () => {
    const text = await manual.registry.metrics();
    for (const outcome of ["partly_shipped", "shipped", "failed", "cancelled"]) {
      expect(text).toMatch(new RegExp(`fulfillment_shipments_total\\{outcome="${outcome}"\\} [1-9]`));
    }
  });

  it("the log explains every shipment, and a changed row is found", async () => {
    const verify = () => manual.service.verify(readerOf(pool), () => {});
    expect((await verify()).flatMap(({ violations }) => violations)).toEqual([]);
    const id = await openManual();
    await pool.query("update fulfillment.shipments set reservation_id = 'other' where id = $1", [id]);
    const [fold] = await verify();
    expect(fold!.violations).toEqual([expect.stringContaining(id)]);
    await pool.query("delete from fulfillment.shipments where id = $1", [id]);
    expect((await verify())[0]!.violations).not.toEqual([]);
  });
});
