import { type Transaction, transact } from "../batch/transaction.ts";
import type { Pool } from "../postgres/pool.ts";
import type { Reader, Statement } from "../postgres/statement.ts";

/** A part of a log: the positions from `start` up to, but without, `end`. */
export interface Partition {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** In positions. */
export interface PartitionSizes {
  /** A partition covers about a day, within these bounds. */
  readonly min: number;
  readonly max: number;
  /** So many are covered ahead of the last one that was taken. */
  readonly ahead: number;
}

/** 200,000 small batches are about 100 MB; fewer to a partition would make hundreds of tables of a small shop's log. */
export const partitionSizes: PartitionSizes = { min: 200_000, max: 20_000_000, ahead: 1_000_000 };

export async function listPartitions(database: Reader, schema: string): Promise<Partition[]> {
  const rows = await database.read<{ name: string; bounds: string }>(partitionsOf, [`${schema}.log`]);
  return rows
    .map(({ name, bounds }) => {
      const [, start, end] = /FROM \((?:'(\d+)'|MINVALUE)\) TO \('(\d+)'\)/.exec(bounds) ?? [];
      return { name, start: Number(start ?? 0), end: Number(end) };
    })
    .sort((a, b) => a.start - b.start);
}

/** How many more positions the log has room for; when none is left, whoever writes to it is refused. */
export async function roomAhead(database: Reader, schema: string): Promise<number> {
  const [row] = await database.read<{ taken: number }>(lastTaken(schema));
  return ((await listPartitions(database, schema)).at(-1)?.end ?? 0) - 1 - row!.taken;
}

/**
 * Makes the partitions that are missing ahead of need. However long this did not run, it goes on where the last one
 * ends: positions that were refused in between stay a gap.
 */
export async function coverAhead(tx: Transaction, schema: string, sizes: PartitionSizes): Promise<void> {
  const [row] = await tx.read<{ taken: number; now: Date }>(lastTaken(schema));
  const { taken, now } = row!;
  const partitions = await listPartitions(tx, schema);
  let end = partitions.at(-1)?.end ?? 0;
  if (end - 1 - taken >= sizes.ahead) return;
  const daily = await positionsOfADay(tx, schema, partitions, taken, now);
  const size = Math.min(Math.max(daily, sizes.min), sizes.max);
  while (end - 1 - taken < sizes.ahead) {
    const next = Math.max(end, taken + 1) + size;
    makePartition(tx, schema, end, next);
    end = next;
  }
}

/** Attaching, unlike CREATE … PARTITION OF, takes a lock on the log that lets everybody read and write. */
function makePartition(tx: Transaction, schema: string, start: number, end: number): void {
  const name = `${schema}.log_from_${start}`;
  tx.write(unnamed(`create table ${name} (like ${schema}.log including all)`), []);
  tx.write(
    unnamed(`alter table ${schema}.log attach partition ${name} for values from (${start}) to (${end})`),
    [],
  );
}

const dayMs = 86_400_000;
/** A rate that was seen for a shorter time says little about a day. */
const leastSeenMs = 3_600_000;

async function positionsOfADay(
  database: Reader,
  schema: string,
  partitions: readonly Partition[],
  taken: number,
  now: Date,
): Promise<number> {
  const used = partitions.filter(({ start }) => start <= taken);
  if (used.length === 0) return 0;
  const firstOfEach = used.map(
    ({ name }) => `(select position, at from ${schema}.${name} order by position limit 1)`,
  );
  const firsts = await database.read<{ position: number; at: Date }>(
    unnamed(`select * from (${firstOfEach.join(" union all ")}) as firsts order by position desc`),
  );
  const yesterday = firsts.find(({ at }) => now.getTime() - at.getTime() >= dayMs) ?? firsts.at(-1);
  if (yesterday === undefined) return 0;
  const seenMs = Math.max(now.getTime() - yesterday.at.getTime(), leastSeenMs);
  return Math.ceil(((taken - yesterday.position) * dayMs) / seenMs);
}

/**
 * Lets one process at a time look after a log; undefined while another one does. Nothing waits long for a lock here:
 * whoever comes after a waiting ALTER or DROP waits behind it, writers too.
 */
export function exclusively<Result>(
  pool: Pool,
  schema: string,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result | undefined> {
  return transact(pool, async (tx) => {
    const [lock] = await tx.read<{ taken: boolean }>(takeCare, [schema]);
    return lock!.taken ? work(tx) : undefined;
  });
}

/** Statements with names of tables in them are run once: prepared under a name, each would stay on the connection. */
export function unnamed(text: string): Statement {
  return { name: "", text };
}

const partitionsOf: Statement = {
  name: "log_partitions",
  text: `select relname as name, pg_get_expr(relpartbound, oid) as bounds from pg_class
         where oid in (select inhrelid from pg_inherits where inhparent = $1::regclass)`,
};
const takeCare: Statement = {
  name: "log_take_care",
  text: `select pg_try_advisory_xact_lock(7401, hashtext($1)) as taken,
                set_config('lock_timeout', '100ms', true), set_config('statement_timeout', '30min', true)`,
};

function lastTaken(schema: string): Statement {
  return {
    name: `${schema}_log_taken`,
    text: `select case when is_called then last_value else 0 end as taken, clock_timestamp() as now
           from ${schema}.log_position`,
  };
}
