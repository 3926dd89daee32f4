import type { Registry } from "../../src/platform/telemetry/metrics.ts";
import { code, heading, table } from "./markdown.ts";

interface Described {
  readonly name: string;
  readonly help: string;
  /** prom-client's metrics carry them, its types do not say so. */
  readonly type: string;
  readonly labelNames: readonly string[];
}

export function metricsPage(registry: Registry): string {
  const metrics = registry.getMetricsAsArray() as unknown as Described[];
  const rows = metrics
    // Which of these there are depends on the operating system.
    .filter(({ name }) => !/^(process|nodejs)_/.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, labelNames, help }) => [code(name), type, labelNames.map(code).join(", "), help]);
  return `${heading("Metrics", "the registry that `/metrics` serves")}
\`GET /metrics\` serves these to Prometheus, and beside them prom-client's figures about the process (\`process_*\`,
\`nodejs_*\`). Durations are in seconds. No SKU, store or customer is ever a label. A gauge that has no meaning yet, such
as a share of nothing, is absent.

${table(["name", "type", "labels", "what it tells"], rows)}

## What is not there

Some figures that are usual elsewhere have no meaning here, and are absent instead of made up:

${table(["name", "why"], absent)}
`;
}

const absent = [
  [
    "inventory_lock_contention_rate",
    "PostgreSQL does not tell a statement how long it waited for a lock, and a slow answer may have other reasons. " +
      "See `inventory_lock_acquisition_duration_seconds`, which is the wait and the round trip together, and " +
      "`inventory_lock_timeout_total`.",
  ],
  [
    "inventory_rollback_success_rate, inventory_rollback_duration_seconds",
    "A reservation is all or nothing in one transaction: what is not committed needs no undoing, so there is nothing " +
      "that could fail or take time. What would be left behind is counted by `inventory_orphaned_reservations_total`.",
  ],
  [
    "order_event_publish_failures_total",
    "On the postgres bus an event is published by the transaction that it belongs to. What consumers could not handle " +
      "is in `bus_dead_letters`.",
  ],
  [
    "kafka_producer_request_latency_ms, kafka_duplicate_events_detected_total, kafka_out_of_order_events_total",
    "There is no Kafka. The cursor moves in the consumer's own transaction, in the order of the log.",
  ],
].map(([names, why]) => [names!.split(", ").map(code).join(", "), why!]);
