import type { BatchHandler } from "../../platform/batch/road.ts";
import { lowStock } from "./adjustment.ts";
import type { InventorySettings, StockBook } from "./book.ts";
import type { InventoryCommand, InventoryReply, RecordedEvent, Subjects } from "./contract.ts";
import { decide } from "./decide.ts";
import type { InventoryMetrics } from "./metrics.ts";
import { effectOf } from "./stock.ts";
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
  for (const event of decision.events) book.record(event, command.traceparent);
  for (const { event } of book.events.slice(before)) warn(book, event, command.traceparent);
  if (decision.events.length === 0 && command.type !== "ExpireReservations") metrics?.repeated();

  const refusal = command.type === "ReserveStock" && book.reservation(command.reservation_id)?.refusal;
  if (refusal) return { accepted: false, refusal };
  return { accepted: true, created: !existed, subject: subjectOf(book, command, decision.events.length) };
}

function warn(book: StockBook, event: RecordedEvent, traceparent: string | undefined): void {
  const effect = effectOf(event.type);
  if (effect === undefined || !("lines" in event.data)) return;
  const perUnit = effect.on_hand - effect.reserved;
  for (const line of event.data.lines) {
    const before = line.quantity_available - line.quantity * perUnit;
    const warning = lowStock(before, line, line.quantity_available, book.settings.low_stock_threshold);
    if (warning !== undefined) book.record(warning, traceparent);
  }
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
