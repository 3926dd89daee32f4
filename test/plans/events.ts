import type { BusEvent } from "../../src/platform/bus/port.ts";

let told = 0;

/** An event as the bus brings it, each from a place of its own in the log. */
export function heard(
  topic: string,
  type: string,
  data: { order_id: string; [field: string]: unknown },
): BusEvent {
  const { order_id } = data;
  const id = `${topic}-${9_000_000 + told++}-0`;
  return { id, topic, type, subject: order_id, key: order_id, at: new Date(), data };
}
