import { refuse } from "../../kernel/decision.ts";
import { type BatchHandler, TryAgain } from "../../platform/batch/road.ts";
import { type InventorySettings, type StockBook, UnknownHolders } from "./book.ts";
import type {
  InventoryCommand,
  InventoryReply,
  Line,
  RecordedEvent,
  StockKey,
  Subjects,
} from "./contract/index.ts";
import { decide } from "./decide.ts";
import { lowStockAfter } from "./low-stock.ts";
import type { InventoryMetrics } from "./metrics.ts";
import { keyOf, StockMap } from "./stock.ts";
import { loadBook } from "./store/load.ts";
import { saveBook } from "./store/save.ts";

export type InventoryHandler = BatchHandler<InventoryCommand, InventoryReply>;

/** The road of the service. The same handler serves HTTP, the library, events, sweeps and imports. */
export function inventoryHandler(settings: InventorySettings, metrics: InventoryMetrics): InventoryHandler {
  /**
   * Records out of which goods have gone that are promised to others. Most goods that go are not, so who holds a record
   * is looked for only when a batch has found that it must know, and is run again.
   */
  const contested = new Set<string>();

  function settleAll(book: StockBook, commands: readonly InventoryCommand[]): InventoryReply[] {
    try {
      return commands.map((command) => settle(book, command, metrics));
    } catch (error) {
      if (!(error instanceof UnknownHolders)) throw error;
      for (const key of [error.key, ...scarce(book, commands)]) contested.add(keyOf(key));
      throw new TryAgain(error.message);
    }
  }

  return async (tx, commands) => {
    const book = await loadBook(tx, settings, commands, contested, metrics);
    const replies = settleAll(book, commands);
    if (contested.size > 0 && commands.some(({ type }) => type === "MoveStock")) contested.clear();
    metrics.checked(() => book.assertSound());
    saveBook(tx, book);
    return replies;
  };
}

/** Records out of which more has gone than was free: whoever asks after one of them will ask after the others too. */
function scarce(book: StockBook, commands: readonly InventoryCommand[]): StockKey[] {
  const gone = new StockMap<Line>();
  for (const command of commands) {
    if (command.type !== "MoveStock") continue;
    for (const { store_id, sku, quantity } of command.lines) {
      const key = { store_id, sku };
      if (quantity < 0) gone.set(key, { ...key, quantity: (gone.get(key)?.quantity ?? 0) - quantity });
    }
  }
  return gone.values().filter((line) => line.quantity > (book.stock(line)?.quantity_available ?? 0));
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
  if (command.type === "SyncProduct") book.placeSkus([...command.skus, ...droppedBy(happened)], command);
  for (const warning of lowStockAfter(happened, book.settings.low_stock_threshold)) {
    book.record(warning, command);
  }
  if (decision.events.length === 0 && command.type !== "ExpireReservations") metrics?.repeated();

  for (const event of happened) if ("refusal" in event.data) return refuse(event.data.refusal);
  return { accepted: true, created: !existed, subject: subjectOf(book, command, decision.events.length) };
}

function droppedBy(events: readonly RecordedEvent[]): string[] {
  return events.flatMap((event) => (event.type === "SkuDelisted" ? [event.data.sku] : []));
}

function subjectOf(
  book: StockBook,
  command: InventoryCommand,
  events: number,
): Subjects[InventoryCommand["type"]] {
  switch (command.type) {
    case "AdjustStock":
    case "MoveStock":
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
