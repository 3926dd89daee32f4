import { afterAll, beforeAll, expect, onTestFinished, vi } from "vitest";
import type { Holdfast } from "../holdfast.ts";
import { transact } from "../platform/batch/transaction.ts";
import type { BusEvent, Subscription } from "../platform/bus/port.ts";
import { busEventsOf } from "../platform/bus/postgres/log-row.ts";
import type { Pool } from "../platform/postgres/pool.ts";
import { serviceNames } from "../platform/settings.ts";
import { verifyServices } from "../platform/verify.ts";
import type { Line } from "../services/inventory/contract/index.ts";
import { House, type HouseOptions } from "./house.ts";
import type { TestServer } from "./http-server.ts";
import { patience } from "./patience.ts";

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type HttpAnswer = Awaited<ReturnType<TestServer["call"]>>;

/** The whole engine behind HTTP, on databases of its own. LowStock is announced at 2. */
export function useShop(options: HouseOptions | (() => HouseOptions) = {}): Shop {
  const shop = new Shop();
  beforeAll(() => shop.open(typeof options === "function" ? options() : options));
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

/** Which service answers what begins like this. */
const answering: Readonly<Record<string, string>> = {
  products: "catalog",
  stock: "inventory",
  reservations: "inventory",
  shipments: "fulfillment",
  availability: "storefront",
};

const nobody = { group: "", topics: {} };

export class Shop {
  private readonly house = new House();
  private named = 0;
  private readonly products = new Map<string, string>();
  private readonly heldUp = new Set<string>();

  open(options: HouseOptions): Promise<void> {
    return this.house.open(options);
  }

  close(): Promise<void> {
    return this.house.close();
  }

  /** Where this service runs. */
  engineOf(service: string): Holdfast {
    return this.house.partOf(service).engine;
  }

  databaseUrlOf(service: string): string {
    return this.house.partOf(service).databaseUrl;
  }

  /** The test's own way to the database of a service. */
  poolOf(service: string): Pool {
    return this.house.partOf(service).pool;
  }

  // ---- asking ------------------------------------------------------------------------------------------------------

  send({ method, path, body, headers = {} }: HttpRequest): Promise<HttpAnswer> {
    const server = this.serverOf(path);
    if (body === undefined) return server.call(path, { method, headers });
    return server.call(path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  /** The events of all services, as their feeds tell them. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it looks for.
  async feed(limit: number): Promise<any[]> {
    const events: unknown[] = [];
    for (const { server } of this.house.all) {
      for (let after = ""; ; ) {
        const { body } = await server.call(`/v1/events?limit=${limit}${after && `&after=${after}`}`);
        if (body.items.length === 0) break;
        events.push(...body.items);
        after = body.next;
      }
    }
    return events;
  }

  private serverOf(path: string): TestServer {
    const [, , noun = "", name = ""] = path.split(/[/?]/);
    const service = noun === "consumers" ? name : (answering[noun] ?? noun);
    const isService = serviceNames.some((known) => known === service);
    return this.house.partOf(isService ? service : "orders").server;
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

  /** The value of a series such as `bus_broker_up{broker="kafka"}` where this service runs. */
  async metric(service: string, series: string): Promise<number | undefined> {
    const response = await fetch(`${this.house.partOf(service).server.url}/metrics`);
    const line = (await response.text()).split("\n").find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
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

  /** How a new order has ended, which may take longer than a request can wait. */
  async outcome(wanted: WantedOrder) {
    const { body } = await this.order({ wait: 30, ...wanted });
    return this.shows(`/v1/orders/${body.id}`, { deadline: null });
  }

  /** A new order for which the bank has been asked, and takes its time until `moneyComes`. */
  async unpaid(lines: Line[]): Promise<string> {
    const id = await this.ordered({ lines, token: "tok_late_3600" });
    const asked = "select from payments.simulated_bank where id = $1 and status = 'pending'";
    await vi.waitFor(async () => {
      expect((await this.poolOf("payments").query(asked, [id])).rowCount).toBe(1);
    }, patience);
    return id;
  }

  /** The bank says yes. */
  async moneyComes(id: string): Promise<void> {
    const settle = "update payments.simulated_bank set settles_at = clock_timestamp() where id = $1";
    await this.poolOf("payments").query(settle, [id]);
  }

  async holdRunsOut(id: string): Promise<void> {
    const runOut =
      "update inventory.reservations set expires_at = now(), sweep_at = now() where order_id = $1";
    await this.poolOf("inventory").query(runOut, [id]);
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
    }, patience);
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
    await vi.waitFor(async () => expect(await this.stock(sku)).toEqual(expected), patience);
  }

  // ---- what goes wrong ---------------------------------------------------------------------------------------------

  /** The group handles nothing until what this answers is called: somebody else has its cursors. */
  async holdUp(group: string): Promise<() => Promise<void>> {
    const client = await this.poolOf(group).connect();
    await client.query("begin");
    await client.query("set local idle_in_transaction_session_timeout = 0");
    await client.query(`select from ${group}.cursors order by topic for update`);
    this.heldUp.add(group);
    const letGo = async () => {
      if (!this.heldUp.delete(group)) return;
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
    const afterCommit = await transact(this.poolOf(group), (tx) => handle(tx, heard));
    afterCommit?.();
  }

  /** Everything that was ever said, topic by topic, as the bus brings it. */
  async said(): Promise<BusEvent[]> {
    const logs = serviceNames.map(async (topic) => {
      const { rows } = await this.poolOf(topic).query(
        `select position, at, events from ${topic}.log order by position`,
      );
      return rows.flatMap((row) => busEventsOf(topic, row));
    });
    return (await Promise.all(logs)).flat();
  }

  private subscriptionOf(group: string): Subscription {
    return this.engineOf(group).services.find(({ name }) => name === group)!.subscription!;
  }

  // ---- what must be true when all is done --------------------------------------------------------------------------

  /** All that was written has been handled, and every payment is settled. */
  async settled(): Promise<void> {
    await vi.waitFor(async () => {
      await this.heard();
      const charging = `select id, status from payments.payments where status in ('open', 'charging', 'refunding')`;
      const leaving = `select id, status from fulfillment.shipments where status = 'handing_over'`;
      expect((await this.poolOf("payments").query(charging)).rows).toEqual([]);
      expect((await this.poolOf("fulfillment").query(leaving)).rows).toEqual([]);
    }, patience);
  }

  /**
   * Everything has been handled that was written before; `topic` limits that to one service's events. Nothing has moved
   * between two looks, so nothing was on its way from one database to another either.
   */
  private async heard(topic?: string): Promise<void> {
    const places = await this.placesOnceHandled(topic);
    expect(await this.placesOnceHandled(topic)).toEqual(places);
  }

  private async placesOnceHandled(only: string | undefined): Promise<string[]> {
    const places: string[] = [];
    const isMeant = (group: string, topic: string) =>
      group !== "storefront" && !this.heldUp.has(group) && (only === undefined || topic === only);
    for (const { engine } of this.house.all) {
      const states = (await engine.bus.consumers()).filter(({ group, topic }) => isMeant(group, topic));
      expect(states.filter(({ lag, retrying }) => (lag ?? 0) + retrying > 0)).toEqual([]);
      // A group of which nothing is told has not begun yet.
      const followed = engine.services.flatMap(({ subscription: { group, topics } = nobody }) =>
        Object.keys(topics).map((topic) => ({ group, topic })),
      );
      const begun = states.map(({ group, topic }) => ({ group, topic }));
      expect(begun).toEqual(
        expect.arrayContaining(followed.filter(({ group, topic }) => isMeant(group, topic))),
      );
      places.push(...states.map((state) => `${state.group} is at ${state.position} of ${state.topic}`));
    }
    return places;
  }

  /** Every order has ended, nothing is held, the bank has what was bought and no more, and every promise is kept. */
  async addsUp(): Promise<void> {
    await this.settled();
    const open = `select id, status from orders.orders where ended_as is null`;
    expect((await this.poolOf("orders").query(open)).rows).toEqual([]);
    const held = `select store_id, sku, quantity_reserved from inventory.stock where quantity_reserved <> 0`;
    expect((await this.poolOf("inventory").query(held)).rows).toEqual([]);
    const sold = `select coalesce(sum(total_minor), 0)::float8 as minor from orders.orders where status = 'completed'`;
    const taken = `select coalesce(sum(amount_minor - refunded_minor), 0)::float8 as minor from payments.simulated_bank
                   where status = 'succeeded' or status = 'pending' and settles_at <= now()`;
    const bought = (await this.poolOf("orders").query(sold)).rows;
    expect((await this.poolOf("payments").query(taken)).rows, "what the bank has is what was sold").toEqual(
      bought,
    );
    for (const { engine } of this.house.all) {
      expect((await engine.bus.deadLetters({}, undefined, 10)).items).toEqual([]);
    }
    expect(await this.violations()).toEqual([]);
  }

  /** Whatever the services know and have said: equal only if nothing at all has happened in between. */
  async everything(): Promise<Record<string, unknown>> {
    const tables = ["orders.orders", "inventory.stock", "inventory.reservations", "payments.payments"]
      .concat(["payments.simulated_bank", "fulfillment.shipments", "carts.carts"])
      .concat(serviceNames.filter((name) => name !== "storefront").map((name) => `${name}.log`));
    const contents = tables.map(async (table) => {
      const pool = this.poolOf(table.split(".")[0]!);
      const { rows } = await pool.query(`select to_json(t)::text as row from ${table} t order by 1`);
      return [table, rows.map(({ row }) => row)];
    });
    return Object.fromEntries(await Promise.all(contents));
  }

  /** What the services find broken, in all their databases together. */
  async violations(): Promise<string[]> {
    const parts = this.house.all.map(({ pool, engine }) => ({ pool, services: engine.services }));
    const findings = await verifyServices(parts, () => {});
    return findings.flatMap(({ violations }) => violations);
  }

  // ---- what is there -----------------------------------------------------------------------------------------------

  /** A name that this test file has not used yet. */
  fresh(kind: string): string {
    return `${kind}-${++this.named}`;
  }

  /** A new SKU with so many on hand in the store `main`. */
  async stocked(quantity: number, sku = this.fresh("sku")): Promise<string> {
    await this.priced(sku, 250);
    if (quantity > 0) {
      // The inventory hears of the SKU a moment later, and of a broker that may take longer than a product is waited for.
      await vi.waitFor(async () => {
        const count = this.engineOf("inventory").count({ store_id: "main", sku }, quantity, {
          reason: "found",
        });
        expect(await count).toMatchObject({ accepted: true });
      }, patience);
    }
    return sku;
  }

  async priced(sku: string, price_minor: number): Promise<void> {
    const content = { name: sku, skus: [{ sku, price_minor, currency: "EUR" }] };
    expect(await this.engineOf("catalog").putProduct(this.productOf(sku), content)).toMatchObject({
      accepted: true,
    });
    // The others hear of it a moment later where they are elsewhere, or slower than the catalogue waits for them.
    await vi.waitFor(() => this.heard("catalog"), patience);
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
    expect(await this.engineOf("inventory").reserve(id, lines)).toMatchObject({ accepted: true });
    return id;
  }

  /** Every change stands in a log. */
  async changes(): Promise<number> {
    const counts = ["inventory", "catalog"].map(async (service) => {
      const { rows } = await this.poolOf(service).query(`select count(*) as count from ${service}.log`);
      return Number(rows[0].count);
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count);
  }

  /** The data of the events of this type about this subject. */
  async events(type: string, subject: string): Promise<unknown[]> {
    const { rows } = await this.poolOf("inventory").query(
      `select event -> 'data' as data from inventory.log, json_array_elements(events::json) as event
       where event ->> 'type' = $1 and event ->> 'subject' = $2 order by position`,
      [type, subject],
    );
    return rows.map(({ data }) => data);
  }
}

export function line(sku: string, quantity: number, store_id = "main"): Line {
  return { store_id, sku, quantity };
}

export function stockPath(sku: string, store_id = "main"): string {
  return `/v1/stock/${encodeURIComponent(store_id)}/${encodeURIComponent(sku)}`;
}
