import pg from "pg";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { Line, ReservedLine } from "../src/services/inventory/contract/index.ts";
import { useTestDatabase } from "../src/testing/database.ts";
import { patience } from "../src/testing/patience.ts";
import { type Random, seededRandom } from "../src/testing/random.ts";
import { type Answer, ServerProcess, violations } from "./server-process.ts";

const database = useTestDatabase();
let servers: ServerProcess[] = [];

beforeAll(async () => {
  const settings = { HOLDFAST_DATABASE_URL: database.url, HOLDFAST_LOG_LEVEL: "warn" };
  servers = await Promise.all([1, 2, 3].map(() => ServerProcess.start(settings)));
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

it("the last units are sold exactly, in whichever order and at whichever server they are wanted", async () => {
  const random = seededRandom();
  const skus = await stocked("last", 8, 40);
  const buyers = Array.from({ length: 300 }, (_, i) => ({
    id: `buyer-${i}`,
    server: random.pick(servers),
    wanted: random.shuffled(skus).slice(0, random.integer(1, 5)),
  }));

  const answers = await Promise.all(
    buyers.map(({ id, server, wanted }) => reserve(server, id, wanted.map(one))),
  );

  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 409]));
  const sold = (sku: string) =>
    buyers.filter(({ wanted }, i) => answers[i]!.status === 201 && wanted.includes(sku)).length;
  for (const sku of skus) {
    expect(await stock(sku)).toMatchObject({ quantity_on_hand: 40, quantity_reserved: sold(sku) });
  }
  // Nothing was let go, so what is left now was there when somebody was refused.
  const left = new Set(skus.filter((sku) => sold(sku) < 40));
  const wronglyRefused = buyers.filter(
    ({ wanted }, i) => answers[i]!.status === 409 && wanted.every((sku) => left.has(sku)),
  );
  expect(wronglyRefused).toEqual([]);
});

it("everything at once on the same few SKUs: each request is answered, and the stock adds up", async () => {
  const random = seededRandom();
  const skus = await stocked("busy", 6, 100);
  const clients = Array.from({ length: 48 }, (_, i) => new Client(`client-${i}`, random.fork(), skus));

  await Promise.all(clients.map((client) => client.act(8)));

  const unexpected = clients.flatMap(({ answers }) =>
    answers.filter(({ status }) => ![200, 201, 409].includes(status)),
  );
  expect(unexpected).toEqual([]);
  for (const sku of skus) {
    const moved = clients.reduce((total, client) => total + client.movedOnHand(sku), 0);
    expect((await stock(sku)).quantity_on_hand).toBe(100 + moved);
  }
});

it("the same id sent to all servers at once is carried out once", async () => {
  const [sku] = (await stocked("once", 1, 1_000)) as [string];
  const everywhere = (ask: (server: ServerProcess) => Promise<Answer>) =>
    Promise.all([...servers, ...servers].map(ask));
  for (let round = 0; round < 40; round++) {
    const holds = await everywhere((server) => reserve(server, `hold-${round}`, [one(sku)]));
    const delivery = { id: `delivery-${round}`, reason: "delivery", lines: [one(sku)] };
    const deliveries = await everywhere((server) => server.ask("POST", "/v1/stock/adjustments", delivery));
    expect(holds.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 201]);
    expect(deliveries.map(({ status }) => status)).toEqual(Array(6).fill(200));
    for (const { body } of holds) expect(body).toEqual(holds[0]!.body);
    for (const { body } of deliveries) expect(body).toEqual(deliveries[0]!.body);
  }
  expect(await stock(sku)).toMatchObject({ quantity_on_hand: 1_040, quantity_reserved: 40 });
});

it("a hold expires once although every server sweeps", async () => {
  const skus = await stocked("swept", 3, 100);
  const ids = Array.from({ length: 60 }, (_, i) => `overdue-${i}`);
  const holds = await Promise.all(
    ids.map((id, i) =>
      servers[i % 3]!.ask("PUT", `/v1/reservations/${id}`, { lines: skus.map(one), ttl_seconds: 1 }),
    ),
  );
  expect(holds.map(({ status }) => status)).toEqual(Array(60).fill(201));

  await vi.waitFor(async () => expect((await stock(skus[0]!)).quantity_reserved).toBe(0), patience);

  const expired = await query(
    `select event ->> 'subject' as id, count(*)::int as times
     from inventory.log, json_array_elements(events::json) as event
     where event ->> 'subject' like 'overdue-%' and event -> 'data' ->> 'reason' = 'expired' group by 1`,
  );
  expect(expired).toHaveLength(60);
  expect(new Set(expired.map(({ times }) => times))).toEqual(new Set([1]));
});

it("in the end the log explains the tables, no transaction was the victim of a deadlock, and nothing was set aside", async () => {
  expect(await violations(database.url)).toEqual([]);
  // What a connection has counted is certain to be published once it is closed.
  await Promise.all(servers.map((server) => server.stop()));
  const [{ deadlocks }] = (await query(
    "select deadlocks::int from pg_stat_database where datname = current_database()",
  )) as [{ deadlocks: number }];
  expect(deadlocks).toBe(0);
  expect(await query("select command, error from inventory.dead_letters")).toEqual([]);
});

// ---- clients -------------------------------------------------------------------------------------------------------

/** Reserves, amends, confirms, ships, lets go and counts, each time at some server, and waits for each answer. */
class Client {
  readonly answers: Answer[] = [];
  private readonly shipped = new Map<string, readonly ReservedLine[]>();
  private readonly adjusted: Line[] = [];
  private readonly name: string;
  private readonly random: Random;
  private readonly skus: readonly string[];

  constructor(name: string, random: Random, skus: readonly string[]) {
    this.name = name;
    this.random = random;
    this.skus = skus;
  }

  async act(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const id = `${this.name}-${round}`;
      const ttl_seconds = this.random.integer(1, 5);
      const { status } = await this.ask("PUT", `/v1/reservations/${id}`, {
        lines: this.someLines(),
        ttl_seconds,
      });
      if (status !== 201) continue;
      for (let step = this.random.integer(0, 4); step > 0; step--) await this.goOn(id, `${id}-${step}`);
    }
  }

  /** What the answers say of the stock on hand. */
  movedOnHand(sku: string): number {
    const sum = (quantities: number[]) => quantities.reduce((a, b) => a + b, 0);
    const of = <L extends Line>(lines: readonly L[]) => lines.filter((line) => line.sku === sku);
    const shipped = [...this.shipped.values()].flatMap(of).map((line) => line.quantity_committed);
    return sum(of(this.adjusted).map((line) => line.quantity)) - sum(shipped);
  }

  private async goOn(id: string, key: string): Promise<void> {
    const path = `/v1/reservations/${id}`;
    switch (this.random.integer(1, 8)) {
      case 1:
        await this.ask("PUT", path, { lines: this.someLines() });
        return;
      case 2:
        await this.ask("POST", `${path}/confirm`);
        return;
      case 3:
        await this.ask("POST", `${path}/extend`, { ttl_seconds: this.random.integer(1, 5) });
        return;
      case 4:
        await this.ask("POST", `${path}/release`);
        return;
      case 5:
        await this.ship(id, undefined);
        return;
      case 6:
        await this.ship(id, { lines: [one(this.random.pick(this.skus))] });
        return;
      case 7:
        await this.adjust(key, 1);
        return;
      case 8:
        await this.adjust(key, -1);
    }
  }

  private async ship(id: string, part: { lines: Line[] } | undefined): Promise<void> {
    const { status, body } = await this.ask("POST", `/v1/reservations/${id}/commit`, part);
    if (status === 200) this.shipped.set(id, body.lines);
  }

  /** Cuts are forced: they take from the holds of others. */
  private async adjust(id: string, sign: 1 | -1): Promise<void> {
    const lines = this.someLines().map((line) => ({ ...line, quantity: sign * line.quantity }));
    const { status, body } = await this.ask("POST", "/v1/stock/adjustments", {
      id,
      reason: "stocktaking",
      lines,
      force: sign < 0,
    });
    if (status === 200) this.adjusted.push(...body.lines);
  }

  private async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.random.pick(servers).ask(method, path, body);
    this.answers.push(answer);
    return answer;
  }

  private someLines(): Line[] {
    const skus = this.random.shuffled(this.skus).slice(0, this.random.integer(1, 4));
    return skus.map((sku) => ({ ...one(sku), quantity: this.random.integer(1, 6) }));
  }
}

function one(sku: string): Line {
  return { store_id: "main", sku, quantity: 1 };
}

function reserve(server: ServerProcess, id: string, lines: Line[]): Promise<Answer> {
  return server.ask("PUT", `/v1/reservations/${id}`, { lines });
}

/** New SKUs with so many of each on hand. */
async function stocked(name: string, count: number, quantity_on_hand: number): Promise<string[]> {
  const skus = Array.from({ length: count }, (_, i) => `${name}-${i}`);
  const [server] = servers as [ServerProcess];
  await server.ask("PUT", `/v1/products/${name}`, {
    name,
    skus: skus.map((sku) => ({ sku, price_minor: 100, currency: "EUR" })),
  });
  for (const sku of skus) {
    await server.ask("PUT", `/v1/stock/main/${sku}`, { quantity_on_hand, reason: "found" });
  }
  return skus;
}

async function stock(sku: string): Promise<{ quantity_on_hand: number; quantity_reserved: number }> {
  return (await servers[0]!.ask("GET", `/v1/stock/main/${sku}`)).body;
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
