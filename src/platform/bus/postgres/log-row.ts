import { type EventRecord, keyOf } from "../../log/append.ts";
import type { BusEvent } from "../port.ts";

export interface LogRow {
  readonly position: number;
  readonly at: Date;
  readonly events: string;
}

export function busEventsOf(topic: string, { position, at, events }: LogRow): BusEvent[] {
  const records: EventRecord[] = JSON.parse(events);
  return records.map((record, index) => ({
    ...record,
    id: `${topic}-${position}-${index}`,
    topic,
    key: keyOf(record),
    at,
  }));
}
