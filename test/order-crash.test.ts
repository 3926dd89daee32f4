import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../src/platform/postgres/embedded/index.ts";
import { findPostmaster } from "../src/platform/postgres/embedded/postmaster.ts";
import { patience } from "../src/testing/patience.ts";
import { type Random, seededRandom } from "../src/testing/random.ts";
import { type Answer, ServerProcess, violations } from "./server-process.ts";

/** Every service has a process of its own or shares one; each of them is killed, and PostgreSQL under all of them. */
const parts = {
  orders: "catalog,orders",
  inventory: "inventory",
  payments: "payments",
  fulfillment: "fulfillment,carts,storefront",
} as const;
type Part = keyof typeof parts;

const buyers = 24;
const holdSeconds = 8;
const skus = ["lamp", "mug", "plate", "spoon"];
/** There is too little of it, so that orders are rejected as well. */
const scarce = { sku: "vase", onHand: 40 };
const plenty = 1_000_000;
const tokens = [
  "tok_ok",
  "tok_ok",
  "tok_ok",
  "tok_declined",
  "tok_lost",
  "tok_twice",
  "tok_late_1",
  "tok_late_10",
];
const ends = ["completed", "rejected", "payment_failed", "cancelled", "expired"];

let dataDir: string;
let postgres: EmbeddedPostgres;
const servers = new Map<Part, ServerProcess>();

beforeAll(async () => {
  dataDir = await realpath(await mkdtemp(join(tmpdir(), `holdfast-test-${process.pid}-orders-`)));
  postgres = await startEmbeddedPostgres({ dataDir });
  for (const part of Object.keys(parts) as Part[]) await start(part);
  await stockUp();
});
afterAll(async () => {
  for (const server of servers.values()) await server.stop();
  await postgres?.stop();
  await rm(dataDir, { recursive: true });
});

it("every accepted order ends as it should, whatever was killed while thousands were under way", async () => {
  const random = seededRandom();
  const crowd = Array.from({ length: buyers }, (_, i) => new Buyer(`buyer-${i}`, random.fork()));
  const shopping = Promise.all(crowd.map((buyer) => buyer.shop()));

  const victims: (Part | "postgres")[] = [...(Object.keys(parts) as Part[]), "postgres"];
  for (const victim of random.shuffled([...victims, ...victims])) {
    await sleep(random.integer(300, 1_200));
    if (victim === "postgres") await killPostgres();
    else {
      await servers.get(victim)!.kill();
      await sleep(random.integer(0, 500));
      await start(victim);
    }
  }
  // On a slow machine too it is to be enough to mean something.
  await vi.waitFor(() => expect(ordersOf(crowd).length).toBeGreaterThan(2_000), patience);
  for (const buyer of crowd) buyer.goHome();
  await shopping;

  const accepted = ordersOf(crowd);
  expect(crowd.flatMap(({ unexpected }) => unexpected)).toEqual([]);
  await vi.waitFor(async () => expect(await openOrders()).toEqual([]), { ...patience, interval: 500 });
  const statuses = await statusesOfAll();
  expect(accepted.filter((id) => !ends.includes(statuses.get(id) ?? "lost"))).toEqual([]);
  expect([...new Set(statuses.values())], "good ends and bad ones").toEqual(
    expect.arrayContaining(["completed", "rejected", "payment_failed", "cancelled"]),
  );

  // Refunds may still be under way when the last order has ended.
  await vi.waitFor(async () => expect(await reserved()).toBe(0), { ...patience, interval: 500 });
  await vi.waitFor(async () => expect(await violations(postgres.url)).toEqual([]), {
    ...patience,
    interval: 1_000,
  });
});

// ---- processes -----------------------------------------------------------------------------------------------------

async function start(part: Part): Promise<void> {
  servers.set(
    part,
    await ServerProcess.start({
      HOLDFAST_DATABASE_URL: postgres.url,
      HOLDFAST_SERVICES: parts[part],
      HOLDFAST_HOLD_TTL_SECONDS: String(holdSeconds),
      HOLDFAST_LOG_LEVEL: "fatal",
    }),
  );
}

/** Its supervisor, in this process, starts it again. */
async function killPostgres(): Promise<void> {
  const postmaster = await vi.waitFor(async () => {
    const found = await findPostmaster(join(dataDir, "postgres"));
    if (found === undefined) throw new Error("the database does not run");
    return found;
  }, patience);
  process.kill(postmaster.pid, "SIGKILL");
}

// ---- buyers --------------------------------------------------------------------------------------------------------

function ordersOf(crowd: readonly Buyer[]): string[] {
  return crowd.flatMap(({ orders }) => [...orders.values()]);
}

class Buyer {
  /** Request → the order that was acknowledged. */
  readonly orders = new Map<string, string>();
  readonly unexpected: Answer[] = [];
  private readonly name: string;
  private readonly random: Random;
  private wantsMore = true;

  constructor(name: string, random: Random) {
    this.name = name;
    this.random = random;
  }

  goHome(): void {
    this.wantsMore = false;
  }

  async shop(): Promise<void> {
    for (let i = 0; this.wantsMore; i++) {
      const key = `${this.name}-${i}`;
      const body = {
        customer_id: this.name,
        lines: this.someLines(),
        payment: { token: this.random.pick(tokens) },
      };
      const order = await untilAnswered("orders", ["POST", "/v1/orders", body, { "idempotency-key": key }]);
      if (order.status !== 201 && order.status !== 202) {
        this.unexpected.push(order);
        continue;
      }
      this.orders.set(key, order.body.id);
      if (this.random.integer(1, 10) > 1) continue;
      const answer = await untilAnswered("orders", ["POST", `/v1/orders/${order.body.id}/cancel`]);
      if (![200, 202, 409].includes(answer.status)) this.unexpected.push(answer);
    }
  }

  private someLines() {
    const wanted = this.random.integer(1, 20) === 1 ? [scarce.sku] : this.random.shuffled(skus).slice(0, 2);
    return wanted.map((sku) => ({ store_id: "main", sku, quantity: this.random.integer(1, 3) }));
  }
}

type Request = Parameters<ServerProcess["ask"]>;

/** Sends the same request again while no answer comes, to the process that has taken the place of the killed one. */
async function untilAnswered(part: Part, request: Request): Promise<Answer> {
  for (;;) {
    const answer = await servers
      .get(part)!
      .ask(...request)
      .catch(() => undefined);
    if (answer !== undefined && answer.status !== 503) return answer;
    await sleep(20);
  }
}

async function openOrders(): Promise<string[]> {
  const pages = ["pending", "reserved", "paid"].map((status) =>
    untilAnswered("orders", ["GET", `/v1/orders?status=${status}&limit=5`]),
  );
  return (await Promise.all(pages)).flatMap(({ body }) => body.items.map(({ id }: { id: string }) => id));
}

async function statusesOfAll(): Promise<Map<string, string>> {
  const statuses = new Map<string, string>();
  for (let next: string | null = ""; next !== null; ) {
    const after: string = next && `&after=${encodeURIComponent(next)}`;
    const { body } = await untilAnswered("orders", ["GET", `/v1/orders?limit=1000${after}`]);
    for (const { id, status } of body.items) statuses.set(id, status);
    next = body.next;
  }
  return statuses;
}

async function reserved(): Promise<number> {
  const { body } = await untilAnswered("inventory", ["GET", "/v1/stock?limit=100"]);
  return body.items.reduce(
    (total: number, record: { quantity_reserved: number }) => total + record.quantity_reserved,
    0,
  );
}

async function stockUp(): Promise<void> {
  const all = [...skus, scarce.sku];
  const content = { name: "all", skus: all.map((sku) => ({ sku, price_minor: 100, currency: "EUR" })) };
  await untilAnswered("orders", ["PUT", "/v1/products/all", content]);
  for (const sku of all) {
    const quantity_on_hand = sku === scarce.sku ? scarce.onHand : plenty;
    const count = { quantity_on_hand, reason: "found" };
    await vi.waitFor(async () => {
      const { status } = await untilAnswered("inventory", ["PUT", `/v1/stock/main/${sku}`, count]);
      expect(status, "the inventory has heard of the product").toBeLessThan(300);
    }, patience);
  }
}
