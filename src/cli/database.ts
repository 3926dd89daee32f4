import type { Config } from "../platform/config.ts";
import { findRunningPostgres, startEmbeddedPostgres } from "../platform/postgres/embedded/index.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { note } from "./output.ts";

/** The external database, or the embedded one: as it runs already, else started for as long as the work takes. */
export async function withDatabase<Result>(
  config: Config,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  const running = config.databaseUrl ?? (await findRunningPostgres(config.dataDir));
  if (running !== undefined) return work(running);

  const server = await startEmbeddedPostgres({ dataDir: config.dataDir, onProgress: note });
  const interrupted = () => {
    server.stop().finally(() => process.exit(1));
  };
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    return await work(server.url);
  } finally {
    if (!(await isUsedByOthers(server.url))) await server.stop();
  }
}

export async function withPool<Result>(
  url: string,
  name: string,
  work: (pool: Pool) => Promise<Result>,
): Promise<Result> {
  const pool = createPool(url, { max: 1, name });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** A server that was started meanwhile has taken the database over, and will stop it. */
async function isUsedByOthers(url: string): Promise<boolean> {
  try {
    return await withPool(url, "holdfast", async (pool) => (await pool.query(otherClients)).rows[0].found);
  } catch {
    return false;
  }
}

const otherClients = `
  select exists (select from pg_stat_activity
                 where datname = current_database() and backend_type = 'client backend'
                   and pid <> pg_backend_pid() and application_name like 'holdfast server%') as found`;
