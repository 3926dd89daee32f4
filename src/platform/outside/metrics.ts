import { Gauge, Histogram, type Registry } from "prom-client";
import type { BreakerState } from "./outside.ts";

const outcomes = ["answered", "failed", "timed_out", "not_called"] as const;
const states: Record<BreakerState, number> = { closed: 0, half_open: 1, open: 2 };

/** The figures of one outside; all of them share the metrics, told apart by their name. */
export function outsideMetrics(registry: Registry, name: string) {
  const duration = durationOf(registry);
  const breaker = breakerOf(registry);
  const byOutcome = Object.fromEntries(
    outcomes.map((outcome) => [outcome, duration.labels({ name, outcome })]),
  );
  breaker.set({ name }, states.closed);
  return {
    called(outcome: (typeof outcomes)[number], started: number): void {
      byOutcome[outcome]!.observe((performance.now() - started) / 1_000);
    },
    state(state: BreakerState): void {
      breaker.set({ name }, states[state]);
    },
  };
}

const durationName = "outside_call_duration_seconds";

function durationOf(registry: Registry) {
  const existing = registry.getSingleMetric(durationName);
  if (existing !== undefined) return existing as Histogram<"name" | "outcome">;
  return new Histogram({
    name: durationName,
    help: "How long calls to the outside took; not_called ones were kept back by the circuit breaker.",
    labelNames: ["name", "outcome"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
}

const breakerName = "outside_breaker_state";

function breakerOf(registry: Registry) {
  const existing = registry.getSingleMetric(breakerName);
  if (existing !== undefined) return existing as Gauge<"name">;
  return new Gauge({
    name: breakerName,
    help: "0 while the outside is called, 1 while one call tries whether it answers again, 2 while it is left alone.",
    labelNames: ["name"],
    registers: [registry],
  });
}
