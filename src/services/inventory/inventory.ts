import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import { type Transaction, transact } from "../../platform/batch/transaction.ts";
import type { InboundMessage } from "../../platform/bus/broker/broker.ts";
import type { AfterCommit, BusEvent } from "../../platform/bus/port.ts";
import { InfrastructureError } from "../../platform/errors.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { about } from "../../platform/telemetry/about.ts";
import type { InventorySettings } from "./book.ts";
import { eventOf, movementOf, RefusedMessage } from "./consumers/inbound.ts";
import type {
  InventoryCommand,
  InventoryReply,
  Movement,
  Reservation,
  StockKey,
  StockRecord,
} from "./contract/index.ts";
import { type InventoryHandler, inventoryHandler } from "./handle.ts";
import { inventoryMetrics } from "./metrics.ts";
import * as queries from "./queries.ts";
import { keepLetters, type Letter } from "./store/letters.ts";
import { schema } from "./store/schema.ts";

/** What can be asked of the service within this process. */
export interface Inventory {
  submit<Command extends InventoryCommand>(command: Command): Promise<InventoryReply<Command["type"]>>;
  /** For callers that bring a transaction of their own. */
  readonly handle: InventoryHandler;
  /** What systems outside tell. Resolves once each message is carried out, or set aside with the reason. */
  receive(messages: readonly InboundMessage[]): Promise<void>;
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
  stopping,
}: InventoryOptions): Inventory {
  const database = readerOf(reads);
  const metrics = inventoryMetrics(
    registry,
    logger,
    remembered(() => queries.readTotals(database)),
  );
  const handle = inventoryHandler(settings, metrics);
  const poisoned = setAside(pool, schema, logger);
  const road = new Road<InventoryCommand, InventoryReply>({
    pool,
    handle,
    maxWaiting,
    stopping,
    workOf,
    observer: {
      batch: metrics.batch,
      rollback: metrics.rollback,
      poison(command, error) {
        metrics.poison(error);
        // A message is set aside as such, for it can be tried again.
        if (command.type !== "MoveStock") poisoned(command, error);
      },
    },
    tracer,
    service: schema,
  });

  async function submit<Command extends InventoryCommand>(command: Command) {
    const started = performance.now();
    const reply = await road.submit(command);
    metrics.answered(command, reply, (performance.now() - started) / 1_000);
    return reply as InventoryReply<Command["type"]>;
  }

  /** Why it has to be set aside; undefined when it is carried out. Throws when that has to wait. */
  async function whyNot(event: BusEvent): Promise<Omit<Letter, "event"> | undefined> {
    try {
      const reply = await submit(movementOf(event));
      if (reply.accepted) return undefined;
      // The catalogue's own event may be late, for it comes another way.
      const mayPass = reply.refusal.code === "inventory.unknown_sku";
      return { status: mayPass ? "retrying" : "dead", error: reply.refusal.detail };
    } catch (error) {
      if (error instanceof InfrastructureError && error.retryable) throw error;
      return { status: "dead", error: wordsOf(error) };
    }
  }

  async function receive(messages: readonly InboundMessage[]): Promise<void> {
    const outcomes = await Promise.allSettled(
      messages.map(eventOf).map(async (event) => ({ event, letter: await whyNot(event) })),
    );
    const letters: Letter[] = [];
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") throw outcome.reason;
      const { event, letter } = outcome.value;
      if (letter !== undefined) letters.push({ event, ...letter });
    }
    if (letters.length > 0) await transact(pool, async (tx) => keepLetters(tx, letters));
    metrics.received(messages.length - letters.length, letters.length);
    for (const { event, error } of letters) {
      logger.error(
        { reason: error, place: event.subject, event_id: event.id, ...about(event) },
        "a message from outside could not be carried out and was set aside",
      );
    }
  }

  return {
    submit,
    handle,
    async receive(messages) {
      const atOnce = Math.min(receivedAtOnce, maxWaiting);
      for (let i = 0; i < messages.length; i += atOnce) await receive(messages.slice(i, i + atOnce));
    },
    async carryOut(tx, commands) {
      const started = performance.now();
      const replies = await handle(tx, commands);
      commands.forEach((command, i) => {
        const reply = replies[i]!;
        // Nobody is there to be told, so it stays where it is: among what has failed.
        if (command.type === "MoveStock" && !reply.accepted) throw new RefusedMessage(reply.refusal.detail);
      });
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

/** However many come at once, there is room for them among what may wait. */
const receivedAtOnce = 500;

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
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
