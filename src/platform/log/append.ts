import type { Transaction } from "../batch/transaction.ts";
import type { Statement } from "../postgres/statement.ts";
import { announcement } from "./horizon.ts";

/** An event as a service writes it. `data` states what happened and what came of it. */
export interface EventRecord {
  readonly type: string;
  /** What it happened to: a reservation's id, a product's, … */
  readonly subject: string;
  readonly data: object;
  readonly traceparent?: string;
  /** The id of the event that led to it. */
  readonly cause?: string;
}

/** The order that an event is about, in whichever service it happened. */
export function orderOf({ data }: EventRecord): string | undefined {
  const { order_id } = data as { order_id?: unknown };
  return typeof order_id === "string" ? order_id : undefined;
}

/** Whatever happens to an order belongs together. */
export function keyOf(event: EventRecord): string {
  return orderOf(event) ?? event.subject;
}

/** The database's clock, and the place where this batch will stand in the log. */
export interface LogMark {
  readonly now: Date;
  readonly position: number;
  /** PostgreSQL's id of the transaction. */
  readonly tx: string;
}

export interface LogWriter {
  /** Asked for once the locks are held: of two batches that touch the same row, the later one gets the later place. */
  mark(tx: Transaction): Promise<LogMark>;
  append(tx: Transaction, mark: LogMark, events: readonly EventRecord[]): void;
}

export function logWriter(schema: string): LogWriter {
  const announce = announcement(schema);
  const mark: Statement = {
    name: `${schema}_log_mark`,
    // In milliseconds, so that a time means the same here, in JavaScript and on the wire.
    text: `select date_trunc('milliseconds', clock_timestamp()) as now, nextval('${schema}.log_position') as position,
                  pg_current_xact_id()::text as tx`,
  };
  const append: Statement = {
    name: `${schema}_log_append`,
    text: `insert into ${schema}.log (position, at, events) values ($1, $2, $3)`,
  };
  const find: Statement = {
    name: `${schema}_log_find`,
    text: `select 1 from ${schema}.log where position = $1 and at = $2`,
  };
  return {
    async mark(tx) {
      tx.write(announce, []);
      const [row] = await tx.read<LogMark>(mark);
      return row!;
    },
    append(tx, { now, position, tx: id }, events) {
      if (events.length === 0) return;
      tx.write(append, [position, now, JSON.stringify(events)]);
      tx.proveBy(id, find, [position, now]);
      tx.appended(schema, position);
    },
  };
}
