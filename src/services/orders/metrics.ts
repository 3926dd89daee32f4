import { Counter, Gauge, Histogram } from "prom-client";
import type { Logger } from "../../platform/telemetry/logger.ts";
import { askedGauges, type Registry } from "../../platform/telemetry/metrics.ts";
import type { Order, OrderEvent, OrderReply } from "./contract.ts";

const answering = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.15, 0.3, 0.5, 1, 2.5, 5, 10];
const going = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400, 604_800];

const endings = ["completed", "rejected", "payment_failed", "cancelled", "expired"] as const;

/** The figures of the service, of what this process has done. `orphans` is asked when somebody looks. */
export function orderMetrics(registry: Registry, logger: Logger, orphans: () => Promise<number>) {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });
  const share = (name: string, help: string, part: () => number, rest: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const whole = part() + rest();
        if (whole === 0) this.remove();
        else this.set((part() / whole) * 100);
      },
    });

  const creation = histogram(
    "order_create_duration_seconds",
    "From an order's arrival to its durable answer.",
    answering,
  );
  const duplicates = counter(
    "order_duplicate_requests_rejected_total",
    "Orders that were sent again with their Idempotency-Key, and answered as before.",
  );
  const collisions = counter(
    "order_requestid_collision_total",
    "Idempotency-Keys that were sent again with another order, and refused.",
  );
  const completion = histogram(
    "order_saga_completion_duration_seconds",
    "From an order's creation until it was completed.",
    going,
  );
  const checkout = histogram(
    "end_to_end_checkout_duration_seconds",
    "From an order's creation until it was paid and its stock secured.",
    going,
  );

  const ended = new Counter({
    name: "orders_ended_total",
    help: "Orders that ended, by how.",
    labelNames: ["status"],
    registers,
  });
  // From 0 on, so that the first of them is an increase too.
  for (const status of endings) ended.inc({ status }, 0);

  const counted = { rejected: 0, paid: 0, payment_failed: 0, completed: 0, ended_otherwise: 0 };
  const revenue = new Map<string, { minor: number; orders: number }>();

  share(
    "order_saga_success_rate",
    "Share of the ended orders that were completed, in percent.",
    () => counted.completed,
    () => counted.ended_otherwise,
  );
  share(
    "order_reservation_failure_rate",
    "Share of the ended orders that were rejected because their stock could not be had, in percent.",
    () => counted.rejected,
    () => counted.completed + counted.ended_otherwise - counted.rejected,
  );
  share(
    "order_payment_failure_rate",
    "Share of the orders whose payment failed, in percent.",
    () => counted.payment_failed,
    () => counted.paid,
  );
  new Gauge({
    name: "revenue_per_order",
    help: "Mean total of the completed orders, in the currency's smallest unit.",
    labelNames: ["currency"],
    registers,
    collect() {
      for (const [currency, { minor, orders }] of revenue) this.set({ currency }, minor / orders);
    },
  });
  askedGauges(
    registry,
    logger,
    orphans,
  )({
    name: "order_orphaned_orders_total",
    help: "Orders that have been waiting for an answer about their stock for more than five minutes.",
    show: (metric, count) => metric.set(count),
  });

  function observe(event: OrderEvent, order: Order): void {
    switch (event.type) {
      case "OrderPaid":
        counted.paid++;
        checkout.observe(secondsBetween(order.created_at, order.updated_at));
        return;
      case "OrderCompleted": {
        counted.completed++;
        ended.inc({ status: "completed" });
        completion.observe(secondsBetween(order.created_at, order.updated_at));
        const sum = revenue.get(order.currency) ?? { minor: 0, orders: 0 };
        revenue.set(order.currency, { minor: sum.minor + order.total_minor, orders: sum.orders + 1 });
        return;
      }
      case "OrderFailed":
        counted.ended_otherwise++;
        ended.inc({ status: event.data.status });
        if (isForStock(event.data)) counted.rejected++;
        if (event.data.status === "payment_failed") counted.payment_failed++;
        return;
      case "OrderCancelled":
        counted.ended_otherwise++;
        ended.inc({ status: "cancelled" });
    }
  }

  return {
    /** What was committed, however it came. */
    committed({ orders, events }: { orders: readonly Order[]; events: readonly OrderEvent[] }) {
      for (const event of events) observe(event, orders.find(({ id }) => id === event.data.order_id)!);
    },
    created(reply: OrderReply, duration: number) {
      creation.observe(duration);
      if (!reply.accepted) {
        if (reply.refusal.code === "orders.idempotency_key_reused") collisions.inc();
      } else if (!reply.created) duplicates.inc();
    },
  };
}

/** Not what could not be priced. */
function isForStock({ status, reason }: { status: string; reason: string }): boolean {
  return status === "rejected" && reason.startsWith("inventory.");
}

function secondsBetween(from: Date, to: Date): number {
  return Math.max(0, (to.getTime() - from.getTime()) / 1_000);
}
