import type { Transaction } from "../batch/transaction.ts";
import type { Pool } from "../postgres/pool.ts";
import type { Reader, Statement } from "../postgres/statement.ts";
import { completeUpTo } from "./horizon.ts";
import { exclusively, listPartitions, type Partition, unnamed } from "./partitions.ts";

/** A part of the log that is dropped: what lies behind `after`, up to `position`, at which its last batch stands. */
export interface DroppedRange {
  readonly after: number;
  readonly position: number;
  /** No batch up to there is younger. */
  readonly at: Date;
}

/** What a service keeps of the part of its log that goes. */
export interface LogSnapshot {
  /** Writes to the base, at positions within the range, what everything up to its end has come to. */
  take(tx: Transaction, dropped: DroppedRange): Promise<void>;
  /**
   * Deletes, a portion at a time, what only the dropped part gave a meaning to. May be done again and again; false when
   * it has not come to the end.
   */
  forget(portion: Portion, dropped: Omit<DroppedRange, "after">): Promise<boolean>;
}

/** Runs one transaction; undefined when another process looks after this log. */
export type Portion = <Result>(work: (tx: Transaction) => Promise<Result>) => Promise<Result | undefined>;

/** A group that is not done with what could be dropped. */
export interface SlowGroup {
  readonly group: string;
  readonly topic: string;
  /** Batches that it has not read. */
  readonly unread: number;
}

export interface RetentionOutcome {
  readonly dropped: readonly string[];
  readonly slow: readonly SlowGroup[];
  /** Whether those have lost what they had not read; otherwise they have kept it from being dropped. */
  readonly forced: boolean;
}

export interface RetentionOptions {
  readonly days: number;
  /** Drops what is too old even if a group has not read it. */
  readonly force: boolean;
  readonly snapshot: LogSnapshot | undefined;
  /** Groups that read the log itself even where a relay brings it to a broker. */
  readonly followers: readonly string[];
}

/**
 * Drops the partitions at the log's beginning of which everything is older than `days`, in one transaction with the
 * snapshot that takes their place: no crash leaves one without the other.
 */
export async function dropOldPartitions(
  pool: Pool,
  schema: string,
  options: RetentionOptions,
): Promise<RetentionOutcome | undefined> {
  const { force, snapshot } = options;
  return exclusively(pool, schema, async (tx) => {
    const plan = await planDrop(tx, schema, options);
    if (plan.partitions.length === 0) return { dropped: [], slow: plan.slow, forced: false };
    const { after, position, at } = plan.range;
    if (position > after) {
      await snapshot?.take(tx, plan.range);
      tx.write(setHorizon(schema), [position, at]);
      tx.write(deleteBase(schema), [after]);
      // Who had not read it all stands where parts of the base are now: from before them, it gets all of the base.
      for (const { group } of plan.slow) tx.write(rewind(group), [schema, after, position]);
    }
    // At the end, since it locks the log until the commit.
    const names = plan.partitions.map(({ name }) => name);
    tx.write(unnamed(`drop table ${names.map((name) => `${schema}.${name}`).join(", ")}`), []);
    return { dropped: names, slow: plan.slow, forced: force };
  });
}

interface DropPlan {
  readonly partitions: readonly Partition[];
  readonly range: DroppedRange;
  readonly slow: readonly SlowGroup[];
}

async function planDrop(
  tx: Transaction,
  schema: string,
  { days, force, followers }: RetentionOptions,
): Promise<DropPlan> {
  const horizon = await readHorizon(tx, schema);
  // Who still writes at a position of a partition keeps it from being dropped.
  const complete = await completeUpTo(tx, schema);
  const cursors = await readCursors(tx, schema, followers);
  const partitions: Partition[] = [];
  let range: DroppedRange = { ...horizon, after: horizon.position };
  let slow: readonly SlowGroup[] = [];
  for (const partition of await listPartitions(tx, schema)) {
    if (partition.end > complete) break;
    const [last] = await tx.read<{ position: number | null }>(lastPosition(schema, partition));
    const position = last!.position;
    if (position !== null) {
      if (!(await age(tx, newestTime(schema, partition), days)).is_old) break;
      const unread = await unreadBy(tx, schema, cursors, position);
      if (unread.length > 0 && !force) {
        slow = unread;
        break;
      }
      // Clocks are set back now and then, so what the last rows have told is made sure of.
      const { at, is_old } = await age(tx, latestTime(schema, partition), days);
      if (!is_old) break;
      range = { ...range, position, at: new Date(Math.max(at.getTime(), range.at.getTime())) };
      slow = unread;
    }
    partitions.push(partition);
  }
  return { partitions, range, slow };
}

export async function readHorizon(database: Reader, schema: string): Promise<Omit<DroppedRange, "after">> {
  const [horizon] = await database.read<{ position: number; at: Date }>(lastOfBase(schema));
  return horizon ?? { position: 0, at: new Date(0) };
}

interface Cursor {
  readonly group: string;
  readonly position: number;
}

/**
 * Groups of services that run in other processes count as well, so whoever keeps cursors here is asked. Where a relay
 * brings the log to a broker, the groups read there; then it counts itself, who reads his own log, and who follows it.
 */
async function readCursors(database: Reader, topic: string, followers: readonly string[]): Promise<Cursor[]> {
  const groups = await database.read<{ group: string }>(groupsHere);
  const cursors = (
    await Promise.all(groups.map(({ group }) => database.read<Cursor>(cursorOf(group), [group, topic])))
  ).flat();
  const isRelayed = cursors.some(({ group }) => group === "relay");
  const readers = ["relay", topic, ...followers];
  return isRelayed ? cursors.filter(({ group }) => readers.includes(group)) : cursors;
}

async function unreadBy(
  database: Reader,
  topic: string,
  cursors: readonly Cursor[],
  end: number,
): Promise<SlowGroup[]> {
  const slow: SlowGroup[] = [];
  for (const { group, position } of cursors.filter((cursor) => cursor.position < end)) {
    const [row] = await database.read<{ unread: number }>(countBetween(topic), [position, end]);
    if (row!.unread > 0) slow.push({ group, topic, unread: row!.unread });
  }
  return slow;
}

const rowsAtOnce = 5_000;

/** Deletes the rows that are too old from a table that is kept like a log: `position`, `at`, … */
export async function deleteOldRows(pool: Pool, schema: string, table: string, days: number): Promise<void> {
  for (;;) {
    const deleted = await exclusively(pool, schema, (tx) =>
      tx.read(deleteOldest(schema, table), [rowsAtOnce, days]),
    );
    if (deleted === undefined || deleted.length < rowsAtOnce) return;
  }
}

async function age(database: Reader, time: Statement, days: number): Promise<{ at: Date; is_old: boolean }> {
  const compare = `select at, at < clock_timestamp() - $1 * interval '1 day' as is_old from (${time.text}) as latest`;
  const [row] = await database.read<{ at: Date; is_old: boolean }>(unnamed(compare), [days]);
  return row!;
}

function lastPosition(schema: string, { name }: Partition): Statement {
  return unnamed(`select max(position) as position from ${schema}.${name}`);
}

/** Read from the end: cheap enough to ask every minute. */
function newestTime(schema: string, { name }: Partition): Statement {
  return unnamed(
    `select max(at) as at from (select at from ${schema}.${name} order by position desc limit 1000) as last`,
  );
}

function latestTime(schema: string, { name }: Partition): Statement {
  return unnamed(`select max(at) as at from ${schema}.${name}`);
}

function lastOfBase(schema: string): Statement {
  return {
    name: `${schema}_log_horizon`,
    text: `select position, at from ${schema}.log_base order by position desc limit 1`,
  };
}

function setHorizon(schema: string): Statement {
  return {
    name: `${schema}_log_set_horizon`,
    text: `insert into ${schema}.log_base (position, at, events) values ($1, $2, '[]') on conflict do nothing`,
  };
}

function deleteBase(schema: string): Statement {
  return { name: `${schema}_log_delete_base`, text: `delete from ${schema}.log_base where position <= $1` };
}

const groupsHere: Statement = {
  name: "log_groups_here",
  text: `select nspname as "group" from pg_class join pg_namespace on pg_namespace.oid = relnamespace
         where relname in ('cursors', 'dead_letters') and relkind = 'r'
         group by nspname having count(*) = 2 order by nspname`,
};

function cursorOf(group: string): Statement {
  return {
    name: `${group}_log_cursor_of`,
    text: `select $1 as "group", min(position) as position from ${group}.cursors where topic = $2 having count(*) > 0`,
  };
}

function rewind(group: string): Statement {
  return {
    name: `${group}_log_rewind`,
    text: `update ${group}.cursors set position = least(position, $2), index = 0, broker_offset = null
           where topic = $1 and position < $3`,
  };
}

function countBetween(schema: string): Statement {
  return {
    name: `${schema}_log_count_between`,
    text: `select count(*) as unread from ${schema}.whole_log where position > $1 and position <= $2`,
  };
}

function deleteOldest(schema: string, table: string): Statement {
  return {
    name: `${schema}_${table}_delete_oldest`,
    text: `with oldest as (select position, at from ${schema}.${table} order by position limit $1)
           delete from ${schema}.${table} as t using oldest
           where t.position = oldest.position and oldest.at < clock_timestamp() - $2 * interval '1 day'
           returning 1`,
  };
}
