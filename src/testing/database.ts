import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, onTestFinished } from "vitest";
import type { Pool } from "../platform/postgres/pool.ts";
import { patience } from "./patience.ts";

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
  const giveUpAt = performance.now() + patience.timeout;
  for (;;) {
    try {
      await administer(`DROP DATABASE ${name} WITH (FORCE)`);
      return;
    } catch (error) {
      const { code } = error as pg.DatabaseError;
      if (!inTheWay.has(code) || performance.now() > giveUpAt) throw error;
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
  const throwOut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`;
  await expect.poll(() => administer(throwOut)).toEqual([]);
  return giveBack;
}

const inTheWay = new Set<string | undefined>([
  "42501", // a worker of autovacuum, which only a superuser may send away; it goes by itself
  "55006", // somebody who was sent away, and takes his time
]);

async function administer(statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: inject("databaseAdminUrl") });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
