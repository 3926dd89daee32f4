import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../src/index.ts";
import { startEmbeddedPostgres } from "../src/platform/postgres/embedded/index.ts";

export interface BenchServer {
  /** A new, empty database. */
  createDatabase(name: string): Promise<string>;
}

/** A real PostgreSQL of its own for one benchmark, as durable as in production; removed afterwards. */
export async function withPostgres<T>(work: (server: BenchServer) => Promise<T>): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  const postgres = await startEmbeddedPostgres({ dataDir });
  try {
    return await work({
      async createDatabase(name) {
        await query(postgres.url, `create database ${name}`);
        const url = new URL(postgres.url);
        url.pathname = name;
        return url.href;
      },
    });
  } finally {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

export async function query<Row>(url: string, ...statements: string[]): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    let rows: Row[] = [];
    for (const statement of statements) rows = (await client.query(statement)).rows as Row[];
    return rows;
  } finally {
    await client.end();
  }
}

export const store_id = "main";
export const plenty = 2_000_000_000;

export async function openEngine(
  databaseUrl: string,
  options: Partial<HoldfastOptions> = {},
): Promise<Holdfast> {
  return createHoldfast({ databaseUrl, mailboxDepth: 100_000, ...options });
}

/** Products with `count` SKUs in all, each with more stock than any run can sell. */
export async function stockUp(engine: Holdfast, count: number): Promise<string[]> {
  const skus = Array.from({ length: count }, (_, i) => `SKU-${i}`);
  for (let i = 0; i < count; i += 1_000) {
    const some = skus.slice(i, i + 1_000).map((sku) => ({ sku, price_minor: 1_000, currency: "EUR" }));
    await engine.putProduct(`product-${i}`, { name: `Product ${i}`, skus: some });
  }
  // Through a broker that has just been started, the inventory hears of them a moment later.
  for (let tries = 0; ; tries++) {
    const counted = await Promise.all(
      skus.map((sku) => engine.count({ store_id, sku }, plenty, { reason: "benchmark" })),
    );
    const refused = counted.find((reply) => !reply.accepted);
    if (refused === undefined) return skus;
    if (tries === 60) throw new Error(`stocking up was refused: ${JSON.stringify(refused)}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Units that are reserved beyond what was acknowledged or beyond what is there; 0 is the only good answer. */
export async function oversold(url: string, acknowledged: number): Promise<number> {
  const [row] = await query<{ reserved: string; negative: string }>(
    url,
    `select coalesce(sum(quantity_reserved), 0) as reserved,
            coalesce(sum(-quantity_available) filter (where quantity_available < 0), 0) as negative
     from inventory.stock`,
  );
  return Math.abs(Number(row!.reserved) - acknowledged) + Number(row!.negative);
}

export async function reserve(engine: Holdfast, id: string, skus: readonly string[]): Promise<void> {
  const lines = skus.map((sku) => ({ store_id, sku, quantity: 1 }));
  const reply = await engine.reserve(id, lines);
  if (!reply.accepted) throw new Error(`${id} was refused: ${reply.refusal.detail}`);
}
