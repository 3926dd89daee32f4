import { Counter, Gauge, Histogram } from "prom-client";
import { codeOf, lockTimeout } from "../../platform/postgres/errors.ts";
import type { Logger } from "../../platform/telemetry/logger.ts";
import { askedGauges, type Registry } from "../../platform/telemetry/metrics.ts";
import { InvariantViolation } from "./book.ts";
import type { InventoryCommand, InventoryReply } from "./contract/index.ts";

export interface StockTotals {
  quantity_on_hand: number;
  quantity_reserved: number;
  oversold: number;
  orphaned: number;
}

export type InventoryMetrics = ReturnType<typeof inventoryMetrics>;

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.15, 0.3, 0.5, 1, 2.5, 5, 10];

/** The figures of the service. `totals` is asked when somebody looks. */
export function inventoryMetrics(registry: Registry, logger: Logger, totals: () => Promise<StockTotals>) {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const histogram = (name: string, help: string) =>
    new Histogram({ name, help, buckets: seconds, registers });

  const reserve = histogram(
    "inventory_reserve_duration_seconds",
    "From a reservation's arrival to its durable answer.",
  );
  const lockAcquisition = histogram(
    "inventory_lock_acquisition_duration_seconds",
    "Time that a batch waited for its stock rows.",
  );
  const identification = histogram(
    "inventory_idempotency_check_duration_seconds",
    "Time in which a batch found out which of its reservations are known already.",
  );
  const lockHeld = histogram(
    "inventory_lock_held_duration_seconds",
    "Time from a batch's start to its commit; its locks are held for no longer than that.",
  );
  const lockTimeouts = counter(
    "inventory_lock_timeout_total",
    "Batches that gave up waiting for a row lock.",
  );
  const invariantCheck = histogram(
    "inventory_invariant_check_duration_seconds",
    "Time that the last look at a batch's records took.",
  );
  const violations = counter(
    "inventory_invariant_violations_total",
    "Commands that would have broken an invariant. Nothing of them was written.",
  );
  const hits = counter(
    "inventory_idempotency_cache_hits_total",
    "Repeated commands that were answered as before.",
  );
  const rollbacks = counter("inventory_rollback_attempts_total", "Transactions that were rolled back.");
  const reservations = counter("inventory_reservations_total", "Reservations that were asked for.");
  const refusals = new Counter({
    name: "inventory_refusals_total",
    help: "Commands that the rules refused, by code.",
    labelNames: ["code"],
    registers,
  });
  const inbound = new Counter({
    name: "inventory_inbound_messages_total",
    help: "Messages of systems outside, by what became of them.",
    labelNames: ["outcome"],
    registers,
  });
  const expirations = counter(
    "inventory_reservations_expired_total",
    "Holds that ended because their time was over.",
  );
  const batchSize = new Histogram({
    name: "inventory_batch_size",
    help: "Commands that were committed together.",
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000],
    registers,
  });

  const gauge = askedGauges(registry, logger, totals);
  gauge({
    name: "inventory_artificial_shortage_rate",
    help: "Share of the stock on hand that is reserved, in percent.",
    show(metric, { quantity_on_hand, quantity_reserved }) {
      if (quantity_on_hand !== 0) metric.set((quantity_reserved / quantity_on_hand) * 100);
    },
  });
  gauge({
    name: "overselling_incidents_total",
    help: "Records whose stock is negative. Always 0.",
    show: (metric, { oversold }) => metric.set(oversold),
  });
  gauge({
    name: "inventory_orphaned_reservations_total",
    help: "Holds that are overdue for more than a minute.",
    show: (metric, { orphaned }) => metric.set(orphaned),
  });
  let asked = 0;
  let timedOut = 0;
  new Gauge({
    name: "inventory_reservation_timeout_rate",
    help: "Share of the reservations that expired, in percent.",
    registers,
    collect() {
      if (asked === 0) this.remove();
      else this.set((timedOut / asked) * 100);
    },
  });

  return {
    answered(command: InventoryCommand, reply: InventoryReply, duration: number) {
      if (!reply.accepted) refusals.inc({ code: reply.refusal.code });
      if (command.type === "ReserveStock") {
        asked++;
        reservations.inc();
        reserve.observe(duration);
      } else if (command.type === "ExpireReservations" && reply.accepted) {
        const { expired } = (reply as Extract<InventoryReply<"ExpireReservations">, { accepted: true }>)
          .subject;
        timedOut += expired;
        expirations.inc(expired);
      }
    },
    received(carriedOut: number, setAside: number) {
      inbound.inc({ outcome: "carried_out" }, carriedOut);
      inbound.inc({ outcome: "set_aside" }, setAside);
    },
    repeated() {
      hits.inc();
    },
    identified(duration: number) {
      identification.observe(duration);
    },
    locked(duration: number) {
      lockAcquisition.observe(duration);
    },
    checked(check: () => void) {
      const started = performance.now();
      check();
      invariantCheck.observe((performance.now() - started) / 1_000);
    },
    batch(size: number, duration: number) {
      batchSize.observe(size);
      lockHeld.observe(duration);
    },
    rollback(error: unknown) {
      rollbacks.inc();
      if (codeOf(error) === lockTimeout) lockTimeouts.inc();
    },
    poison(error: unknown) {
      if (error instanceof InvariantViolation || codeOf(error)?.startsWith("23")) violations.inc();
    },
  };
}
