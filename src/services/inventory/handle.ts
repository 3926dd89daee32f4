import { refuse } from "../../kernel/decision.ts";
import type { BatchHandler } from "../../platform/batch/road.ts";
import type { InventorySettings, StockBook } from "./book.ts";
import type { InventoryCommand, InventoryReply, Subjects } from "./contract.ts";
import { decide } from "./decide.ts";
import { lowStockAfter } from "./low-stock.ts";
import type { InventoryMetrics } from "./metrics.ts";
import { loadBook } from "./store/load.ts";
import { saveBook } from "./store/save.ts";

export type InventoryHandler = BatchHandler<InventoryCommand, InventoryReply>;

/** The road of the service. The same handler serves HTTP, the library, events, sweeps and imports. */
export function inventoryHandler(settings: InventorySettings, metrics: InventoryMetrics): InventoryHandler {
  return async (tx, commands) => {
    const book = await loadBook(tx, settings, commands, metrics);
    const replies = commands.map((command) => settle(book, command, metrics));
    metrics.checked(() => book.assertSound());
    saveBook(tx, book);
    return replies;
  };
}

/** Decides one command on the book as the ones before have left it, and lets its events happen. */
export function settle(
  book: StockBook,
  command: InventoryCommand,
  metrics?: InventoryMetrics,
): InventoryReply {
  const existed = "reservation_id" in command && book.reservation(command.reservation_id) !== undefined;
  const decision = decide(book, command);
  if (!decision.accepted) return decision;

  const before = book.events.length;
  for (const event of decision.events) book.record(event, command);
  const happened = book.events.slice(before).map(({ event }) => event);
  for (const warning of lowStockAfter(happened, book.settings.low_stock_threshold)) {
    book.record(warning, command);
  }
  if (decision.events.length === 0 && command.type !== "ExpireReservations") metrics?.repeated();

  for (const event of happened) if ("refusal" in event.data) return refuse(event.data.refusal);
  return { accepted: true, created: !existed, subject: subjectOf(book, command, decision.events.length) };
}

function subjectOf(
  book: StockBook,
  command: InventoryCommand,
  events: number,
): Subjects[InventoryCommand["type"]] {
  switch (command.type) {
    case "AdjustStock":
      return book.adjustment(command.adjustment_id)!;
    case "CountStock":
      return book.stock(command)!;
    case "ExpireReservations":
      return { expired: events };
    case "SyncProduct":
      return null;
    default:
      return book.reservation(command.reservation_id)!;
  }
}
