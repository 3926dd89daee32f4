import { Gauge, Histogram, type Registry } from "prom-client";

export type StorefrontMetrics = ReturnType<typeof storefrontMetrics>;

interface Now {
  readonly records: () => number;
  readonly streams: () => number;
  readonly ageSeconds: () => number | undefined;
}

export function storefrontMetrics(registry: Registry, now: Now) {
  const registers = [registry];
  const lag = new Histogram({
    name: "inventory_sync_lag_seconds",
    help: "From the moment that a batch has its place in the inventory's log until the storefront shows it.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const gauge = (name: string, help: string, value: () => number | undefined) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const current = value();
        if (current === undefined) this.remove();
        else this.set(current);
      },
    });
  gauge("storefront_records", "Records of a SKU in a store that are kept in memory.", now.records);
  gauge(
    "storefront_age_seconds",
    "How old what the storefront answers is at most; absent until it has read the log for the first time.",
    now.ageSeconds,
  );
  gauge("storefront_streams_open", "Streams that are being served.", now.streams);
  return {
    synced(seconds: number) {
      lag.observe(seconds);
    },
  };
}
