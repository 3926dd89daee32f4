import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { AfterCommit } from "../../platform/bus/port.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import type { InventorySettings } from "./book.ts";
import type {
  InventoryCommand,
  InventoryReply,
  Movement,
  Reservation,
  StockKey,
  StockRecord,
} from "./contract.ts";
import { type InventoryHandler, inventoryHandler } from "./handle.ts";
import { inventoryMetrics } from "./metrics.ts";
import * as queries from "./queries.ts";
import { schema } from "./store/schema.ts";

/** What can be asked of the service within this process. */
export interface Inventory {
  submit<Command extends InventoryCommand>(command: Command): Promise<InventoryReply<Command["type"]>>;
  /** For callers that bring a transaction of their own. */
  readonly handle: InventoryHandler;
  /** The same for events: they are counted like what was submitted, once they are durable. */
  carryOut(tx: Transaction, commands: readonly InventoryCommand[]): Promise<AfterCommit>;
  stock(key: StockKey, at?: Date): Promise<StockRecord | undefined>;
  listStock(
    filter: queries.StockFilter,
    after: string | undefined,
    limit: number,
  ): Promise<queries.Page<StockRecord>>;
  listMovements(key: StockKey, after: string | undefined, limit: number): Promise<queries.Page<Movement>>;
  reservation(id: string): Promise<Reservation | undefined>;
  drain(): Promise<void>;
}

export interface InventoryOptions extends ServiceOptions {
  readonly settings: InventorySettings;
}

export function createInventory({
  pool,
  reads,
  settings,
  maxWaiting,
  registry,
  logger,
  tracer,
}: InventoryOptions): Inventory {
  const database = readerOf(reads);
  const metrics = inventoryMetrics(
    registry,
    remembered(() => queries.readTotals(database)),
  );
  const handle = inventoryHandler(settings, metrics);
  const poisoned = setAside(pool, schema, logger);
  const road = new Road<InventoryCommand, InventoryReply>({
    pool,
    handle,
    maxWaiting,
    workOf,
    observer: {
      batch: metrics.batch,
      rollback: metrics.rollback,
      poison(command, error) {
        metrics.poison(error);
        poisoned(command, error);
      },
    },
    tracer,
    service: schema,
  });

  return {
    async submit<Command extends InventoryCommand>(command: Command) {
      const started = performance.now();
      const reply = await road.submit(command);
      metrics.answered(command, reply, (performance.now() - started) / 1_000);
      return reply as InventoryReply<Command["type"]>;
    },
    handle,
    async carryOut(tx, commands) {
      const started = performance.now();
      const replies = await handle(tx, commands);
      return () => {
        const duration = (performance.now() - started) / 1_000;
        metrics.batch(commands.length, duration);
        commands.forEach((command, i) => {
          metrics.answered(command, replies[i]!, duration);
        });
      };
    },
    stock: (key, at) =>
      at === undefined ? queries.findStock(database, key) : queries.findStockAt(database, key, at),
    listStock: (filter, after, limit) => queries.listStock(database, filter, after, limit),
    listMovements: (key, after, limit) => queries.listMovements(database, key, after, limit),
    reservation: (id) => queries.findReservation(database, id),
    drain: () => road.drain(),
  };
}

/** A batch is bounded by the rows that it moves, not by the number of commands. */
function workOf(command: InventoryCommand): number {
  if (command.type === "ExpireReservations") return command.limit;
  return "lines" in command ? (command.lines?.length ?? 1) : 1;
}

const rememberedMs = 15_000;

/** Sums over a million rows are not made anew for every scrape and every gauge. */
function remembered<Value>(ask: () => Promise<Value>): () => Promise<Value> {
  let value: Promise<Value> | undefined;
  let askedAt = 0;
  return () => {
    if (value === undefined || performance.now() - askedAt > rememberedMs) {
      askedAt = performance.now();
      value = ask();
      value.catch(() => {
        value = undefined;
      });
    }
    return value;
  };
}
