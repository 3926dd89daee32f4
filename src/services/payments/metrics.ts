import { Counter } from "prom-client";
import type { Logger } from "../../platform/telemetry/logger.ts";
import { askedGauges, type Registry } from "../../platform/telemetry/metrics.ts";
import type { PaymentEvent } from "./contract.ts";

export interface PaymentBacklog {
  /** Charges that wait because the gateway cannot be reached. */
  readonly delayed: number;
  /** Refunds that the gateway has owed for more than an hour. */
  readonly refunds_overdue: number;
}

/** The figures of the service. `backlog` is asked when somebody looks. */
export function paymentMetrics(registry: Registry, logger: Logger, backlog: () => Promise<PaymentBacklog>) {
  const registers = [registry];
  const total = new Counter({
    name: "payments_total",
    help: "Payments by outcome; what succeeded and was refunded counts as both.",
    labelNames: ["outcome"],
    registers,
  });
  const gauge = askedGauges(registry, logger, backlog);
  gauge({
    name: "payments_delayed",
    help: "Charges that wait because the gateway cannot be reached.",
    show: (metric, { delayed }) => metric.set(delayed),
  });
  gauge({
    name: "payments_refunds_overdue",
    help: "Refunds that the gateway has owed for more than an hour. Should be 0.",
    show: (metric, { refunds_overdue }) => metric.set(refunds_overdue),
  });

  return {
    happened(events: readonly PaymentEvent[]) {
      for (const event of events) {
        if (event.type === "PaymentSucceeded") total.inc({ outcome: "succeeded" });
        else if (event.type === "PaymentRefunded") total.inc({ outcome: "refunded" });
        else if (event.type === "PaymentFailed") total.inc({ outcome: event.data.code });
      }
    },
  };
}
