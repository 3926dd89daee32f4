import { type EventRecord, keyOf } from "../../log/append.ts";
import type { Statement } from "../../postgres/statement.ts";
import type { BusEvent } from "../port.ts";

export interface LogRow {
  readonly position: number;
  readonly at: Date;
  readonly events: string;
}

/** A row whose events are read when first asked for, and then for everybody. */
export interface BusRow extends LogRow {
  readonly busEvents: () => readonly BusEvent[];
}

export function busRow(topic: string, row: LogRow): BusRow {
  let parsed: BusEvent[] | undefined;
  return {
    ...row,
    busEvents() {
      parsed ??= busEventsOf(topic, row);
      return parsed;
    },
  };
}

export function busEventsOf(topic: string, { position, at, events }: LogRow): BusEvent[] {
  const records: EventRecord[] = JSON.parse(events);
  return records.map((record, index) => {
    const { type, subject, data, traceparent, cause } = record;
    // Spelt out, since it is done for every event there is: copying the record as it is takes three times as long.
    const event: { -readonly [Key in keyof BusEvent]: BusEvent[Key] } = {
      id: `${topic}-${position}-${index}`,
      topic,
      type,
      subject,
      key: keyOf(record),
      at,
      data,
    };
    if (traceparent !== undefined) event.traceparent = traceparent;
    if (cause !== undefined) event.cause = cause;
    return event;
  });
}

export function rowsBehind(topic: string): Statement {
  return {
    name: `bus_read_${topic}`,
    text: `select position, at, events from ${topic}.whole_log
           where position > $1 and position <= $2 order by position limit $3`,
  };
}

export function lastRow(topic: string): Statement {
  const last = (table: string) =>
    `(select position from ${topic}.${table} where position <= $1 order by position desc limit 1)`;
  return {
    name: `bus_last_${topic}`,
    text: `select position from (${last("log")} union all ${last("log_base")}) as last order by position desc limit 1`,
  };
}
