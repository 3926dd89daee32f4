import { createHash } from "node:crypto";
import { v7 as uuid } from "uuid";
import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { AfterCommit, BusEvent } from "../../platform/bus/port.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { repeat } from "../../platform/repeat.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { commandsFrom } from "./consumers.ts";
import type {
  CreateOrderInput,
  Order,
  OrderCommand,
  OrderReply,
  OrderSettings,
  Timeline,
} from "./contract.ts";
import { ordersHandler } from "./handle.ts";
import { orderMetrics } from "./metrics.ts";
import * as queries from "./queries.ts";
import { schema } from "./store.ts";
import { Waiters } from "./waiters.ts";

/** What can be asked of the service within this process. */
export interface Orders {
  /** `request_id` names the order once and for ever: sent again, it answers the same order. */
  create(request_id: string, input: CreateOrderInput, traceparent?: string): Promise<OrderReply>;
  cancel(id: string, reason: string, traceparent?: string): Promise<OrderReply>;
  /** True when there may be more of them. */
  sweep(): Promise<boolean>;
  /** What other services told, in the transaction that takes it over. */
  hear(tx: Transaction, events: readonly BusEvent[]): Promise<AfterCommit>;
  /** The order when it is as asked for, or undefined when the time is over first. */
  until(order: Order, isDone: (order: Order) => boolean, seconds: number): Promise<Order | undefined>;
  order(id: string): Promise<Order | undefined>;
  list(filter: queries.OrderFilter, after: string | undefined, limit: number): Promise<queries.Page<Order>>;
  timeline(id: string): Promise<Timeline | undefined>;
  start(): void;
  stop(): Promise<void>;
}

const sweepLimit = 500;
const lookOutEveryMs = 1_000;

export type OrdersOptions = ServiceOptions & { readonly settings: OrderSettings };

export function createOrders(options: OrdersOptions): Orders {
  const { pool, reads, settings, maxWaiting, stopping, registry, logger, tracer } = options;
  const database = readerOf(reads);
  const metrics = orderMetrics(registry, logger, () => queries.countOrphans(database));
  const handle = ordersHandler(settings);
  const waiters = new Waiters();
  stopping?.addEventListener("abort", () => waiters.close());
  // Told at once of what this process does; what others do is looked up now and then.
  const lookout = repeat(lookOutEveryMs, async () => {
    const { ids } = waiters;
    if (ids.length === 0) return;
    try {
      waiters.tell(await queries.findOrders(database, ids));
    } catch (error) {
      logger.warn({ err: error }, "orders that somebody waits for could not be looked up; trying again");
    }
  });
  const road = new Road<OrderCommand, OrderReply>({
    pool,
    handle,
    maxWaiting,
    stopping,
    workOf,
    observer: { poison: setAside(pool, schema, logger) },
    tracer,
    service: schema,
  });

  function tell(replies: readonly OrderReply[]): void {
    for (const reply of replies) {
      if (!reply.accepted) continue;
      metrics.committed(reply);
      waiters.tell(reply.orders);
    }
  }

  async function submit(command: OrderCommand, traceparent?: string): Promise<OrderReply> {
    const traced = traceparent === undefined ? command : { ...command, traceparent };
    const reply = await road.submit(traced);
    tell([reply]);
    return reply;
  }

  return {
    async create(request_id, input, traceparent) {
      const started = performance.now();
      const { customer_id, lines, payment } = input;
      const reply = await submit(
        {
          type: "CreateOrder",
          order_id: uuid(),
          request_id,
          fingerprint: fingerprint(input),
          customer_id,
          lines,
          token: payment.token,
        },
        traceparent,
      );
      metrics.created(reply, (performance.now() - started) / 1_000);
      return reply;
    },
    cancel: (order_id, reason, traceparent) => submit({ type: "CancelOrder", order_id, reason }, traceparent),
    async sweep() {
      const reply = await submit({ type: "SweepOrders", limit: sweepLimit });
      return reply.accepted && reply.orders.length === sweepLimit;
    },
    async hear(tx, events) {
      const replies = await handle(tx, commandsFrom(events));
      return () => tell(replies);
    },
    until: (order, isDone, seconds) => waiters.until(order, isDone, seconds),
    order: (id) => queries.findOrder(database, id),
    list: (filter, after, limit) => queries.listOrders(database, filter, after, limit),
    timeline: (id) => queries.findTimeline(database, id),
    start: () => lookout.start(),
    async stop() {
      waiters.close();
      await Promise.all([lookout.stop(), road.drain()]);
    },
  };
}

/** Tells whether two requests are the same, without keeping the means of payment a second time. */
function fingerprint({ customer_id, lines, payment }: CreateOrderInput): string {
  const canonical = [
    customer_id,
    lines.map(({ store_id, sku, quantity }) => [store_id, sku, quantity]),
    payment.token,
  ];
  return createHash("sha256").update(JSON.stringify(canonical)).digest("base64url");
}

/** A batch is bounded by the rows that it moves, not by the number of commands. */
function workOf(command: OrderCommand): number {
  if (command.type === "SweepOrders") return command.limit;
  return "lines" in command ? command.lines.length : 1;
}
