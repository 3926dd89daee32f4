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
`;
}
