import type { EventRecord } from "../../log/append.ts";
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

/** Whatever happens to an order, in whichever service, belongs together. */
function keyOf({ subject, data }: EventRecord): string {
  const { order_id } = data as { order_id?: unknown };
  return typeof order_id === "string" ? order_id : subject;
}
