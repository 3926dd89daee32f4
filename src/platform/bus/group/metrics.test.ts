import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import type { ConsumerState } from "../port.ts";
import { createBusMetrics } from "./metrics.ts";

it("a lag that cannot be told is absent, and no zero", async () => {
  const registry = new Registry();
  const states: ConsumerState[] = [
    { group: "inventory", topic: "inventory.inbound", retrying: 0, dead: 2 },
    { group: "inventory", topic: "orders", position: 3, lag: 5, lag_seconds: 0.5, retrying: 0, dead: 0 },
  ];
  createBusMetrics(registry, createLogger("silent"), async () => states);
  const lines = (await registry.metrics()).split("\n").filter((line) => /^(kafka|bus)_/.test(line));
  expect(lines.filter((line) => /lag/.test(line))).toEqual([
    'kafka_consumer_lag_messages{group="inventory",topic="orders"} 5',
    'bus_consumer_lag_seconds{group="inventory",topic="orders"} 0.5',
  ]);
  expect(lines).toContain('bus_dead_letters{group="inventory",topic="inventory.inbound",status="dead"} 2');
});
