import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { serviceNames } from "../src/platform/settings.ts";
import { createTestDatabase, useTestDatabase } from "../src/testing/database.ts";
import { EmbeddedPostgresFixture } from "../src/testing/embedded-postgres.ts";
import { patience } from "../src/testing/patience.ts";
import { WholeServer } from "./whole-server.ts";

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

async function scrape(server: WholeServer): Promise<Series[]> {
  const { body } = await server.ask("GET", "/metrics");
  const lines: string[] = body.split("\n").filter((line: string) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)!;
    const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text]);
    return { name: name!, labels: Object.fromEntries(pairs), value: Number(value) };
  });
}

const database = useTestDatabase();
let server: WholeServer;
let series: Series[];

beforeAll(async () => {
  server = await WholeServer.start(database.url);
  await server.stock("MUG", 10);
  await tradeABit();
  // The last steps of an order come after its end, and a figure may take longer than it is waited for.
  await vi.waitFor(async () => {
    series = await scrape(server);
    const names = new Set(series.map(({ name }) => name));
    expect([...askedFor, ...remembered].filter((name) => !names.has(name))).toEqual([]);
    expect(countOf(series, "cart_to_order_conversion_rate")).toBe(50);
    expect(countOf(series, "carts_ended_total")).toBe(2);
    expect(countOf(series, "fulfillment_shipments_total")).toBe(2);
  }, patience);
});
afterAll(() => server?.stop());

/** Two orders that are completed (one twice sent, one from a cart), one rejected, one declined; a cart that is let go. */
async function tradeABit(): Promise<void> {
  const outcomeOf = async (key: string, wanted: { quantity?: number; token?: string } = {}) =>
    (await server.order(key, { sku: "MUG", ...wanted })).body.status;
  expect(await outcomeOf("good")).toBe("completed");
  expect(await outcomeOf("good")).toBe("completed");
  expect((await server.order("good", { sku: "MUG", quantity: 2 })).status).toBe(422);
  expect(await outcomeOf("greedy", { quantity: 50 })).toBe("rejected");
  expect(await outcomeOf("broke", { token: "tok_declined" })).toBe("payment_failed");

  const lines = [{ store_id: "main", sku: "MUG", quantity: 3 }];
  for (const id of ["c1", "c2"]) {
    expect((await server.ask("PUT", `/v1/carts/${id}`, { customer_id: "ada", lines })).status).toBeLessThan(
      300,
    );
  }
  const checkout = { payment: { token: "tok_ok" } };
  const order = await vi.waitFor(async () => {
    const { status, body } = await server.ask("POST", "/v1/carts/c1/checkout", checkout);
    expect(status).toBe(202);
    return body;
  }, patience);
  expect((await server.ended(order.id)).status).toBe("completed");
  expect((await server.ask("DELETE", "/v1/carts/c2")).status).toBe(204);
}

/** Figures that the database is asked for whenever somebody looks. */
const askedFor = [
  "bus_consumer_lag_seconds",
  "bus_dead_letters",
  "database_oldest_transaction_seconds",
  "kafka_consumer_lag_messages",
  "log_room_batches",
  "order_orphaned_orders_total",
  "payments_delayed",
  "payments_refunds_overdue",
];
/** Sums over all stock, for some seconds. */
const remembered = ["overselling_incidents_total", "inventory_orphaned_reservations_total"];

const named = (found: readonly Series[], name: string) => found.filter((one) => one.name === name);
const countOf = (found: readonly Series[], name: string) =>
  named(found, name).reduce((sum, { value }) => sum + value, 0);

/** How often it was measured, and what all of it came to. */
const histograms = [
  "inventory_reserve_duration_seconds",
  "inventory_lock_acquisition_duration_seconds",
  "inventory_lock_held_duration_seconds",
  "inventory_invariant_check_duration_seconds",
  "inventory_idempotency_check_duration_seconds",
  "order_create_duration_seconds",
  "order_event_processing_duration_seconds",
  "order_saga_completion_duration_seconds",
  "end_to_end_checkout_duration_seconds",
  "inventory_sync_lag_seconds",
  "outside_call_duration_seconds",
  "http_request_duration_seconds",
];

const figures: readonly [name: string, value: number][] = [
  ["inventory_lock_timeout_total", 0],
  ["inventory_invariant_violations_total", 0],
  ["inventory_rollback_attempts_total", 0],
  ["inventory_orphaned_reservations_total", 0],
  ["inventory_reservation_timeout_rate", 0],
  ["overselling_incidents_total", 0],
  ["order_orphaned_orders_total", 0],
  ["order_duplicate_requests_rejected_total", 1],
  ["order_requestid_collision_total", 1],
  // Two of four were completed, one was rejected; of the three that came to be paid, one was not.
  ["order_saga_success_rate", 50],
  ["order_reservation_failure_rate", 25],
  ["order_payment_failure_rate", 100 / 3],
  // 1,000 for one and 3,000 for three.
  ["revenue_per_order", 2_000],
  ["cart_to_order_conversion_rate", 50],
  ["bus_dead_letters", 0],
];

const endings = { completed: 2, rejected: 1, payment_failed: 1, cancelled: 0, expired: 0 };

describe("the figures", () => {
  it.each(histograms)("%s is measured", (name) => {
    expect(countOf(series, `${name}_count`)).toBeGreaterThan(0);
    const mean = countOf(series, `${name}_sum`) / countOf(series, `${name}_count`);
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBeLessThan(30);
  });

  it.each(figures)("%s is %d", (name, value) => {
    expect(named(series, name)).not.toEqual([]);
    expect(countOf(series, name)).toBeCloseTo(value);
  });

  it.each(Object.entries(endings))("of orders that ended, %s were %d", (status, count) => {
    const ended = named(series, "orders_ended_total").filter(({ labels }) => labels.status === status);
    expect(ended.map(({ value }) => value)).toEqual([count]);
  });

  it("tell how many batches each log has room for, how old the availability is, and the oldest transaction", () => {
    const rooms = named(series, "log_room_batches");
    expect(rooms.map(({ labels }) => labels.service).sort()).toEqual([...serviceNames].sort());
    for (const { value } of rooms) expect(value).toBeGreaterThan(500_000);
    const [age] = named(series, "storefront_age_seconds");
    expect(age!.value >= 0 && age!.value < 30).toBe(true);
    const [oldest] = named(series, "database_oldest_transaction_seconds");
    expect(oldest!.value >= 0 && oldest!.value < 30).toBe(true);
  });

  it("tell what was answered again, and how much of the stock is held", () => {
    expect(countOf(series, "inventory_idempotency_cache_hits_total")).toBeGreaterThanOrEqual(0);
    expect(named(series, "inventory_artificial_shortage_rate")).toHaveLength(1);
    const share = countOf(series, "inventory_artificial_shortage_rate");
    expect(share >= 0 && share <= 100).toBe(true);
  });

  it("tell of every consumer group how far behind it is, and come to nothing when all is done", async () => {
    const groups = new Set(named(series, "kafka_consumer_lag_messages").map(({ labels }) => labels.group));
    // It is one of them once it has saved its place.
    groups.delete("storefront");
    expect(groups).toEqual(new Set(["carts", "fulfillment", "inventory", "orders", "payments"]));
    await untilAllIsHeard();
  });

  async function untilAllIsHeard(): Promise<void> {
    await expect.poll(async () => countOf(await scrape(server), "kafka_consumer_lag_messages")).toBe(0);
  }

  it("count an order that ended once, though all that led to it is handled once more", async () => {
    const lag = async () => {
      const { items } = (await server.ask("GET", "/v1/consumers")).body;
      const own = items.filter(({ group }: { group: string }) => group === "orders");
      return own.reduce((sum: number, consumer: { lag: number }) => sum + consumer.lag, 0);
    };
    await untilAllIsHeard();
    const before = await scrape(server);
    expect((await server.ask("POST", "/v1/consumers/orders/replay", { from: 0 })).status).toBe(200);
    await expect.poll(lag).toBe(0);
    // How old the events are is no time that it took to process them.
    for (const name of ["orders_ended_total", "order_event_processing_duration_seconds_count"]) {
      expect(countOf(await scrape(server), name)).toBe(countOf(before, name));
    }
  });

  it("have no label whose values grow with the shop", () => {
    const ours = series.filter(({ name }) => !/^(process|nodejs)_/.test(name));
    const labels = new Set(ours.flatMap((one) => Object.keys(one.labels)));
    const bounded = [
      "code",
      "currency",
      "group",
      "le",
      "method",
      "name",
      "outcome",
      "route",
      "service",
      "status",
    ];
    expect([...labels].sort()).toEqual([...bounded, "topic"]);
    const values = new Set(ours.flatMap((one) => Object.values(one.labels)));
    for (const value of ["MUG", "main", "ada"]) expect(values).not.toContain(value);
  });

  it.each([
    "kafka_producer_request_latency_ms",
    "kafka_duplicate_events_detected_total",
    "kafka_out_of_order_events_total",
    "order_event_publish_failures_total",
    "inventory_lock_contention_rate",
    "inventory_rollback_success_rate",
    "inventory_rollback_duration_seconds",
  ])("%s is not made up where it has no meaning", (name) => {
    expect(series.filter((one) => one.name.startsWith(name))).toEqual([]);
  });
});

describe("while the database is away", () => {
  const postgres = new EmbeddedPostgresFixture();

  it("figures that have to be asked for are absent, which is said once, and all others are told", async () => {
    const { url, stop } = await postgres.start();
    const alone = await WholeServer.start(url);
    try {
      const isLasting = (name: string) => !/^(process|nodejs)_/.test(name) && !remembered.includes(name);
      const names = async () => new Set((await scrape(alone)).map(({ name }) => name).filter(isLasting));
      const before = await vi.waitFor(async () => {
        const found = await names();
        expect(askedFor.filter((name) => !found.has(name))).toEqual([]);
        return found;
      }, patience);
      await stop();
      const toldBefore = alone.log.length;
      await names();
      const { status } = await alone.ask("GET", "/metrics");
      expect(status).toBe(200);
      const after = await names();
      expect([...before].filter((name) => !after.has(name)).sort()).toEqual(askedFor);
      const told = alone.log
        .slice(toldBefore)
        .flatMap(({ metric }) => (metric === undefined ? [] : [metric as string]));
      const others = told.filter((metric) => !/^(overselling|inventory)_/.test(metric));
      expect(others, "each of five questions once").toHaveLength(5);
      expect(new Set(others).size).toBe(5);
    } finally {
      await alone.stop();
    }
  });
});

describe("of a shop in which nothing has happened", () => {
  it("shares and means are absent, and counts are 0", async () => {
    const empty = await createTestDatabase();
    const idle = await WholeServer.start(empty.url);
    try {
      const found = await scrape(idle);
      const names = new Set(found.map(({ name }) => name));
      for (const name of [
        "inventory_artificial_shortage_rate",
        "inventory_reservation_timeout_rate",
        "order_saga_success_rate",
        "order_reservation_failure_rate",
        "order_payment_failure_rate",
        "revenue_per_order",
        "cart_to_order_conversion_rate",
      ]) {
        expect(names).not.toContain(name);
      }
      for (const name of ["overselling_incidents_total", "order_orphaned_orders_total"]) {
        expect(named(found, name).map(({ value }) => value)).toEqual([0]);
      }
    } finally {
      await idle.stop();
      await empty.drop();
    }
  });
});
