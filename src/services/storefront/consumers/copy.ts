import type { BusEvent, Subscription } from "../../../platform/bus/port.ts";
import type { EventRecord, LogWriter } from "../../../platform/log/append.ts";

/** Writes what a broker brings of the inventory's log into a log of our own, in the order in which it comes. */
export function copyInventory(log: LogWriter, onCopied: (at: Date) => void): Subscription {
  return {
    group: "storefront",
    topics: { inventory: "all" },
    afterFailure: "follow",
    async handle(tx, events) {
      const mark = await log.mark(tx);
      log.append(tx, mark, events.map(recordOf));
      return () => {
        for (const { at } of events) onCopied(at);
      };
    },
  };
}

function recordOf({ id, type, subject, data, traceparent }: BusEvent): EventRecord {
  return { type, subject, data, cause: id, ...(traceparent === undefined ? {} : { traceparent }) };
}
