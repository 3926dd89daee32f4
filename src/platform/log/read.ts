import type { Reader, Statement } from "../postgres/statement.ts";
import type { EventRecord } from "./append.ts";
import { completeUpTo } from "./horizon.ts";

/** What one transaction has written. */
export interface LogBatch {
  readonly position: number;
  readonly at: Date;
  readonly events: readonly EventRecord[];
}

interface LogRow {
  position: number;
  at: Date;
  events: string;
}

/**
 * The batches behind `after`, in their order, as far as none can come in between any more. Where retention has dropped
 * the log's beginning, its place is taken by what it has come to: batches too, at positions of what was dropped.
 */
export async function readLog(
  database: Reader,
  schema: string,
  after: number,
  limit: number,
): Promise<LogBatch[]> {
  // One statement, so that it cannot see the base before a drop and the log after it.
  const behind: Statement = {
    name: `${schema}_log_read`,
    text: `select position, at, events from ${schema}.whole_log
           where position > $1 and position <= $2 order by position limit $3`,
  };
  const end = await completeUpTo(database, schema);
  return end <= after ? [] : (await database.read<LogRow>(behind, [after, end, limit])).map(parse);
}

/**
 * The batches behind `after`, as far as this reader sees any: for whoever looks at one moment, of which all tables tell
 * alike, and does not go on from there.
 */
export async function readSeen(
  database: Reader,
  schema: string,
  after: number,
  limit: number,
): Promise<LogBatch[]> {
  const behind: Statement = {
    name: `${schema}_log_read_seen`,
    text: `select position, at, events from ${schema}.whole_log where position > $1 order by position limit $2`,
  };
  return (await database.read<LogRow>(behind, [after, limit])).map(parse);
}

/** The batches at these positions, in the order of the log; a position that retention has dropped is left out. */
export async function readLogAt(database: Reader, schema: string, positions: number[]): Promise<LogBatch[]> {
  const at: Statement = {
    name: `${schema}_log_read_at`,
    text: `select position, at, events from ${schema}.log where position = any($1::bigint[]) order by position`,
  };
  return (await database.read<LogRow>(at, [positions])).map(parse);
}

/** The last position that retention has dropped; 0 while the log is whole. */
export async function droppedUpTo(database: Reader, schema: string): Promise<number> {
  const last: Statement = {
    name: `${schema}_log_dropped_up_to`,
    text: `select coalesce(max(position), 0) as position from ${schema}.log_base`,
  };
  const [row] = await database.read<{ position: number }>(last);
  return row!.position;
}

function parse(row: LogRow): LogBatch {
  return { ...row, events: JSON.parse(row.events) };
}
