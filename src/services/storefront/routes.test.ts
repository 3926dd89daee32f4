import { once } from "node:events";
import { type ClientRequest, get, type IncomingMessage } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { transact } from "../../platform/batch/transaction.ts";
import { type EventRecord, logWriter } from "../../platform/log/append.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { logMigrations } from "../../platform/service.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { patience } from "../../testing/patience.ts";
import { type StorefrontService, storefrontMigrations, storefrontService } from "./index.ts";

const maxStreams = 4;
const heartbeat = ":";
const database = useTestDatabase();
const log = logWriter("inventory");
const registry = createRegistry();
const clients: Client[] = [];
let pool: Pool;
let service: StorefrontService;
let server: TestServer;
let wake: () => void = () => {};

beforeAll(async () => {
  await migrate(database.url, [logMigrations("inventory"), ...storefrontMigrations]);
  pool = createPool(database.url, { max: 6, name: "storefront" });
  service = open();
  service.start();
  server = await startServer((app) => service.registerRoutes(app));
  await move(
    opened("A", "shop"),
    opened("A"),
    adjusted("A", 2, 5),
    opened("B"),
    opened("one, two"),
    opened('Größe "M"'),
  );
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.leave();
  await vi.waitFor(async () => expect(await openStreams()).toBe(0), patience);
});
afterAll(async () => {
  await server?.app.close();
  await service?.stop();
  await pool?.end();
});

function open(figures = registry): StorefrontService {
  return storefrontService({
    pool,
    reads: pool,
    maxWaiting: 1_000,
    registry: figures,
    logger: createLogger("silent"),
    tracer: untraced,
    settings: { max_streams: maxStreams },
    follows: "inventory",
    watch(_topic, onGrown) {
      wake = onGrown;
    },
  });
}

function event(type: string, data: object): EventRecord {
  return { type, subject: "any", data };
}

const opened = (sku: string, store_id = "main") => event("StockOpened", { store_id, sku, product_id: "P" });
const adjusted = (sku: string, version: number, quantity_available: number, store_id = "main") =>
  event("InventoryAdjusted", { lines: [{ store_id, sku, quantity: 1, quantity_available, version }] });

/** One batch, followed when it resolves; answers its position. */
async function move(...events: EventRecord[]): Promise<number> {
  const position = await transact(pool, async (tx) => {
    const mark = await log.mark(tx);
    log.append(tx, mark, events);
    return mark.position;
  });
  wake();
  expect(await service.storefront.reached(position, patience.timeout)).toBe(true);
  return position;
}

const versions = new Map<string, number>();

/** The next version of the SKU, which no other test moves, with so many available. */
function available(sku: string, quantity: number): Promise<number> {
  const version = (versions.get(sku) ?? 0) + 1;
  versions.set(sku, version);
  return move(adjusted(sku, version, quantity));
}

interface Sent {
  readonly event?: string;
  readonly id?: string;
  readonly data?: string;
}

/** A shop window: reads a stream of server-sent events, or waits until it is told to. */
class Client {
  readonly response: IncomingMessage;
  private readonly request: ClientRequest;
  private text = "";

  static async open(path: string, headers: Record<string, string> = {}, isReading = true): Promise<Client> {
    const request = get(server.url + path, { headers });
    request.on("error", () => {});
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const client = new Client(request, response);
    clients.push(client);
    if (isReading) client.read();
    return client;
  }

  constructor(request: ClientRequest, response: IncomingMessage) {
    this.request = request;
    this.response = response;
    response.on("error", () => {});
  }

  read(): void {
    this.response.setEncoding("utf8").on("data", (piece) => {
      this.text += piece;
    });
  }

  get sent(): Sent[] {
    return this.text
      .split("\n\n")
      .slice(0, -1)
      .filter((block) => block !== heartbeat)
      .map((block) => Object.fromEntries(block.split("\n").map((field) => field.split(/: (.*)/s, 2))));
  }

  get items(): {
    store_id: string;
    sku: string;
    quantity_available: number;
    version: number;
    as_of: string;
  }[] {
    return this.sent.flatMap(({ data }) => (data === undefined ? [] : [JSON.parse(data)]));
  }

  get quantities(): number[] {
    return this.items.map(({ quantity_available }) => quantity_available);
  }

  get lastId(): string {
    return this.sent.findLast(({ id }) => id !== undefined)!.id!;
  }

  /** Waits until the first states have been sent. */
  async begun(): Promise<this> {
    await vi.waitFor(() => expect(this.sent.some(({ id }) => id !== undefined)).toBe(true), patience);
    return this;
  }

  async leave(): Promise<void> {
    this.request.destroy();
    if (!this.response.closed) await new Promise((resolve) => this.response.once("close", resolve));
  }
}

async function openStreams(): Promise<number> {
  const metric = await registry.getSingleMetric("storefront_streams_open")!.get();
  return metric.values[0]!.value;
}

describe("GET availability", () => {
  it("answers what is known of the SKUs in each store, and how old that is", async () => {
    const { status, headers, body } = await server.call("/v1/availability?sku=B,A,nobodys");
    expect([status, headers.get("content-type")]).toEqual([200, "application/json; charset=utf-8"]);
    const as_of = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(body).toEqual({
      age_ms: expect.any(Number),
      items: [
        { store_id: "main", sku: "B", quantity_available: 0, version: 1, as_of },
        { store_id: "main", sku: "A", quantity_available: 5, version: 2, as_of },
        { store_id: "shop", sku: "A", quantity_available: 0, version: 1, as_of },
      ],
    });
  });

  const found = async (query: string) => {
    const { status, body } = await server.call(`/v1/availability?${query}`);
    expect(status).toBe(200);
    return body.items.map(({ store_id, sku }: { store_id: string; sku: string }) => `${store_id}/${sku}`);
  };

  it.each<[string, string, string[]]>([
    ["one store", "sku=A,B&store_id=shop", ["shop/A"]],
    ["a store that nobody knows", "sku=A&store_id=nowhere", []],
    ["SKUs that nobody knows", "sku=N", []],
    ["a SKU named twice, once", "sku=B,B", ["main/B"]],
    ["SKUs given one by one", "sku=B&sku=A&store_id=main", ["main/B", "main/A"]],
    ["SKUs with commas, given one by one", "sku=one,%20two&sku=B", ["main/one, two", "main/B"]],
    ["one SKU with a comma, given twice", "sku=one,%20two&sku=one,%20two", ["main/one, two"]],
    ["a comma's two sides, given once", "sku=one,%20two", []],
    ["a SKU with quotes and umlauts", `sku=${encodeURIComponent('Größe "M"')}`, ['main/Größe "M"']],
  ])("finds %s", async (_what, query, expected) => {
    expect(await found(query)).toEqual(expected);
  });

  it("takes 500 SKUs", async () => {
    const skus = Array.from({ length: 499 }, (_, i) => `s${i}`);
    expect(await found(`sku=${skus},B`)).toEqual(["main/B"]);
  });
});

describe("a stream", () => {
  it("shows how each record stands, then each change", async () => {
    await available("S1", 3);
    const client = await (await Client.open("/v1/availability/stream?sku=S1,S1-new")).begun();
    expect(client.response.statusCode).toBe(200);
    expect(client.response.headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-request-id": expect.any(String),
      "x-content-type-options": "nosniff",
    });
    expect(client.quantities).toEqual([3]);
    const position = await available("S1", 2);
    await vi.waitFor(() => expect(client.quantities).toEqual([3, 2]), patience);
    const [last] = client.sent.slice(-1);
    expect(last).toMatchObject({ event: "availability", id: `${position}-0` });
    expect(client.items.at(-1)).toEqual({
      store_id: "main",
      sku: "S1",
      quantity_available: 2,
      version: 2,
      as_of: expect.stringMatching(/Z$/),
    });
    await available("S1-new", 9);
    await vi.waitFor(() => expect(client.quantities).toEqual([3, 2, 9]), patience);
  });

  it("goes on where the one before was broken off", async () => {
    await available("S2", 1);
    const first = await (await Client.open("/v1/availability/stream?sku=S2,S2-still")).begun();
    await available("S2-still", 1);
    await vi.waitFor(() => expect(first.quantities).toEqual([1, 1]), patience);
    const { lastId } = first;
    await first.leave();
    await available("S2", 2);
    await available("S2", 3);
    const path = "/v1/availability/stream?sku=S2,S2-still";
    expect((await (await Client.open(path, { "last-event-id": lastId })).begun()).quantities).toEqual([3]);
    const byQuery = await Client.open(`${path}&last_event_id=${lastId}`);
    expect((await byQuery.begun()).quantities).toEqual([3]);
    expect((await (await Client.open(path, { "last-event-id": byQuery.lastId })).begun()).quantities).toEqual(
      [],
    );
  });

  it("of a store shows all of its SKUs and no other's", async () => {
    await move(opened("S3", "outlet"), opened("S3"));
    const client = await (await Client.open("/v1/availability/stream?store_id=outlet")).begun();
    await move(opened("S4"), opened("S4", "outlet"));
    await vi.waitFor(() => expect(client.items.map(({ sku }) => sku)).toEqual(["S3", "S4"]), patience);
  });

  it("that nobody reads holds nothing up, and ends with the newest state", async () => {
    const skus = Array.from({ length: 1_500 }, (_, i) => `slow-${i}-${"x".repeat(80)}`);
    const all = (version: number) => move(...skus.map((sku) => adjusted(sku, version, version, "slow")));
    await all(1);
    const slow = await Client.open("/v1/availability/stream?store_id=slow", {}, false);
    const rounds = 40;
    for (let version = 2; version <= rounds; version++) await all(version);
    slow.read();
    const newest = () => new Map(slow.items.map(({ sku, quantity_available }) => [sku, quantity_available]));
    await vi.waitFor(() => expect([...new Set(newest().values())]).toEqual([rounds]), patience);
    expect(newest().size).toBe(skus.length);
    // What it did not take was never written.
    expect(slow.items.length).toBeLessThan((skus.length * rounds) / 2);
  });

  it("is refused when as many are open as may be, and again possible when one ends", async () => {
    const path = "/v1/availability/stream?sku=A";
    for (let i = 0; i < maxStreams; i++) await Client.open(path);
    expect(await openStreams()).toBe(maxStreams);
    const { status, headers, body } = await server.call(path);
    expect([status, headers.get("retry-after"), body.code]).toEqual([
      503,
      "5",
      "storefront.too_many_streams",
    ]);
    await clients[0]!.leave();
    await vi.waitFor(async () => expect(await openStreams()).toBe(maxStreams - 1), patience);
    expect((await Client.open(path)).response.statusCode).toBe(200);
  });

  it("is not there for HEAD, which would wait for ever", async () => {
    expect((await server.call("/v1/availability/stream", { method: "HEAD" })).status).toBe(405);
  });
});

describe("both are refused with", () => {
  const refused = async (path: string, field: string, headers: Record<string, string> = {}) => {
    const { status, body } = await server.call(path, { headers });
    expect([status, body.code]).toEqual([422, "request.invalid"]);
    expect(body.errors.map((error: { field: string }) => error.field)).toContain(field);
  };
  const tooMany = Array.from({ length: 501 }, (_, i) => `s${i}`);

  it.each<[string, string, string]>([
    ["an empty SKU", "sku=", "sku"],
    ["an empty SKU among others", "sku=A,,B", "sku"],
    ["an empty SKU given with others", "sku=A&sku=", "sku.1"],
    ["a SKU that is too long", `sku=${"x".repeat(129)}`, "sku"],
    ["a SKU that is too long among others", `sku=A,${"x".repeat(129)}`, "sku"],
    ["a SKU that cannot be", "sku=%00", "sku"],
    ["501 SKUs", `sku=${tooMany}`, "sku"],
    ["501 SKUs given one by one", tooMany.map((sku) => `sku=${sku}`).join("&"), "sku"],
    ["an empty store", "sku=A&store_id=", "store_id"],
    ["two stores", "sku=A&store_id=a&store_id=b", "store_id"],
    ["an unknown parameter", "sku=A&limit=1", "limit"],
  ])("%s", async (_what, query, field) => {
    await refused(`/v1/availability?${query}`, field);
    await refused(`/v1/availability/stream?${query}`, field);
  });

  it("the same words for too many SKUs, separated by commas or given one by one", async () => {
    for (const query of [`sku=${tooMany}`, tooMany.map((sku) => `sku=${sku}`).join("&")]) {
      const { body } = await server.call(`/v1/availability?${query}`);
      expect(body.detail).toBe("sku must not name more than 500 SKUs.");
    }
  });

  it("no SKU at all, where one is needed", async () => {
    await refused("/v1/availability", "sku");
  });

  it.each(["", "7", "7-", "-7", "inventory-7-0", "7-0-0", "a-b", "1e3-0", "9999999999999999-0"])(
    "the place %j, where no stream has been",
    async (place) => {
      await refused(`/v1/availability/stream?last_event_id=${place}`, "last_event_id");
      if (place !== "") await refused("/v1/availability/stream", "last-event-id", { "last-event-id": place });
    },
  );

  it("503 before the log was read", async () => {
    const starting = open(createRegistry());
    const early = await startServer((app) => starting.registerRoutes(app));
    try {
      for (const path of ["/v1/availability?sku=A", "/v1/availability/stream"]) {
        const { status, headers, body } = await early.call(path);
        expect([status, headers.get("retry-after"), body.code]).toEqual([503, "1", "storefront.not_ready"]);
      }
    } finally {
      await early.app.close();
    }
  });
});

it("the figures tell the lag, the records and the streams", async () => {
  await available("figures", 1);
  const lag = await registry.getSingleMetric("inventory_sync_lag_seconds")!.get();
  expect(lag.values.find(({ labels }) => Object.keys(labels).length === 0)?.value).toBeGreaterThan(0);
  const records = await registry.getSingleMetric("storefront_records")!.get();
  expect(records.values[0]!.value).toBeGreaterThan(4);
});

it("a server that stops ends its streams", async () => {
  const other = await startServer((app) => service.registerRoutes(app));
  const response = await fetch(`${other.url}/v1/availability/stream?sku=A`);
  const text = response.text();
  await other.app.close();
  expect(await text).toContain('"sku":"A"');
});
