import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, inject } from "vitest";

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
