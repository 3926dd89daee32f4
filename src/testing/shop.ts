import { afterAll, beforeAll, expect } from "vitest";
import { createHoldfast, type Holdfast } from "../holdfast.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
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

/** The engine behind HTTP, on a database of the test file's own. LowStock is announced at 2. */
export function useShop(): Shop {
  const database = useTestDatabase();
  const shop = new Shop();
  beforeAll(() => shop.open(database.url));
  afterAll(() => shop.close());
  return shop;
}

export class Shop {
  engine!: Holdfast;
  private server!: TestServer;
  private pool!: Pool;
  private named = 0;

  async open(databaseUrl: string): Promise<void> {
    const logger = createLogger("silent");
    this.engine = await createHoldfast({ databaseUrl, lowStockThreshold: 2, logger });
    this.pool = createPool(databaseUrl, { max: 1, name: "test" });
    this.server = await startServer(
      (app) => {
        for (const service of this.engine.services) service.registerRoutes(app);
      },
      { bodyLimitBytes: 1_048_576 },
    );
  }

  async close(): Promise<void> {
    await this.server?.app.close();
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

  // ---- what is there -----------------------------------------------------------------------------------------------

  /** A name that this test file has not used yet. */
  fresh(kind: string): string {
    return `${kind}-${++this.named}`;
  }

  /** A new SKU with so many on hand in the store `main`. */
  async stocked(quantity: number, sku = this.fresh("sku")): Promise<string> {
    const content = { name: sku, skus: [{ sku, price_minor: 250, currency: "EUR" }] };
    expect(await this.engine.putProduct(this.fresh("product"), content)).toMatchObject({ accepted: true });
    if (quantity > 0) await this.engine.count({ store_id: "main", sku }, quantity, { reason: "found" });
    return sku;
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

export function line(sku: string, quantity: number, store_id = "main"): Line {
  return { store_id, sku, quantity };
}

export function stockPath(sku: string, store_id = "main"): string {
  return `/v1/stock/${encodeURIComponent(store_id)}/${encodeURIComponent(sku)}`;
}
