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
/** The storefront is one of them, too, once it has saved its place. */
const followers = ["carts", "fulfillment", "inventory", "orders", "payments"];
const consumer = {
  lag: expect.any(Number),
  lag_seconds: expect.any(Number),
  retrying_events: 0,
  dead_events: 0,
};

it("tells of each dependency how it is", async () => {
  expect((await server.order("first", { sku: "MUG" })).body.status).toBe("completed");
  await expect
    .poll(() => server.ask("GET", "/health"))
    .toEqual({
      status: 200,
      body: {
        status: "ok",
        dependencies: {
          database: { status: "up", latency_ms },
          bus: {
            status: "up",
            latency_ms,
            details: {
              consumers: expect.objectContaining(
                Object.fromEntries(followers.map((group) => [group, consumer])),
              ),
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
    });
});

it("comes to a lag of nothing when all is done", async () => {
  const lags = async () => {
    const { consumers } = (await server.ask("GET", "/health")).body.dependencies.bus.details;
    return followers.map((group) => [consumers[group].lag, consumers[group].lag_seconds]);
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

  const health = () => server.ask("GET", "/health");
  const degraded = { status: "degraded", details: { breaker: expect.stringMatching(/^(open|half_open)$/) } };
  await expect
    .poll(health)
    .toMatchObject({ status: 200, body: { status: "degraded", dependencies: { [outside]: degraded } } });
  await expect.poll(async () => (await server.ask("GET", "/readyz")).status).toBe(200);

  await behave(false);
  const up = { status: "up", details: { breaker: "closed" } };
  await expect.poll(health).toMatchObject({ body: { dependencies: { [outside]: up } } });
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
