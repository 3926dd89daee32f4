import type { Transaction } from "../batch/transaction.ts";
import type { Statement } from "../postgres/statement.ts";

/** An event as a service writes it. `data` states what happened and what came of it. */
export interface EventRecord {
  readonly type: string;
  /** What it happened to: a reservation's id, a product's, … */
  readonly subject: string;
  readonly data: object;
  readonly traceparent?: string;
}

/** The place of one batch in a log. */
export interface LogPosition {
  readonly tx: string;
  readonly position: number;
}

/** The database's clock, and the place where this batch will stand. */
export interface LogMark extends LogPosition {
  readonly now: Date;
}

export interface LogWriter {
  /** Asked for once the locks are held: of two batches that touch the same row, the later one gets the later place. */
  mark(tx: Transaction): Promise<LogMark>;
  append(tx: Transaction, mark: LogMark, events: readonly EventRecord[]): void;
}

export function logWriter(schema: string): LogWriter {
  const mark: Statement = {
    name: `${schema}_log_mark`,
    // In milliseconds, so that a time means the same here, in JavaScript and on the wire.
    text: `select date_trunc('milliseconds', clock_timestamp()) as now, nextval('${schema}.log_position') as position,
                  pg_current_xact_id()::text as tx`,
  };
  const append: Statement = {
    name: `${schema}_log_append`,
    text: `insert into ${schema}.log (tx, position, at, events) values (pg_current_xact_id(), $1, $2, $3)`,
  };
  const find: Statement = {
    name: `${schema}_log_find`,
    text: `select 1 from ${schema}.log where tx = $1::xid8 and position = $2 and at = $3`,
  };
  return {
    async mark(tx) {
      const [row] = await tx.read<LogMark>(mark);
      return row!;
    },
    append(tx, { now, position, tx: id }, events) {
      if (events.length === 0) return;
      tx.write(append, [position, now, JSON.stringify(events)]);
      tx.proveBy(id, find, [id, position, now]);
    },
  };
}
