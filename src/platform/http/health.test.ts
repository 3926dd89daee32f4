import { afterEach, describe, expect, it } from "vitest";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { Degraded, type Probe } from "./health.ts";

let server: TestServer;
afterEach(() => server.app.close());

const up: Probe = { name: "database", check: async () => ({ version: "18.4" }) };
const quiet: Probe = { name: "bus", check: async () => {} };
const down: Probe = {
  name: "database",
  check: () => Promise.reject(Object.assign(new Error("user shop at 10.0.0.7"), { code: "ECONNREFUSED" })),
};
const degraded: Probe = { name: "bank", check: async () => new Degraded({ breaker: "open" }) };
const hanging: Probe = { name: "bus", check: () => new Promise(() => {}) };

describe("health", () => {
  it("tells that all is well, with what each dependency says of itself", async () => {
    server = await startServer(() => {}, { probes: [up, quiet] });
    expect((await server.call("/livez")).status).toBe(200);
    expect((await server.call("/readyz")).status).toBe(200);
    const { status, body } = await server.call("/health");
    expect([status, body]).toEqual([
      200,
      {
        status: "ok",
        dependencies: {
          database: { status: "up", latency_ms: expect.any(Number), details: { version: "18.4" } },
          bus: { status: "up", latency_ms: expect.any(Number) },
        },
      },
    ]);
  });

  it("names what is down or does not answer in time, and lives on", async () => {
    server = await startServer(() => {}, { probes: [down, hanging] });
    expect((await server.call("/livez")).status).toBe(200);
    const ready = await server.call("/readyz");
    expect([ready.status, ready.body.code]).toEqual([503, "platform.unavailable"]);
    expect(ready.body.dependencies).toEqual(["database", "bus"]);
    const { status, body } = await server.call("/health");
    expect([status, body.status]).toEqual([503, "down"]);
    expect(body.dependencies.database).toMatchObject({ status: "down", error: "ECONNREFUSED" });
    expect(body.dependencies.bus).toMatchObject({ status: "down", error: "timeout" });
    expect(JSON.stringify(body)).not.toContain("10.0.0.7");
  });

  it("stays ready when something is missing whose work is kept for later, and says so", async () => {
    server = await startServer(() => {}, { probes: [up, degraded] });
    expect((await server.call("/readyz")).status).toBe(200);
    const { status, body } = await server.call("/health");
    expect([status, body.status]).toEqual([200, "degraded"]);
    expect(body.dependencies.bank).toEqual({
      status: "degraded",
      latency_ms: expect.any(Number),
      details: { breaker: "open" },
    });
  });
});
