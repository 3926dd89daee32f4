import type { Reader, Statement } from "../postgres/statement.ts";
import type { EventRecord, LogPosition } from "./append.ts";

export interface LogBatch extends LogPosition {
  readonly at: Date;
  readonly events: readonly EventRecord[];
}

interface LogRow extends LogPosition {
  at: Date;
  events: string;
}

export const logStart: LogPosition = { tx: "0", position: 0 };

/**
 * The batches behind `after`. Transactions commit in another order than they started in, so a reader that remembered a
 * mere position would overlook what is committed late. It reads only what is older than every transaction that still
 * runs, in the order of (tx, position).
 */
export async function readLog(
  database: Reader,
  schema: string,
  after: LogPosition,
  limit: number,
): Promise<LogBatch[]> {
  const behind: Statement = {
    name: `${schema}_log_read`,
    text: `select tx::text, position, at, events from ${schema}.log
           where (tx, position) > ($1::xid8, $2) and tx < pg_snapshot_xmin(pg_current_snapshot())
           order by log.tx, position limit $3`,
  };
  return (await database.read<LogRow>(behind, [after.tx, after.position, limit])).map(parse);
}

/** The batches at these positions, in the order of the log; a position that retention has dropped is left out. */
export async function readLogAt(database: Reader, schema: string, positions: number[]): Promise<LogBatch[]> {
  const at: Statement = {
    name: `${schema}_log_read_at`,
    text: `select tx::text, position, at, events from ${schema}.log where position = any($1::bigint[]) order by position`,
  };
  return (await database.read<LogRow>(at, [positions])).map(parse);
}

function parse(row: LogRow): LogBatch {
  return { ...row, events: JSON.parse(row.events) };
}

export function isAtOrAfter(a: LogPosition, b: LogPosition): boolean {
  const [txA, txB] = [BigInt(a.tx), BigInt(b.tx)];
  return txA === txB ? a.position >= b.position : txA > txB;
}
