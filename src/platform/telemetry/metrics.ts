import { collectDefaultMetrics, Histogram, Registry } from "prom-client";

export type { Registry } from "prom-client";

/** A registry of its own for each engine, so that two of them live in one process without mixing figures. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

export type RequestDuration = Histogram<"method" | "route" | "status">;

/** `route` is the pattern (`/v1/stock/:store_id/:sku`): raw urls would make a series of every SKU. */
export function createRequestDuration(registry: Registry): RequestDuration {
  return new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from the request's arrival until its answer was sent.",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.08, 0.15, 0.3, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
}
