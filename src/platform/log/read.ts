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

/** The batches behind `after`, in their order, as far as none can come in between any more. */
export async function readLog(
  database: Reader,
  schema: string,
  after: number,
  limit: number,
): Promise<LogBatch[]> {
  const behind: Statement = {
    name: `${schema}_log_read`,
    text: `select position, at, events from ${schema}.log
           where position > $1 and position <= $2 order by position limit $3`,
  };
  const end = await completeUpTo(database, schema);
  return end <= after ? [] : (await database.read<LogRow>(behind, [after, end, limit])).map(parse);
}

/** The batches at these positions, in the order of the log; a position that retention has dropped is left out. */
export async function readLogAt(database: Reader, schema: string, positions: number[]): Promise<LogBatch[]> {
  const at: Statement = {
    name: `${schema}_log_read_at`,
    text: `select position, at, events from ${schema}.log where position = any($1::bigint[]) order by position`,
  };
  return (await database.read<LogRow>(at, [positions])).map(parse);
}

function parse(row: LogRow): LogBatch {
  return { ...row, events: JSON.parse(row.events) };
}
