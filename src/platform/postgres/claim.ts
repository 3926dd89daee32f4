import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

export interface Claim {
  release(): Promise<void>;
}

const key = 7400;
// What held it may have been killed a moment ago, and PostgreSQL is about to notice.
const patienceMs = 10_000;

/**
 * Makes this process the only server on an embedded database; otherwise the one would stop PostgreSQL under the other.
 * A session holds the claim, so no crash can leave it behind. Answers with who has it when it cannot be had.
 */
export async function claimDatabase(url: string): Promise<Claim | { readonly takenBy: string }> {
  const client = new pg.Client({
    connectionString: url,
    application_name: `holdfast server, process ${process.pid}`,
    keepAlive: true,
  });
  client.on("error", () => undefined);
  await client.connect();
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const { rows } = await client.query("select pg_try_advisory_lock($1) as taken", [key]);
    if (rows[0].taken) return { release: () => client.end() };
    if (performance.now() > giveUpAt) break;
    await sleep(100);
  }
  const { rows } = await client.query(holder, [key]);
  await client.end();
  return { takenBy: rows[0]?.name ?? "another server" };
}

const holder = `
  select application_name as name from pg_stat_activity join pg_locks using (pid)
  where locktype = 'advisory' and granted and objid = $1
    and database = (select oid from pg_database where datname = current_database())`;
