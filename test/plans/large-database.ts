import type { PoolClient } from "pg";
import { afterAll, beforeAll, describe } from "vitest";
import { migrationsOf } from "../../src/engine.ts";
import { migrate } from "../../src/platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../src/platform/postgres/pool.ts";
import { serviceNames } from "../../src/platform/settings.ts";
import { useTestDatabase } from "../../src/testing/database.ts";

export interface LargeDatabase {
  readonly pool: Pool;
}

/** A database whose tables are filled with what these statements make, on a single connection. */
export function useLargeDatabase(content: readonly string[]): LargeDatabase {
  const database = useTestDatabase();
  let pool: Pool;
  beforeAll(async () => {
    await migrate(database.url, migrationsOf("postgres", serviceNames));
    pool = createPool(database.url, { max: 1, name: "test" });
    const client = await pool.connect();
    try {
      await fill(client, content);
    } finally {
      client.release();
    }
  });
  afterAll(() => pool?.end());
  return {
    get pool() {
      return pool;
    },
  };
}

async function fill(client: PoolClient, content: readonly string[]): Promise<void> {
  // Statistics are to be there when a test has asked for them, and not before.
  const { rows } = await client.query<{ name: string }>(everyTable);
  for (const { name } of rows) await client.query(`alter table ${name} set (autovacuum_enabled = off)`);
  await client.query("set statement_timeout = 0");
  for (const statement of content) await client.query(statement);
  await client.query("reset statement_timeout");
}

/** Before PostgreSQL knows anything about the tables, and afterwards. */
export function inEachState(database: LargeDatabase, tests: (isAnalyzed: boolean) => void): void {
  describe("right after an import, without statistics,", () => tests(false));
  describe("once it is analyzed,", () => {
    beforeAll(() => database.pool.query("set statement_timeout = 0; analyze; reset statement_timeout"));
    tests(true);
  });
}

/** The log of a service, a row for each of so many batches. */
export function logOf(schema: string, batches: number): string[] {
  return [
    `insert into ${schema}.log (position, at, events) select n, now(), '[]' from generate_series(1, ${batches}) n`,
    `select setval('${schema}.log_position', ${batches})`,
  ];
}

/** So many different numbers from 1 to `end`, from everywhere in between. */
export function spread(size: number, end: number): number[] {
  return Array.from({ length: size }, (_, i) => ((i * 7_919) % end) + 1);
}

// Parameters of storage belong to the partitions: a partitioned table has no storage.
const everyTable = `
  select format('%I.%I', nspname, relname) as name
  from pg_class join pg_namespace n on n.oid = relnamespace
  where relkind = 'r' and nspname <> 'information_schema' and nspname not like 'pg\\_%'`;
