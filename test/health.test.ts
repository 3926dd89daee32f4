import { afterAll, beforeAll, expect, it } from "vitest";
import { useTestDatabase } from "../src/testing/database.ts";
import { WholeServer } from "./whole-server.ts";

const database = useTestDatabase();
let server: WholeServer;

beforeAll(async () => {
  server = await WholeServer.start(database.url);
  await server.stock("MUG", 500);
});
afterAll(() => server?.stop());

const latency_ms = expect.any(Number);
const called = { breaker: "closed", calls_in_flight: 0, calls_waiting: 0 };
const consumer = {
  lag: expect.any(Number),
  lag_seconds: expect.any(Number),
  retrying_events: 0,
  dead_events: 0,
};

it("tells of each dependency how it is", async () => {
  expect((await server.order("first", { sku: "MUG" })).body.status).toBe("completed");
  const { status, body } = await server.ask("GET", "/health");
  expect([status, body]).toEqual([
    200,
    {
      status: "ok",
      dependencies: {
        database: { status: "up", latency_ms },
        bus: {
          status: "up",
          latency_ms,
          details: {
            consumers: {
              carts: consumer,
              fulfillment: consumer,
              inventory: consumer,
              orders: consumer,
              payments: consumer,
            },
          },
        },
        gateway: { status: "up", latency_ms, details: called },
        carrier: { status: "up", latency_ms, details: called },
        storefront: {
          status: "up",
          latency_ms,
          details: {
            as_of: expect.stringMatching(/^\d{4}-.*Z$/),
            age_ms: expect.any(Number),
            position: expect.any(Number),
          },
        },
      },
    },
  ]);
});

it("comes to a lag of nothing when all is done", async () => {
  const lags = async () => {
    const { consumers } = (await server.ask("GET", "/health")).body.dependencies.bus.details;
    return Object.values<{ lag: number; lag_seconds: number }>(consumers).map((group) => [
      group.lag,
      group.lag_seconds,
    ]);
  };
  await expect.poll(lags).toEqual(Array(5).fill([0, 0]));
});

/** Makes the outside answer or not, and gives it work until its breaker says so. */
async function untilBreakerOf(outside: "gateway" | "carrier", path: string): Promise<void> {
  const current = (await server.ask("GET", path)).body;
  const behave = (down: boolean) => server.ask("PUT", path, { ...current, down });
  expect((await behave(true)).status).toBe(200);
  const places = Array.from({ length: 40 }, (_, i) =>
    server.order(`${outside}-${i}`, { sku: "MUG", wait: 0 }),
  );
  for (const { status } of await Promise.all(places)) expect(status).toBe(202);

  const health = async () => (await server.ask("GET", "/health")).body.dependencies[outside];
  const degraded = { status: "degraded", details: { breaker: expect.stringMatching(/^(open|half_open)$/) } };
  await expect.poll(health).toMatchObject(degraded);
  const { status, body } = await server.ask("GET", "/health");
  expect([status, body.status]).toEqual([200, "degraded"]);
  expect((await server.ask("GET", "/readyz")).status).toBe(200);

  await behave(false);
  await expect.poll(health).toMatchObject({ status: "up", details: { breaker: "closed" } });
}

it("is degraded, and ready all the same, while the gateway is left alone", async () => {
  await untilBreakerOf("gateway", "/v1/payments/gateways/simulated");
});

it("is degraded, and ready all the same, while the carrier is left alone", async () => {
  await untilBreakerOf("carrier", "/v1/shipments/carriers/simulated");
});

it("has no carrier to tell of when shops ship by themselves", async () => {
  const manual = await WholeServer.start(database.url, { HOLDFAST_CARRIER: "manual" });
  try {
    const { dependencies } = (await manual.ask("GET", "/health")).body;
    expect(Object.keys(dependencies).sort()).toEqual(["bus", "database", "gateway", "storefront"]);
  } finally {
    await manual.stop();
  }
});
