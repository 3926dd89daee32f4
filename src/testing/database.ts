import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, inject, onTestFinished } from "vitest";
import type { Pool } from "../platform/postgres/pool.ts";

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** A new, empty database on the server of the test run. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await administer(`CREATE DATABASE ${name}`);
  const url = new URL(inject("databaseAdminUrl"));
  url.pathname = name;
  return { url: url.href, drop: () => drop(name) };
}

/** The same for a test file or a describe block: made before its tests, dropped after them. */
export function useTestDatabase(): { readonly url: string } {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database?.drop());
  return {
    get url() {
      return database.url;
    },
  };
}

async function drop(name: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await administer(`DROP DATABASE ${name} WITH (FORCE)`);
    } catch (error) {
      // A worker of autovacuum is there, which only a superuser may send away; it goes by itself.
      if ((error as pg.DatabaseError).code !== insufficientPrivilege || tries === 50) throw error;
      await sleep(200);
    }
  }
}

/** Nobody is let into the database of the pool any more, and whoever is in is thrown out, until what this answers is called. */
export async function takeAway(pool: Pool): Promise<() => Promise<void>> {
  const { rows } = await pool.query("select current_database() as name");
  const { name } = rows[0];
  let isAway = true;
  const giveBack = async () => {
    if (isAway) await administer(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`);
    isAway = false;
  };
  onTestFinished(giveBack);
  await administer(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  await administer(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
  return giveBack;
}

const insufficientPrivilege = "42501";

async function administer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject("databaseAdminUrl") });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
