import { Counter, Gauge, type Registry } from "prom-client";
import type { PaymentEvent } from "./contract.ts";

export interface PaymentBacklog {
  /** Charges that wait because the gateway cannot be reached. */
  readonly delayed: number;
  /** Refunds that the gateway has owed for more than an hour. */
  readonly refunds_overdue: number;
}

/** The figures of the service. `backlog` is asked when somebody looks. */
export function paymentMetrics(registry: Registry, backlog: () => Promise<PaymentBacklog>) {
  const registers = [registry];
  const total = new Counter({
    name: "payments_total",
    help: "Payments by outcome; what succeeded and was refunded counts as both.",
    labelNames: ["outcome"],
    registers,
  });
  new Gauge({
    name: "payments_delayed",
    help: "Charges that wait because the gateway cannot be reached.",
    registers,
    async collect() {
      this.set((await backlog()).delayed);
    },
  });
  new Gauge({
    name: "payments_refunds_overdue",
    help: "Refunds that the gateway has owed for more than an hour. Should be 0.",
    registers,
    async collect() {
      this.set((await backlog()).refunds_overdue);
    },
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
