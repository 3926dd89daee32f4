import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { PaymentEvent } from "./contract.ts";

export interface PaymentBacklog {
  /** Charges that wait because the gateway cannot be reached. */
  readonly delayed: number;
  /** Refunds that the gateway has owed for more than an hour. */
  readonly refunds_overdue: number;
}

export type PaymentMetrics = ReturnType<typeof paymentMetrics>;

const breakerStates = ["closed", "half-open", "open"] as const;

/** The figures of the service. `backlog` and `breaker` are asked when somebody looks. */
export function paymentMetrics(
  registry: Registry,
  backlog: () => Promise<PaymentBacklog>,
  breaker: () => (typeof breakerStates)[number],
) {
  const registers = [registry];
  const total = new Counter({
    name: "payments_total",
    help: "Payments by outcome; what succeeded and was refunded counts as both.",
    labelNames: ["outcome"],
    registers,
  });
  const calls = new Histogram({
    name: "payments_gateway_call_duration_seconds",
    help: "Time until the gateway answered, or was given up on.",
    labelNames: ["call", "outcome"],
    buckets: [0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  new Gauge({
    name: "payments_gateway_breaker_state",
    help: "1 for the state that the circuit breaker before the gateway is in.",
    labelNames: ["state"],
    registers,
    collect() {
      for (const state of breakerStates) this.set({ state }, breaker() === state ? 1 : 0);
    },
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
    called(call: string, outcome: string, seconds: number) {
      calls.observe({ call, outcome }, seconds);
    },
  };
}
