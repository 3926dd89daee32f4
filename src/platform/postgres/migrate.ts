import { runner } from "node-pg-migrate";
import pg from "pg";
import { InfrastructureError } from "../errors.ts";

export interface MigrationSet {
  /** The schema that the statements run in; it is created when it is missing. */
  schema: string;
  /** Keeps the sets apart that share a schema. */
  name: string;
  directory: string;
}

/**
 * Brings each schema up to date, one set after the other. Several processes may start at once: the others wait on the
 * advisory lock and then find nothing left to do.
 */
export async function migrate(url: string, sets: readonly MigrationSet[]): Promise<{ applied: string[] }> {
  // One connection for all: at most starts there is nothing to do, and connecting would cost more than finding that out.
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {}); // a statement fails then, and says so
  try {
    await client.connect();
    const applied: string[] = [];
    for (const set of sets) applied.push(...(await bringUp(client, set)));
    return { applied };
  } finally {
    await client.end();
  }
}

async function bringUp(client: pg.Client, set: MigrationSet): Promise<string[]> {
  try {
    const done = await runner({
      dbClient: client,
      dir: set.directory,
      direction: "up",
      schema: set.schema,
      createSchema: true,
      migrationsSchema: set.schema,
      createMigrationsSchema: true,
      migrationsTable: `migrations_${set.name}`,
      advisoryLockMode: "wait",
      log: () => {},
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
    return done.map((migration) => `${set.schema}: ${migration.name}`);
  } catch (cause) {
    throw new InfrastructureError(
      "postgres.migration_failed",
      `the migrations of ${set.schema} (${set.name}) did not run: ${(cause as Error).message}`,
      { retryable: false, cause },
    );
  }
}
