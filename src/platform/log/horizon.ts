import type { Reader, Statement } from "../postgres/statement.ts";

/*
 * Places are taken while the rows are locked, so for each row the order of the log is the order of its changes. But
 * transactions commit in another order than they take their places: a reader that went on from the newest place that it
 * can see would overlook what is committed late. So a writer announces itself, before it takes its place, by an advisory
 * lock whose key tells the last place that was taken by then. PostgreSQL drops the lock when the transaction has ended,
 * whichever way. Up to the lowest place that is announced, nothing more can come.
 */

const placeBits = 48;
const placeMask = 2 ** placeBits - 1;

/** The last place that was taken; a sequence that was never used has taken none. */
const lastTaken = "case when is_called then last_value else 0 end";

function logKey(schema: string): string {
  return `(hashtext('holdfast ${schema}') & 32767)::bigint`;
}

export function announcement(schema: string): Statement {
  return {
    name: `${schema}_log_announce`,
    text: `select pg_advisory_xact_lock_shared((${logKey(schema)} << ${placeBits}) | (${lastTaken}))
           from ${schema}.log_position`,
  };
}

/**
 * The place up to which the log is complete. The order of the two questions matters: who announces itself after the
 * second one takes a place behind the answer to the first.
 */
export async function completeUpTo(database: Reader, schema: string): Promise<number> {
  const last: Statement = {
    name: `${schema}_log_last_taken`,
    text: `select ${lastTaken} as position from ${schema}.log_position`,
  };
  const announced: Statement = {
    name: `${schema}_log_announced`,
    text: `select min(((classid::bigint << 32) | objid::bigint) & ${placeMask}) as position from pg_locks
           where locktype = 'advisory' and objsubid = 1 and classid::bigint >> 16 = ${logKey(schema)}
             and database = (select oid from pg_database where datname = current_database())`,
  };
  const [taken] = await database.read<{ position: number }>(last);
  const [pending] = await database.read<{ position: number | null }>(announced);
  return Math.min(taken!.position, pending!.position ?? Number.POSITIVE_INFINITY);
}
