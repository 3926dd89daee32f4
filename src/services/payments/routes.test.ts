import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { startServer, type TestServer } from "../../testing/http-server.ts";
import { patience } from "../../testing/patience.ts";
import { hasty, Till } from "../../testing/payments.ts";

const database = useTestDatabase();
const webhook_secret = `whsec_${Buffer.from("a secret of this test").toString("base64")}`;
let till: Till;
let server: TestServer;

beforeAll(async () => {
  till = await Till.open(database.url, {
    gateway: "simulated",
    webhook_secret,
    timing: { ...hasty, sweep_every_ms: 3_600_000 },
  });
  server = await startServer((app) => till.service.registerRoutes(app), {
    // Every key is unknown: what is served all the same needs none.
    keys: { required: true, find: () => undefined, search: async () => undefined },
  });
});
afterAll(async () => {
  await server?.app.close();
  await till?.close();
});

const openly = async (register: (server: TestServer) => Promise<void>) => {
  const open = await startServer((app) => till.service.registerRoutes(app));
  await register(open);
  await open.app.close();
};

function webhook(data: object, secret = webhook_secret): RequestInit {
  const body = JSON.stringify({ type: "charge.succeeded", data });
  const at = new Date();
  return {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
      "webhook-signature": new Webhook(secret).sign("msg_1", at, body),
    },
  };
}

const path = "/v1/payments/webhooks/simulated";

describe("webhooks", () => {
  it("need no key, and settle the payment once, however often they come", async () => {
    const id = await till.due("tok_late_900");
    await vi.waitUntil(async () => (await till.entries(id)).length === 1, patience);
    const notice = webhook({ payment_id: id, reference: `sim_${id}` });
    for (let i = 0; i < 3; i++)
      expect(await server.call(path, notice)).toMatchObject({ status: 202, body: {} });
    expect(await till.payment(id)).toMatchObject({ status: "succeeded", gateway_reference: `sim_${id}` });
    expect(await till.told(id)).toEqual(["PaymentSucceeded"]);
  });

  it("of an unknown payment are taken", async () => {
    const answer = await server.call(path, webhook({ payment_id: "stranger", reference: "x" }));
    expect(answer.status).toBe(202);
    expect(await till.payment("stranger")).toBeUndefined();
  });

  it("of another kind are taken", async () => {
    expect((await server.call(path, webhook({ colour: "red" }))).status).toBe(202);
  });

  it.each([
    ["of somebody else", webhook({ payment_id: "a" }, `whsec_${Buffer.from("other").toString("base64")}`)],
    ["that was changed", { ...webhook({ payment_id: "a" }), body: '{"type":"charge.succeeded"}' }],
    ["without a signature", { method: "POST", body: "{}", headers: { "content-type": "application/json" } }],
    ["without a body", { method: "POST" }],
  ])("are refused %s", async (_title, request) => {
    expect(await server.call(path, request)).toMatchObject({
      status: 400,
      body: { code: "payments.webhook_signature" },
    });
  });

  it("of another gateway are refused", async () => {
    const answer = await server.call("/v1/payments/webhooks/stripe", webhook({ payment_id: "a" }));
    expect(answer).toMatchObject({ status: 404, body: { code: "payments.gateway_not_found" } });
  });
});

describe("payments over HTTP", () => {
  it("are not shown without a key", async () => {
    expect((await server.call("/v1/payments/any")).status).toBe(401);
    expect((await server.call("/v1/payments/gateways/simulated")).status).toBe(401);
  });

  it("are shown without their token", () =>
    openly(async (shop) => {
      const id = await till.due("tok_declined", 990);
      await till.is(id, "failed");
      const { status, body } = await shop.call(`/v1/payments/${id}`);
      expect([status, body]).toEqual([
        200,
        {
          id,
          order_id: id,
          status: "failed",
          amount_minor: 990,
          currency: "EUR",
          gateway: "simulated",
          gateway_reference: null,
          refunded: false,
          code: "declined",
          detail: "The card was declined.",
          attempts: 1,
          next_try_at: null,
          created_at: expect.stringMatching(/^\d{4}-.*Z$/),
          updated_at: expect.stringMatching(/^\d{4}-.*Z$/),
        },
      ]);
    }));

  it("are not found when there is none", () =>
    openly(async (shop) => {
      const answer = await shop.call("/v1/payments/nobody");
      expect(answer).toMatchObject({ status: 404, body: { code: "payments.payment_not_found" } });
    }));
});

describe("the simulated gateway", () => {
  const settings = "/v1/payments/gateways/simulated";
  const put = (body: object): RequestInit => ({
    method: "PUT",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });

  it("behaves as it is told, and as at first when it is told nothing", () =>
    openly(async (shop) => {
      expect((await shop.call(settings, put({ decline_rate: 1 }))).body).toMatchObject({
        decline_rate: 1,
        down: false,
      });
      expect((await shop.call(settings)).body).toMatchObject({ decline_rate: 1 });
      await till.is(await till.due("tok_ok"), "failed");
      expect((await shop.call(settings, put({}))).body).toMatchObject({ decline_rate: 0 });
      await till.is(await till.due("tok_ok"), "succeeded");
    }));

  it.each([{ latency_ms: -1 }, { latency_ms: "5" }, { failure_rate: 2 }, { down: 1 }, { colour: "red" }])(
    "refuses %j",
    (body) =>
      openly(async (shop) => {
        expect(await shop.call(settings, put(body))).toMatchObject({
          status: 422,
          body: { code: "request.invalid", errors: [{ field: Object.keys(body)[0] }] },
        });
      }),
  );
});
