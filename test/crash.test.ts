import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { findRunningPostgres } from "../src/platform/postgres/embedded/index.ts";
import { findPostmaster, stopPostmaster } from "../src/platform/postgres/embedded/postmaster.ts";
import type { Line, ReservedLine } from "../src/services/inventory/contract/index.ts";
import { query } from "../src/testing/embedded-postgres.ts";
import { patience } from "../src/testing/patience.ts";
import { type Random, seededRandom } from "../src/testing/random.ts";
import { type Answer, ServerProcess, violations } from "./server-process.ts";

const clients = 16;
const onHand = 1_000_000;
const skus = ["lamp", "mug", "plate", "spoon"];
/** There is too little of it, so that reservations are refused as well. */
const scarce = { sku: "vase", onHand: 20 };

let dataDir: string;
let server: ServerProcess;

beforeAll(async () => {
  // Bears the name by which the next run finds what an interrupted one has left behind.
  dataDir = await realpath(await mkdtemp(join(tmpdir(), `holdfast-test-${process.pid}-crash-`)));
  server = await startServer();
  await stocked();
});
afterAll(async () => {
  await server?.stop();
  const left = await findPostmaster(cluster());
  if (left) await stopPostmaster(cluster(), left.pid);
  await rm(dataDir, { recursive: true });
});

it("what was acknowledged is there, once, whatever was killed under load", async () => {
  const random = seededRandom();
  const kinds = Object.keys(crashes) as (keyof typeof crashes)[];
  const shop = Array.from({ length: clients }, (_, i) => new Client(`client-${i}`, random.fork()));
  const shopping = Promise.all(shop.map((client) => client.shop()));

  for (const kind of random.shuffled([...kinds, ...kinds])) {
    await sleep(random.integer(100, 700));
    await crashes[kind]();
    await read("/v1/stock/main/mug");
  }
  for (const client of shop) client.goHome();
  await shopping;

  expect(shop.flatMap(({ unexpected }) => unexpected)).toEqual([]);
  expect(Math.min(...shop.map(({ unanswered }) => unanswered)), "each was hit").toBeGreaterThan(0);
  await Promise.all(shop.map((client) => client.expectAllAsAcknowledged()));
  const acknowledged = shop.flatMap(({ reservations }) => [...reservations.values()]);
  for (const sku of [...skus, scarce.sku]) {
    const lines = (reservations: Acknowledged[]) =>
      reservations.flatMap((reservation) => reservation.lines).filter((line) => line.sku === sku);
    const delivered = shop.flatMap(({ deliveries }) => deliveries).filter((line) => line.sku === sku);
    const committed = sum(lines(acknowledged).map((line) => line.quantity_committed));
    const open = acknowledged.filter(({ status }) => status === "held" || status === "confirmed");
    const { body } = await read(`/v1/stock/main/${sku}`);
    expect(body).toMatchObject({
      quantity_on_hand: counted(sku) + sum(delivered.map((line) => line.quantity)) - committed,
      quantity_reserved: sum(lines(open).map((line) => line.quantity - line.quantity_committed)),
    });
  }
  // A backend that was killed last may take all others with it even now.
  const broken = await vi.waitFor(async () => violations(await databaseUrl()), patience);
  expect(broken).toEqual([]);
});

// ---- crashes -------------------------------------------------------------------------------------------------------

/** Each of them leaves something to recover from, which may not be over when the next one comes. */
const crashes = {
  async ofTheServer() {
    await server.kill();
    server = await startServer();
  },
  async ofPostgres() {
    process.kill(await postmaster(), "SIGKILL");
  },
  /** PostgreSQL ends all others then and recovers, for shared memory may be damaged. */
  async ofOneConnection() {
    const lastUsed = `select pid from pg_stat_activity where application_name = 'holdfast'
                      order by query_start desc limit 1`;
    await vi.waitFor(async () => {
      const [pid] = await query(await databaseUrl(), lastUsed);
      process.kill(Number(pid), "SIGKILL");
    }, patience);
  },
  async ofTheServerAndPostgres() {
    const pid = await postmaster();
    const killed = server.kill();
    process.kill(pid, "SIGKILL");
    await killed;
    server = await startServer();
  },
};

/** The pid of the one that is ready. */
function postmaster(): Promise<number> {
  return vi.waitFor(async () => {
    await databaseUrl();
    return (await findPostmaster(cluster()))!.pid;
  }, patience);
}

function startServer(): Promise<ServerProcess> {
  return ServerProcess.start({ HOLDFAST_DATA_DIR: dataDir, HOLDFAST_LOG_LEVEL: "fatal" });
}

function cluster(): string {
  return join(dataDir, "postgres");
}

async function databaseUrl(): Promise<string> {
  const url = await findRunningPostgres(dataDir);
  if (url === undefined) throw new Error("the database does not run");
  return url;
}

// ---- clients -------------------------------------------------------------------------------------------------------

interface Acknowledged {
  readonly id: string;
  readonly status: string;
  readonly lines: readonly ReservedLine[];
}

/** Reserves, ships, lets go and delivers, one request after the other, each until it is answered. */
class Client {
  /** As the last answer about each of them said. */
  readonly reservations = new Map<string, Acknowledged>();
  readonly refused: string[] = [];
  readonly deliveries: Line[] = [];
  readonly unexpected: Answer[] = [];
  unanswered = 0;
  private readonly name: string;
  private readonly random: Random;
  private wantsMore = true;

  constructor(name: string, random: Random) {
    this.name = name;
    this.random = random;
  }

  async shop(): Promise<void> {
    for (let i = 0; this.wantsMore; i++) {
      const id = `${this.name}-${i}`;
      const lines = this.someLines();
      const answer = await this.ask("PUT", `/v1/reservations/${id}`, { lines, ttl_seconds: 3_600 });
      if (answer.status === 409) this.refused.push(id);
      else if (this.acknowledge(answer)) await this.goOn(id, lines);
    }
  }

  goHome(): void {
    this.wantsMore = false;
  }

  async expectAllAsAcknowledged(): Promise<void> {
    for (const [id, acknowledged] of this.reservations) {
      const { status, body } = await read(`/v1/reservations/${id}`);
      expect([status, body]).toEqual([200, acknowledged]);
    }
    for (const id of this.refused) {
      expect((await read(`/v1/reservations/${id}`)).status).toBe(404);
    }
  }

  private async goOn(id: string, lines: Line[]): Promise<void> {
    const path = `/v1/reservations/${id}`;
    switch (this.random.integer(1, 6)) {
      case 1:
        this.acknowledge(await this.ask("POST", `${path}/confirm`));
        return;
      case 2:
        this.acknowledge(await this.ask("POST", `${path}/commit`));
        return;
      case 3: {
        const part = { lines: [{ ...lines[0]!, quantity: 1 }] };
        this.acknowledge(await this.ask("POST", `${path}/commit`, part, { "idempotency-key": "parcel" }));
        return;
      }
      case 4:
        this.acknowledge(await this.ask("POST", `${path}/release`));
        return;
      case 5: {
        const delivery = { id: `delivery-${id}`, reason: "delivery", lines };
        const { status, body } = await this.ask("POST", "/v1/stock/adjustments", delivery);
        if (status === 200) this.deliveries.push(...body.lines);
      }
    }
  }

  private acknowledge({ status, body }: Answer): boolean {
    const accepted = status === 200 || status === 201;
    if (accepted) this.reservations.set(body.id, body);
    return accepted;
  }

  private async ask(...request: Request): Promise<Answer> {
    const answer = await untilAnswered(request, () => this.unanswered++);
    if (![200, 201, 409].includes(answer.status)) this.unexpected.push(answer);
    return answer;
  }

  private someLines(): Line[] {
    const wanted = this.random.integer(1, 10) === 1 ? [scarce.sku] : this.random.shuffled(skus).slice(0, 2);
    return wanted.map((sku) => ({ store_id: "main", sku, quantity: this.random.integer(1, 3) }));
  }
}

type Request = Parameters<ServerProcess["ask"]>;

/** Sends the same request again while no answer comes, or the one that asks for it. */
async function untilAnswered(request: Request, onLost = () => {}): Promise<Answer> {
  for (;;) {
    const answer = await server.ask(...request).catch(() => undefined);
    if (answer !== undefined && answer.status !== 503) return answer;
    onLost();
    await sleep(20);
  }
}

function read(path: string): Promise<Answer> {
  return untilAnswered(["GET", path]);
}

async function stocked(): Promise<void> {
  const all = [...skus, scarce.sku];
  await untilAnswered([
    "PUT",
    "/v1/products/all",
    {
      name: "all",
      skus: all.map((sku) => ({ sku, price_minor: 100, currency: "EUR" })),
    },
  ]);
  for (const sku of all) {
    await untilAnswered([
      "PUT",
      `/v1/stock/main/${sku}`,
      { quantity_on_hand: counted(sku), reason: "found" },
    ]);
  }
}

function counted(sku: string): number {
  return sku === scarce.sku ? scarce.onHand : onHand;
}

function sum(quantities: readonly number[]): number {
  return quantities.reduce((total, quantity) => total + quantity, 0);
}
