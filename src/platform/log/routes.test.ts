import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeCursor } from "../../kernel/page.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { smallSizes, usePartitions } from "../../testing/small-partitions.ts";
import { type Transaction, transact } from "../batch/transaction.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { readerOf } from "../postgres/statement.ts";
import { logMigrations } from "../service.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createRegistry } from "../telemetry/metrics.ts";
import { type EventRecord, logWriter } from "./append.ts";
import type { DroppedRange } from "./drop.ts";
import { logKeeper } from "./retention.ts";
import { registerEventRoutes } from "./routes.ts";

const database = useTestDatabase();
const schemas = ["orders", "billing"];
let pool: Pool;
let server: TestServer;

beforeAll(async () => {
  await migrate(database.url, schemas.map(logMigrations));
  pool = createPool(database.url, { max: 4, name: "test" });
  server = await startServer((app) => registerEventRoutes(app, readerOf(pool), schemas));
});
afterAll(async () => {
  await server.app.close();
  await pool.end();
});

function write(schema: string, ...events: EventRecord[]): Promise<void> {
  const log = logWriter(schema);
  return transact(pool, async (tx) => log.append(tx, await log.mark(tx), events));
}

const event = (type: string, subject: string): EventRecord => ({ type, subject, data: { of: subject } });

async function read(query = "") {
  const { body } = await server.call(`/v1/events${query}`);
  return body as { items: { id: string; type: string; subject: string }[]; next: string };
}

async function readAll(query: string): Promise<string[]> {
  const subjects: string[] = [];
  for (let { items, next } = await read(`?${query}`); ; ) {
    subjects.push(...items.map(({ subject }) => subject));
    if (items.length === 0) return subjects;
    ({ items, next } = await read(`?${query}&after=${next}`));
  }
}

describe("the feed of events", () => {
  it("starts empty, and its next finds what comes later: what it belongs to, but no means of payment", async () => {
    const { items, next } = await read();
    expect(items).toEqual([]);
    const data = { order_id: "o1", payment: { token: "tok_ok" } };
    const context = { cause: "billing-0-0", traceparent: "00-a-b-01" };
    await write("orders", { type: "OrderPlaced", subject: "o1", data, ...context });
    expect((await read(`?after=${next}`)).items).toEqual([
      {
        specversion: "1.0",
        id: "orders-1-0",
        source: "/holdfast/orders",
        type: "OrderPlaced",
        subject: "o1",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        datacontenttype: "application/json",
        partitionkey: "o1",
        correlationid: "o1",
        causationid: "billing-0-0",
        traceparent: "00-a-b-01",
        data: { order_id: "o1", payment: {} },
      },
    ]);
  });

  it("merges the logs by time and goes on in the middle of a batch", async () => {
    await write("billing", event("Billed", "o1"), event("Billed", "o2"), event("Billed", "o3"));
    // What is written within a millisecond has the same time.
    await pool.query("update orders.log set at = at - interval '2 seconds'");
    await pool.query("update billing.log set at = at - interval '1 second'");
    await write("orders", event("OrderShipped", "o1"), event("OrderShipped", "o2"));
    const expected = ["o1", "o1", "o2", "o3", "o1", "o2"];
    expect(await readAll("limit=1")).toEqual(expected);
    expect(await readAll("limit=2")).toEqual(expected);
    expect((await read()).items.map(({ subject }) => subject)).toEqual(expected);
  });

  it("goes on behind a batch that ends before the place that it is given", async () => {
    await write("orders", event("OrderPlaced", "o7"), event("OrderPlaced", "o8"));
    const { next } = await read("?subject=o7&limit=1");
    const forged = (JSON.parse(Buffer.from(next, "base64url").toString()) as (string | number)[]).map(
      (part, index, parts) => (parts[index - 2] === "orders" ? 999 : part),
    );
    await write("orders", event("OrderPlaced", "o9"));
    const { items } = await read(`?after=${encodeCursor(forged)}`);
    expect(items.map(({ subject }) => subject)).toEqual(["o9"]);
  });

  it("filters by type and subject", async () => {
    expect(await readAll("limit=1&type=Billed")).toEqual(["o1", "o2", "o3"]);
    expect((await read("?subject=o2")).items.map(({ type }) => type)).toEqual(["Billed", "OrderShipped"]);
  });

  it("looks at a bounded part of the log at once, and what lies behind it is found by going on", async () => {
    for (let i = 0; i < 520; i++) await write("orders", event("Noise", "n"));
    await write("orders", event("Signal", "s"));
    const { items, next } = await read("?type=Signal");
    expect(items).toEqual([]);
    expect((await read(`?type=Signal&after=${next}`)).items).toHaveLength(1);
  });

  it("leaves out what a transaction that still runs might overtake, and shows it later in its place", async () => {
    const { next } = await read("?limit=1000&type=Noise");
    const log = logWriter("orders");
    await transact(pool, async (tx) => {
      const mark = await log.mark(tx);
      await write("orders", event("OrderPlaced", "late"));
      expect((await read(`?after=${next}&subject=late`)).items).toEqual([]);
      log.append(tx, mark, [event("OrderPlaced", "early")]);
    });
    const { items } = await read(`?after=${next}&type=OrderPlaced`);
    expect(items.map(({ subject }) => subject)).toEqual(["early", "late"]);
  });

  it.each(["nonsense", Buffer.from('["orders","x",1,"billing",1,1]').toString("base64url")])(
    "refuses the cursor %s",
    async (after) => {
      const { status, body } = await server.call(`/v1/events?after=${after}`);
      expect([status, body.code, body.errors[0].field]).toEqual([422, "request.invalid", "after"]);
    },
  );
});

describe("the feed of a log whose beginning was dropped", () => {
  beforeAll(async () => {
    for (const schema of schemas) await usePartitions(pool, schema);
    for (let n = 1; n <= 12; n++) await write("orders", event("OrderPlaced", `o${n}`));
  });

  function dropOld(): Promise<void> {
    // What a service keeps of the dropped part is for those who follow it, not for the feed.
    const snapshot = {
      async take(tx: Transaction, { position, at }: DroppedRange) {
        const text = "insert into orders.log_base (position, at, events) values ($1, $2, $3)";
        tx.write({ name: "", text }, [position, at, JSON.stringify([event("Summary", "all")])]);
      },
      forget: async () => true,
    };
    return logKeeper({
      pool,
      schemas: [{ schema: "orders", days: 1e-9, snapshot }],
      logger: createLogger("warn"),
      registry: createRegistry(),
      sizes: smallSizes,
    }).run();
  }

  it("begins with what is kept, and refuses to go on where events would be missing", async () => {
    const { next: early } = await read("?limit=4");
    const { next: late } = await read("?limit=10");
    await dropOld();
    expect((await read()).items.map(({ subject }) => subject)).toEqual(["o11", "o12"]);
    expect(await readAll("limit=1")).toEqual(["o11", "o12"]);
    expect((await read(`?after=${late}`)).items.map(({ subject }) => subject)).toEqual(["o11", "o12"]);
    const { status, body } = await server.call(`/v1/events?after=${early}`);
    expect([status, body.code]).toEqual([410, "log.before_horizon"]);
    expect(body.detail).toContain("orders");
  });
});
