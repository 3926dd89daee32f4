import { afterAll, beforeAll, expect, onTestFinished, vi } from "vitest";
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../holdfast.ts";
import { transact } from "../platform/batch/transaction.ts";
import type { BusEvent, Subscription } from "../platform/bus/port.ts";
import { busEventsOf } from "../platform/bus/postgres/log-row.ts";
import { registerBusRoutes } from "../platform/bus/routes.ts";
import { registerEventRoutes } from "../platform/log/routes.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { onSnapshot } from "../platform/postgres/snapshot.ts";
import { readerOf } from "../platform/postgres/statement.ts";
import { serviceNames } from "../platform/settings.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import type { Line } from "../services/inventory/contract.ts";
import { useTestDatabase } from "./database.ts";
import { startServer, type TestServer } from "./http-server.ts";

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type HttpAnswer = Awaited<ReturnType<TestServer["call"]>>;

export type ShopOptions = Omit<HoldfastOptions, "databaseUrl" | "logger">;

/** The whole engine behind HTTP, on a database of its own. LowStock is announced at 2. */
export function useShop(options: ShopOptions = {}): Shop {
  const database = useTestDatabase();
  const shop = new Shop();
  beforeAll(() => shop.open(database.url, options));
  afterAll(() => shop.close());
  return shop;
}

export interface WantedOrder {
  readonly lines: readonly Line[];
  readonly token?: string;
  readonly customer_id?: string;
  /** The Idempotency-Key. */
  readonly key?: string;
  /** Seconds to wait for the outcome. */
  readonly wait?: number;
}

const patient = { timeout: 25_000, interval: 20 };

export class Shop {
  engine!: Holdfast;
  /** The test's own way to the database. */
  pool!: Pool;
  url!: string;
  private server!: TestServer;
  private named = 0;
  private readonly products = new Map<string, string>();

  async open(databaseUrl: string, options: ShopOptions = {}): Promise<void> {
    const logger = createLogger("silent");
    this.url = databaseUrl;
    this.engine = await createHoldfast({ databaseUrl, lowStockThreshold: 2, logger, ...options });
    this.pool = createPool(databaseUrl, { max: 4, name: "test" });
    this.server = await startServer(
      (app) => {
        for (const service of this.engine.services) service.registerRoutes(app);
        registerEventRoutes(app, readerOf(this.pool), serviceNames);
        registerBusRoutes(app, this.engine.bus);
      },
      { bodyLimitBytes: 1_048_576 },
    );
  }

  async close(): Promise<void> {
    // A connection whose last request was answered while the server stops would keep it from ending.
    const idle = setInterval(() => this.server?.app.server.closeIdleConnections(), 20);
    await this.server?.app.close();
    clearInterval(idle);
    await this.engine?.close();
    await this.pool?.end();
  }

  // ---- asking ------------------------------------------------------------------------------------------------------

  send({ method, path, body, headers = {} }: HttpRequest): Promise<HttpAnswer> {
    if (body === undefined) return this.server.call(path, { method, headers });
    return this.server.call(path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  get(path: string): Promise<HttpAnswer> {
    return this.send({ method: "GET", path });
  }

  put(path: string, body: unknown, headers?: Record<string, string>): Promise<HttpAnswer> {
    return this.send({ method: "PUT", path, body, ...(headers && { headers }) });
  }

  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<HttpAnswer> {
    return this.send({ method: "POST", path, body, ...(headers && { headers }) });
  }

  /** Asks, and is answered with a problem document, and nothing has changed. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows which members the problem has.
  async refused(request: HttpRequest, status: number, code: string, field?: string): Promise<any> {
    const before = await this.changes();
    const { headers, ...answer } = await this.send(request);
    expect(answer).toMatchObject({ status, body: { status, code } });
    expect(headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(answer.body.type).toBe(`https://holdfast.dev/problems/${code}`);
    expect(answer.body.title).toMatch(/\w/);
    expect(answer.body.detail).toMatch(/\w/);
    if (field !== undefined) {
      expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
    }
    expect(await this.changes()).toBe(before);
    return answer.body;
  }

  /** All items of a list, so many at a time. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it lists.
  async pages(path: string, limit: number): Promise<any[]> {
    const items: unknown[] = [];
    let next: string | null = null;
    do {
      const url = new URL(path, "http://any");
      url.searchParams.set("limit", String(limit));
      if (next !== null) url.searchParams.set("after", next);
      const { status, body } = await this.get(url.pathname + url.search);
      expect(status).toBe(200);
      expect(body.items.length).toBeLessThanOrEqual(limit);
      items.push(...body.items);
      next = body.next;
    } while (next !== null);
    return items;
  }

  delete(path: string): Promise<HttpAnswer> {
    return this.send({ method: "DELETE", path });
  }

  // ---- orders ------------------------------------------------------------------------------------------------------

  order({ lines, token = "tok_ok", customer_id = "anna", key, wait }: WantedOrder): Promise<HttpAnswer> {
    const body = { customer_id, lines, payment: { token } };
    return this.post("/v1/orders", body, {
      "idempotency-key": key ?? this.fresh("request"),
      ...(wait !== undefined && { prefer: `wait=${wait}` }),
    });
  }

  /** The id of a new order. */
  async ordered(wanted: WantedOrder): Promise<string> {
    const { status, body } = await this.order(wanted);
    expect({ status, body }).toMatchObject({ status: 202, body: { id: expect.any(String) } });
    return body.id;
  }

  cancel(id: string, wait?: number): Promise<HttpAnswer> {
    const prefer = wait === undefined ? undefined : { prefer: `wait=${wait}` };
    return this.post(`/v1/orders/${id}/cancel`, { reason: "changed my mind" }, prefer);
  }

  /** What is answered there, as soon as it looks like this. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  async shows(path: string, expected: object): Promise<any> {
    return vi.waitFor(async () => {
      const { body } = await this.get(path);
      expect(body).toMatchObject(expected);
      return body;
    }, patient);
  }

  /** The order, as soon as it has come so far. */
  async becomes(id: string, status: string) {
    return this.shows(`/v1/orders/${id}`, { status });
  }

  async timeline(id: string) {
    const { status, body } = await this.get(`/v1/orders/${id}/timeline`);
    expect(status).toBe(200);
    return body;
  }

  /** What its timeline says that happened, in that order. */
  async story(id: string): Promise<string[]> {
    return (await this.timeline(id)).items.map(({ type }: { type: string }) => type);
  }

  /** On hand, reserved and available. */
  async stock(sku: string): Promise<[number, number, number]> {
    const { body } = await this.get(stockPath(sku));
    return [body.quantity_on_hand, body.quantity_reserved, body.quantity_available];
  }

  async stockIs(sku: string, onHand: number, reserved: number): Promise<void> {
    const expected = [onHand, reserved, onHand - reserved];
    await vi.waitFor(async () => expect(await this.stock(sku)).toEqual(expected), patient);
  }

  // ---- what goes wrong ---------------------------------------------------------------------------------------------

  /** The group handles nothing until what this answers is called: somebody else has its cursors. */
  async holdUp(group: string): Promise<() => Promise<void>> {
    const client = await this.pool.connect();
    await client.query("begin");
    await client.query(`select from ${group}.cursors order by topic for update`);
    let isHeldUp = true;
    const letGo = async () => {
      if (!isHeldUp) return;
      isHeldUp = false;
      await client.query("rollback");
      client.release();
    };
    onTestFinished(letGo);
    return letGo;
  }

  /** Puts something between the bus and a service. */
  intercept(group: string, wrap: (handle: Subscription["handle"]) => Subscription["handle"]): void {
    const subscription = this.subscriptionOf(group) as {
      -readonly [Key in keyof Subscription]: Subscription[Key];
    };
    subscription.handle = wrap(subscription.handle.bind(subscription));
  }

  /** Hands events to a service from outside, in this order, as far as it listens to them. */
  async deliver(group: string, events: readonly BusEvent[]): Promise<void> {
    const { topics, handle } = this.subscriptionOf(group);
    const heard = events.filter(({ topic, type }) => topics[topic]?.includes(type));
    const afterCommit = await transact(this.pool, (tx) => handle(tx, heard));
    afterCommit?.();
  }

  /** Everything that was ever said, topic by topic, as the bus brings it. */
  async said(): Promise<BusEvent[]> {
    const logs = serviceNames.map(async (topic) => {
      const { rows } = await this.pool.query(
        `select position, at, events from ${topic}.log order by position`,
      );
      return rows.flatMap((row) => busEventsOf(topic, row));
    });
    return (await Promise.all(logs)).flat();
  }

  private subscriptionOf(group: string): Subscription {
    return this.engine.services.find(({ name }) => name === group)!.subscription!;
  }

  // ---- what must be true when all is done --------------------------------------------------------------------------

  /** All that was written has been handled, and every payment is settled. */
  async settled(): Promise<void> {
    await vi.waitFor(async () => {
      const { body } = await this.get("/v1/consumers");
      const isBehind = ({ group, lag, retrying }: Progress) => lag + retrying > 0 && group !== "storefront";
      expect(body.items.filter(isBehind)).toEqual([]);
      const { rows } = await this.pool.query(
        `select id, status from payments.payments where status in ('open', 'charging', 'refunding')
         union all select id, status from fulfillment.shipments where status = 'handing_over'`,
      );
      expect(rows).toEqual([]);
    }, patient);
  }

  /** Every order has ended, nothing is held, the bank has what was bought and no more, and every promise is kept. */
  async addsUp(): Promise<void> {
    await this.settled();
    const open = `select id, status from orders.orders where ended_as is null`;
    expect((await this.pool.query(open)).rows).toEqual([]);
    const held = `select store_id, sku, quantity_reserved from inventory.stock where quantity_reserved <> 0`;
    expect((await this.pool.query(held)).rows).toEqual([]);
    const { rows } = await this.pool.query(
      `select (select coalesce(sum(total_minor), 0)::float8 from orders.orders where status = 'completed') as sold,
              (select coalesce(sum(amount_minor - refunded_minor), 0)::float8 from payments.simulated_bank
               where status = 'succeeded' or status = 'pending' and settles_at <= now()) as taken`,
    );
    expect(rows[0].taken, "what the bank has is what was sold").toBe(rows[0].sold);
    expect((await this.get("/v1/dead-letters")).body.items).toEqual([]);
    expect(await this.violations()).toEqual([]);
  }

  /** Whatever the services know and have said: equal only if nothing at all has happened in between. */
  async everything(): Promise<Record<string, unknown>> {
    const tables = ["orders.orders", "inventory.stock", "inventory.reservations", "payments.payments"]
      .concat(["payments.simulated_bank", "fulfillment.shipments", "carts.carts"])
      .concat(serviceNames.map((name) => `${name}.log`));
    const contents = tables.map(async (table) => {
      const { rows } = await this.pool.query(`select to_json(t)::text as row from ${table} t order by 1`);
      return [table, rows.map(({ row }) => row)];
    });
    return Object.fromEntries(await Promise.all(contents));
  }

  /** What the services find broken, all of them at the same moment. */
  async violations(): Promise<string[]> {
    return onSnapshot(this.pool, async (database) => {
      const found: string[] = [];
      for (const service of this.engine.services) {
        const findings = await service.verify(database, () => {});
        found.push(...findings.flatMap(({ violations }) => violations));
      }
      return found;
    });
  }

  // ---- what is there -----------------------------------------------------------------------------------------------

  /** A name that this test file has not used yet. */
  fresh(kind: string): string {
    return `${kind}-${++this.named}`;
  }

  /** A new SKU with so many on hand in the store `main`. */
  async stocked(quantity: number, sku = this.fresh("sku")): Promise<string> {
    await this.priced(sku, 250);
    if (quantity > 0) await this.engine.count({ store_id: "main", sku }, quantity, { reason: "found" });
    return sku;
  }

  async priced(sku: string, price_minor: number): Promise<void> {
    const content = { name: sku, skus: [{ sku, price_minor, currency: "EUR" }] };
    expect(await this.engine.putProduct(this.productOf(sku), content)).toMatchObject({ accepted: true });
  }

  /** Each SKU is a product of its own. */
  productOf(sku: string): string {
    const id = this.products.get(sku) ?? this.fresh("product");
    this.products.set(sku, id);
    return id;
  }

  /** A new reservation. */
  async held(...lines: Line[]): Promise<string> {
    const id = this.fresh("hold");
    expect(await this.engine.reserve(id, lines)).toMatchObject({ accepted: true });
    return id;
  }

  /** Every change stands in a log. */
  async changes(): Promise<number> {
    const { rows } = await this.pool.query(
      "select (select count(*) from inventory.log) + (select count(*) from catalog.log) as changes",
    );
    return rows[0].changes;
  }

  /** The data of the events of this type about this subject. */
  async events(type: string, subject: string): Promise<unknown[]> {
    const { rows } = await this.pool.query(
      `select event -> 'data' as data from inventory.log, json_array_elements(events::json) as event
       where event ->> 'type' = $1 and event ->> 'subject' = $2 order by position`,
      [type, subject],
    );
    return rows.map(({ data }) => data);
  }
}

/** The storefront says only now and then how far it has come. */
interface Progress {
  readonly group: string;
  readonly lag: number;
  readonly retrying: number;
}

export function line(sku: string, quantity: number, store_id = "main"): Line {
  return { store_id, sku, quantity };
}

export function stockPath(sku: string, store_id = "main"): string {
  return `/v1/stock/${encodeURIComponent(store_id)}/${encodeURIComponent(sku)}`;
}
