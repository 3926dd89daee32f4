import { connect } from "node:net";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CollectedSpan, type Collector, startCollector } from "../../testing/collector.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { type BatchHandler, Road } from "../batch/road.ts";
import { traceRequests } from "../http/request-context.ts";
import { type EventRecord, logWriter } from "../log/append.ts";
import { readLog } from "../log/read.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { readerOf } from "../postgres/statement.ts";
import { logMigrations } from "../service.ts";
import { createTracer, type ExportingTracer, untraced } from "./tracer.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const callerId = "00f067aa0ba902b7";
const sampled = `00-${traceId}-${callerId}-01`;
const unsampled = `00-${traceId}-${callerId}-00`;

let collector: Collector;
let tracer: ExportingTracer;
let log: Record<string, unknown>[];

async function startTracer(options: { ratio?: number } = {}): Promise<ExportingTracer> {
  const logger = pino({ level: "debug" }, { write: (line) => log.push(JSON.parse(line)) });
  return createTracer({ url: `${collector.url}/`, serviceName: "shop", logger, ...options });
}

beforeEach(async () => {
  log = [];
  collector = await startCollector();
  tracer = await startTracer();
});
afterEach(async () => {
  await tracer.shutdown();
  await collector.close();
});

/** The steps that the collector has got once the tracer has sent them all. */
async function exported(): Promise<CollectedSpan[]> {
  await tracer.shutdown();
  return collector.spans.toSorted((a, b) => (a.started_at < b.started_at ? -1 : 1));
}

const describeEvent = ({ id }: { id: string }) => ({ name: "inventory OrderCreated", attributes: { id } });

describe("a step", () => {
  it("hangs below the one that its item came from, and is the parent of what the item causes", async () => {
    const first = tracer.begin([{ id: "a", traceparent: sampled }], describeEvent);
    const second = tracer.begin(first.items, describeEvent);
    second.end();
    first.end();
    const [outer, inner] = await exported();
    expect(outer).toMatchObject({
      service: "shop",
      name: "inventory OrderCreated",
      attributes: { id: "a" },
      trace_id: traceId,
      parent_span_id: callerId,
      status: 0,
    });
    expect(inner).toMatchObject({ trace_id: traceId, parent_span_id: outer!.span_id });
    expect(first.items[0]!.traceparent).toBe(`00-${traceId}-${outer!.span_id}-01`);
    expect(second.items[0]!.traceparent).toBe(`00-${traceId}-${inner!.span_id}-01`);
    expect(outer!.ended_at >= inner!.ended_at && inner!.started_at >= outer!.started_at).toBe(true);
  });

  it("belongs to its own item: others are handed on as they are, in their places", async () => {
    const items = [
      { id: "plain" },
      { id: "traced", traceparent: sampled },
      { id: "unsampled", traceparent: unsampled },
      { id: "broken", traceparent: "nonsense" },
    ];
    const step = tracer.begin(items, describeEvent);
    expect(step.items.map(({ id }) => id)).toEqual(items.map(({ id }) => id));
    for (const index of [0, 2, 3]) expect(step.items[index]).toBe(items[index]);
    expect(items[1]!.traceparent).toBe(sampled);
    step.end();
    expect((await exported()).map(({ attributes }) => attributes.id)).toEqual(["traced"]);
  });

  it("copies nothing when there is nothing to record", () => {
    const items = [{ id: "a", traceparent: unsampled }, { id: "b" }];
    expect(tracer.begin(items, describeEvent).items).toBe(items);
    const traced = [{ id: "a", traceparent: sampled }];
    expect(untraced.begin(traced, describeEvent).items).toBe(traced);
  });

  it("keeps flags that are not ours to understand", () => {
    const { items } = tracer.begin([{ id: "a", traceparent: `00-${traceId}-${callerId}-03` }], describeEvent);
    expect(items[0]!.traceparent).toMatch(/-03$/);
  });

  it.each([
    [new TypeError("no such thing"), "TypeError", "no such thing"],
    [Object.assign(new Error("gone"), { code: "ECONNRESET" }), "ECONNRESET", "gone"],
    [null, "object", "null"],
  ])("that failed says so: %s", async (error, type, message) => {
    tracer.begin([{ id: "a", traceparent: sampled }], describeEvent).end(error);
    expect(await exported()).toMatchObject([{ status: 2, message, attributes: { "error.type": type } }]);
  });

  it("that is never ended is never seen", async () => {
    tracer.begin([{ id: "a", traceparent: sampled }], describeEvent);
    expect(await exported()).toEqual([]);
  });
});

describe("a request", () => {
  let server: TestServer;
  let seen: string[];

  async function serve(with_: ExportingTracer): Promise<void> {
    seen = [];
    server = await startServer((app) => {
      traceRequests(app, with_);
      app.get("/v1/things/:id", { config: { scope: "read" } }, async ({ trace }) => {
        seen.push(trace.traceparent);
        return {};
      });
      app.get("/v1/broken", { config: { scope: "read" } }, () => Promise.reject(new Error("a defect")));
      app.get("/v1/slow", { config: { scope: "read" } }, async ({ trace }) => {
        seen.push(trace.traceparent);
        await new Promise(() => {});
      });
      app.get("/open", async () => ({}));
    });
  }
  afterEach(() => server.app.close());

  it("is a step with its route and status; without a caller's trace it begins one", async () => {
    await serve(tracer);
    await server.call("/v1/things/7");
    await server.call("/open");
    const spans = await exported();
    expect(spans).toMatchObject([
      {
        name: "GET /v1/things/:id",
        kind: 2,
        parent_span_id: undefined,
        status: 0,
        attributes: {
          "http.request.method": "GET",
          "http.route": "/v1/things/:id",
          "http.response.status_code": 200,
        },
      },
    ]);
    expect(seen).toEqual([`00-${spans[0]!.trace_id}-${spans[0]!.span_id}-01`]);
  });

  it("goes on with its caller's trace, and hands it on unsampled when it is", async () => {
    await serve(tracer);
    await server.call("/v1/things/7", { headers: { traceparent: sampled } });
    await server.call("/v1/things/7", { headers: { traceparent: unsampled } });
    const spans = await exported();
    expect(spans).toMatchObject([{ trace_id: traceId, parent_span_id: callerId }]);
    expect(seen[0]).toBe(`00-${traceId}-${spans[0]!.span_id}-01`);
    expect(seen[1]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  });

  it("begins a trace that nobody records when it is not among the share that is", async () => {
    const sparing = await startTracer({ ratio: 0 });
    await serve(sparing);
    await server.call("/v1/things/7");
    await sparing.shutdown();
    expect(seen[0]).toMatch(/-00$/);
    expect(collector.spans).toEqual([]);
  });

  it("that failed, or was turned away at the door, is seen with its status", async () => {
    server = await startServer(
      (app) => {
        traceRequests(app, tracer);
        app.get("/v1/things/:id", { config: { scope: "read" } }, async () => ({}));
      },
      { keys: { required: true, find: () => undefined, search: async () => undefined } },
    );
    await server.call("/v1/things/7");
    await server.app.close();
    await serve(tracer);
    await server.call("/v1/broken");
    const statuses = (await exported()).map(({ status, attributes }) => [
      status,
      attributes["http.response.status_code"],
    ]);
    expect(statuses).toEqual([
      [0, 401],
      [2, 500],
    ]);
  });

  it("whose caller goes away is seen without a status", async () => {
    await serve(tracer);
    const caller = connect(Number(new URL(server.url).port), "127.0.0.1");
    caller.write("GET /v1/slow HTTP/1.1\r\nhost: shop\r\n\r\n");
    await expect.poll(() => seen).toHaveLength(1);
    caller.destroy();
    await expect.poll(() => collector.spans).toHaveLength(1);
    expect(collector.spans[0]!.attributes).not.toHaveProperty("http.response.status_code");
  });
});

describe("a collector that is in trouble", () => {
  it("costs a line in the log, and nobody's work", async () => {
    collector.status = 400;
    for (let i = 0; i < 1_500; i++) tracer.begin([{ id: "a", traceparent: sampled }], describeEvent).end();
    await tracer.shutdown();
    const complaints = () => log.filter(({ level }) => level === 40);
    await expect.poll(complaints).toMatchObject([{ msg: expect.stringContaining("they are lost") }]);
    expect(complaints()[0]!.lost).toBeGreaterThan(0);
  });

  it("is not waited for when it does not answer", async () => {
    collector.status = undefined;
    tracer.begin([{ id: "a", traceparent: sampled }], describeEvent).end();
    await expect(tracer.shutdown()).resolves.toBeUndefined();
  });
});

describe("the steps of an order", () => {
  const database = useTestDatabase();
  let pool: Pool;
  beforeAll(async () => {
    await migrate(database.url, [logMigrations("ordering"), logMigrations("stocking")]);
    pool = createPool(database.url, { max: 4, name: "traces" });
    await pool.query("create table stocking.held (quantity int not null check (quantity < 100))");
  });
  afterAll(() => pool.end());
  beforeEach(() => pool.query("truncate ordering.log, stocking.log, stocking.held"));

  interface Command {
    readonly type: string;
    readonly order_id: string;
    readonly quantity: number;
    readonly traceparent?: string;
  }

  /** A service that writes one event for each command, with the trace that the command came with. */
  function service(name: "ordering" | "stocking", type: string): Road<Command, null> {
    const writer = logWriter(name);
    const handle: BatchHandler<Command, null> = async (tx, commands) => {
      const mark = await writer.mark(tx);
      const insert = {
        name: "traces_hold",
        text: "insert into stocking.held select * from unnest($1::int[])",
      };
      tx.write(insert, [commands.map(({ quantity }) => quantity)]);
      const events = commands.map(
        ({ order_id, traceparent, ...data }): EventRecord => ({
          type,
          subject: order_id,
          data,
          ...(traceparent === undefined ? {} : { traceparent }),
        }),
      );
      writer.append(tx, mark, events);
      return commands.map(() => null);
    };
    return new Road({ pool, handle, maxWaiting: 100, tracer, service: name });
  }

  const eventsOf = async (schema: string) =>
    (await readLog(readerOf(pool), schema, 0, 100)).flatMap(({ events }) => events);

  it("are one trace from the request over the road and the log to the next service", async () => {
    const orders = service("ordering", "OrderCreated");
    const stock = service("stocking", "StockHeld");
    const server = await startServer((app) => {
      traceRequests(app, tracer);
      app.post("/v1/orders", { config: { scope: "sell" } }, async (request, reply) => {
        const { traceparent } = request.trace;
        await orders.submit({ type: "CreateOrder", order_id: "o1", quantity: 1, traceparent });
        return reply.code(202).send({});
      });
    });
    await server.call("/v1/orders", { method: "POST", headers: { traceparent: sampled } });
    await server.app.close();
    const [created] = await eventsOf("ordering");
    const handOn = created!.traceparent === undefined ? {} : { traceparent: created!.traceparent };
    await stock.submit({ type: "HoldStock", order_id: created!.subject, quantity: 1, ...handOn });

    const [request, create, hold, ...others] = await exported();
    expect(others).toEqual([]);
    expect(request).toMatchObject({
      name: "POST /v1/orders",
      trace_id: traceId,
      parent_span_id: callerId,
      attributes: { "http.response.status_code": 202 },
    });
    expect(create).toMatchObject({
      name: "ordering CreateOrder",
      trace_id: traceId,
      parent_span_id: request!.span_id,
      attributes: { order_id: "o1" },
    });
    expect(hold).toMatchObject({
      name: "stocking HoldStock",
      trace_id: traceId,
      parent_span_id: create!.span_id,
    });
    expect((await eventsOf("stocking"))[0]!.traceparent).toBe(`00-${traceId}-${hold!.span_id}-01`);
  });

  it("fail alone: of a batch that was halved, each command is one step, and the log names the one that counts", async () => {
    const stock = service("stocking", "StockHeld");
    const outcomes = await Promise.allSettled(
      Array.from({ length: 9 }, (_, i) =>
        stock.submit({
          type: "HoldStock",
          order_id: `o${i}`,
          quantity: i === 4 ? 100 : 1,
          traceparent: sampled,
        }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([outcomes[4]]);
    const spans = await exported();
    expect(spans.map(({ attributes }) => attributes.order_id).toSorted()).toEqual(
      Array.from({ length: 9 }, (_, i) => `o${i}`),
    );
    expect(spans.filter(({ status }) => status === 2)).toMatchObject([
      { attributes: { order_id: "o4", "error.type": "23514" } },
    ]);
    const logged = await eventsOf("stocking");
    const spanOf = new Map(spans.map((span) => [span.attributes.order_id, span.span_id]));
    expect(logged.map(({ traceparent }) => traceparent)).toEqual(
      logged.map(({ subject }) => `00-${traceId}-${spanOf.get(subject)}-01`),
    );
  });

  it("are no step of a trace that they do not belong to", async () => {
    const orders = service("ordering", "OrderCreated");
    await orders.submit({ type: "CreateOrder", order_id: "o1", quantity: 1 });
    expect(await exported()).toEqual([]);
  });
});
