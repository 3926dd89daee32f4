import type { Registry } from "../../src/platform/telemetry/metrics.ts";
import { code, heading, table } from "./markdown.ts";

interface Described {
  readonly name: string;
  readonly help: string;
  /** prom-client's metrics carry them, its types do not say so. */
  readonly type: string;
  readonly labelNames: readonly string[];
}

/** `withBroker` has what is measured where that broker carries the events. */
export function metricsPage(registry: Registry, withBroker: ReadonlyMap<string, Registry>): string {
  const always = metricsOf(registry);
  return `${heading("Metrics", "the registry that `/metrics` serves")}
\`GET /metrics\` serves these to Prometheus, and beside them prom-client's figures about the process (\`process_*\`,
\`nodejs_*\`). Durations are in seconds, unless the name says otherwise. No SKU, store or customer is ever a label. A
gauge that has no meaning yet, such as a share of nothing, is absent; so is one that the database has to be asked for,
while it does not answer.

${table(columns, rowsOf(always))}

## With a broker

Where Kafka or RabbitMQ carries the events (\`HOLDFAST_BUS\`), there are these as well:

${table([...columns, "broker"], brokerRows(new Set(always.map(({ name }) => name)), withBroker))}

## What is not there

Some figures that are usual elsewhere have no meaning here, and are absent instead of made up:

${table(["name", "why"], absent)}
`;
}

const columns = ["name", "type", "labels", "what it tells"];

function metricsOf(registry: Registry): Described[] {
  const metrics = registry.getMetricsAsArray() as unknown as Described[];
  return (
    metrics
      // Which of these there are depends on the operating system.
      .filter(({ name }) => !/^(process|nodejs)_/.test(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  );
}

function rowsOf(metrics: readonly Described[]): string[][] {
  return metrics.map(({ name, type, labelNames, help }) => [
    code(name),
    type,
    labelNames.map(code).join(", "),
    help,
  ]);
}

function brokerRows(always: ReadonlySet<string>, withBroker: ReadonlyMap<string, Registry>): string[][] {
  const further = new Map<string, { metric: Described; brokers: string[] }>();
  for (const [broker, registry] of withBroker) {
    for (const metric of metricsOf(registry).filter(({ name }) => !always.has(name))) {
      const known = further.get(metric.name);
      if (known === undefined) further.set(metric.name, { metric, brokers: [broker] });
      else known.brokers.push(broker);
    }
  }
  return [...further.values()]
    .sort((a, b) => (a.metric.name < b.metric.name ? -1 : 1))
    .map(({ metric, brokers }) => [...rowsOf([metric])[0]!, brokers.join(", ")]);
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
    "kafka_out_of_order_events_total",
    "A consumer group has a place in each topic, which moves in the transaction that handles the events, in the order " +
      "of the log. What is not beyond it came before, and is counted by `kafka_duplicate_events_detected_total`.",
  ],
].map(([names, why]) => [names!.split(", ").map(code).join(", "), why!]);
