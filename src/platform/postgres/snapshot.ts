import type { Pool } from "./pool.ts";
import { type Reader, readerOf } from "./statement.ts";

/**
 * Everything that `work` reads of a database is as it was at one moment, while others go on writing. The moments of
 * several databases follow each other at once.
 */
export async function onSnapshots<Result>(
  [pool, ...others]: readonly Pool[],
  work: (databases: readonly Reader[]) => Promise<Result>,
): Promise<Result> {
  if (pool === undefined) return work([]);
  return onSnapshot(pool, (database) => onSnapshots(others, (rest) => work([database, ...rest])));
}

async function onSnapshot<Result>(pool: Pool, work: (database: Reader) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query("begin isolation level repeatable read, read only");
    // Years of log take longer than any request may.
    await client.query("set local statement_timeout = 0");
    await client.query("set local idle_in_transaction_session_timeout = 0");
    await client.query(momentFixed);
    return await work(readerOf(client));
  } finally {
    client.release(true);
  }
}

/** What a transaction sees is settled with its first question. */
const momentFixed = "select";
