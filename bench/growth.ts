import type { Holdfast } from "../src/index.ts";
import { openEngine, oversold, query, reserve, stockUp, store_id, withPostgres } from "./database.ts";
import { round, run } from "./load.ts";
import type { Result } from "./result.ts";

const skus = 1_000_000;
const reservations = 2_000_000;

/** The hot SKU and reads with years of data in the tables, against the empty database in turns of the same run. */
export function growth(say: (message: string) => void): Promise<Result> {
  return withPostgres(async (server) => {
    const empty = await open(await server.createDatabase("empty"));
    const grown = await open(await server.createDatabase("grown"));
    await grow(grown.url);
    say(`  ${skus} SKUs and ${reservations} old reservations are in the tables`);

    const writes = { empty: 0, grown: 0, p50_ms: 0, p99_ms: 0 };
    const reads = { empty: 0, grown: 0 };
    for (const turn of [1, 2]) {
      for (const name of ["empty", "grown"] as const) {
        const side = name === "empty" ? empty : grown;
        const written = await run({ callers: 2_000, seconds: 2, warmUpSeconds: 0.5 }, () =>
          reserve(side.engine, crypto.randomUUID(), [side.sku]),
        );
        side.acknowledged += written.calls;
        const read = await run({ callers: 32, seconds: 2, warmUpSeconds: 0.5 }, () =>
          readSome(side.engine, name),
        );
        writes[name] += written.rate / 2;
        reads[name] += read.rate / 2;
        if (name === "grown") Object.assign(writes, { p50_ms: written.p50_ms, p99_ms: written.p99_ms });
        say(`  turn ${turn}, ${name}: ${written.rate} reservations/s, ${read.rate} reads/s`);
      }
    }
    await Promise.all([empty.engine.close(), grown.engine.close()]);

    return {
      rate: Math.round(writes.grown),
      p50_ms: writes.p50_ms,
      p99_ms: writes.p99_ms,
      baseline_rate: Math.round(writes.empty),
      ratio: round(writes.grown / writes.empty, 2),
      reads_rate: Math.round(reads.grown),
      reads_baseline_rate: Math.round(reads.empty),
      reads_ratio: round(reads.grown / reads.empty, 2),
      oversold:
        (await oversold(empty.url, empty.acknowledged)) + (await oversold(grown.url, grown.acknowledged)),
    };
  });
}

async function open(url: string) {
  const engine = await openEngine(url);
  const [sku] = await stockUp(engine, 1);
  return { url, engine, sku: sku!, acknowledged: 0 };
}

async function readSome(engine: Holdfast, name: "empty" | "grown"): Promise<void> {
  const sku = name === "empty" ? "SKU-0" : `old-${Math.floor(Math.random() * skus)}`;
  const record = await engine.stock({ store_id, sku });
  if (record === undefined) throw new Error(`${sku} has no record`);
}

/** Loaded past the indexes, which are built afterwards, and then tidied up as a database is that has grown slowly. */
async function grow(url: string): Promise<void> {
  await query(
    url,
    "set synchronous_commit = off",
    "set maintenance_work_mem = '512MB'",
    "alter table inventory.stock drop constraint stock_pkey",
    "alter table inventory.reservations drop constraint reservations_pkey",
    `insert into inventory.stock
     select 'old-' || i, '${store_id}', 'old', 100, 0, 100, 2, now(), true from generate_series(0, ${skus - 1}) i`,
    `insert into inventory.reservations
       (id, status, lines, created_at, updated_at, positions)
     select gen_random_uuid(), 'committed', (
            '[{"store_id":"${store_id}","sku":"old-' || i % ${skus} || '","quantity":1,"quantity_committed":1}]')::json,
            now(), now(), array[i]
     from generate_series(0, ${reservations - 1}) i`,
    "alter table inventory.stock add constraint stock_pkey primary key (sku, store_id)",
    "alter table inventory.reservations add constraint reservations_pkey primary key (id)",
    "vacuum (analyze) inventory.stock",
    "vacuum (analyze) inventory.reservations",
  );
}
