import Stripe from "stripe";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StripeStandIn } from "../../../testing/stripe-stand-in.ts";
import { GatewayUnreachable } from "./port.ts";
import { StripeGateway } from "./stripe.ts";

const hourMs = 3_600_000;
const secret_key = "sk_test_1";
const webhook_secret = "whsec_1";
let stripe: StripeStandIn;
let gateway: StripeGateway;

beforeEach(async () => {
  stripe = await StripeStandIn.open(secret_key);
  gateway = gatewayAt(stripe.port);
});
afterEach(() => stripe.close());

function gatewayAt(port: number, key = secret_key) {
  return new StripeGateway(
    { secret_key: key, webhook_secret, host: "127.0.0.1", port, protocol: "http" },
    hourMs,
  );
}

const order = (token: string, due_at = new Date()) => ({
  payment_id: "o1",
  amount_minor: 1_250,
  currency: "EUR",
  token,
  due_at,
});
const ok = order("pm_ok");
const sinceYesterday = order("pm_ok", new Date(Date.now() - 25 * hourMs));
const succeeded = { status: "succeeded", reference: "pi_1" };
const statuses = () => [...stripe.intents.values()].map(({ status }) => status);

describe("a charge by Stripe", () => {
  it("is made in two steps, under the payment's id", async () => {
    expect(await gateway.charge(ok)).toEqual(succeeded);
    expect(stripe.requests[0]).toMatchObject({
      path: "/v1/payment_intents",
      key: "o1:create",
      params: {
        amount: "1250",
        currency: "eur",
        payment_method: "pm_ok",
        "metadata[payment_id]": "o1",
        "automatic_payment_methods[allow_redirects]": "never",
      },
    });
    expect(stripe.requests.map(({ path }) => path)).toEqual([
      "/v1/payment_intents",
      "/v1/payment_intents/pi_1/confirm",
    ]);
  });

  it.each([
    ["pm_declined", { status: "declined", detail: "Your card was declined." }],
    ["pm_3ds", { status: "declined", detail: "Authentication is required." }],
    ["pm_unknown", { status: "declined", detail: "No such PaymentMethod: 'pm_unknown'" }],
    ["pm_processing", { status: "pending" }],
  ])("of %s", async (token, outcome) => {
    expect(await gateway.charge(order(token))).toEqual(outcome);
    expect(await gateway.find(order(token))).toEqual(outcome);
  });

  it("happens once, however often it is asked for", async () => {
    await gateway.charge(ok);
    expect(await gateway.charge(ok)).toEqual(succeeded);
    expect(statuses()).toEqual(["succeeded"]);
  });

  it.each([
    ["the intent's answer is lost", { on: /payment_intents$/, loseAnswer: true }, "unknown"],
    ["the confirmation never arrives", { on: /confirm$/, status: 503 }, "unknown"],
    ["the confirmation's answer is lost", { on: /confirm$/, loseAnswer: true }, "succeeded"],
  ] as const)("is found when %s, and then charged once", async (_title, fault, found) => {
    stripe.fail(fault);
    await expect(gateway.charge(ok)).rejects.toThrow(GatewayUnreachable);
    expect((await gateway.find(ok)).status).toBe(found);
    expect(await gateway.charge(ok)).toEqual(succeeded);
    expect(statuses()).toEqual(["succeeded"]);
  });

  it("is found after Stripe has forgotten the key", async () => {
    await gateway.charge(ok);
    stripe.forgetKeys();
    expect(await gateway.find(sinceYesterday)).toEqual(succeeded);
    // The intent that was just made to find it hides nothing.
    expect(await gateway.find(sinceYesterday)).toEqual(succeeded);
    expect(await gateway.cancel(sinceYesterday)).toEqual(succeeded);
  });

  it.each(["find", "cancel"] as const)(
    "that used its card up is no decline a day later: %s tells of it",
    async (ask) => {
      const once = order("pm_once", sinceYesterday.due_at);
      await gateway.charge(once);
      stripe.forgetKeys();
      stripe.fail({ on: /search$/, status: 400 });
      await expect(gateway[ask](once)).rejects.toThrow(GatewayUnreachable);
      expect(await gateway[ask](once)).toEqual(succeeded);
      expect(statuses()).toEqual(["succeeded"]);
    },
  );

  it.each(["find", "cancel"] as const)(
    "whose card is refused a day later is declined when there is none: %s",
    async (ask) => {
      const detail = "No such PaymentMethod: 'pm_unknown'";
      expect(await gateway[ask](order("pm_unknown", sinceYesterday.due_at))).toEqual({
        status: "declined",
        detail,
      });
    },
  );

  it("is not charged beside an older intent that nobody confirmed", async () => {
    stripe.fail({ on: /confirm$/, status: 500 });
    await expect(gateway.charge(ok)).rejects.toThrow(GatewayUnreachable);
    stripe.forgetKeys();
    expect(await gateway.find(sinceYesterday)).toEqual({ status: "unknown" });
    expect(await gateway.charge(sinceYesterday)).toEqual({ status: "succeeded", reference: "pi_2" });
    expect(statuses()).toEqual(["canceled", "succeeded"]);
  });
});

describe("a cancellation", () => {
  it("is for good, also before the charge has arrived", async () => {
    expect(await gateway.cancel(ok)).toEqual({ status: "cancelled" });
    expect(await gateway.charge(ok)).toEqual({ status: "cancelled" });
    expect(statuses()).toEqual(["canceled"]);
  });

  it("says so when it is too late", async () => {
    await gateway.charge(ok);
    expect(await gateway.cancel(ok)).toEqual(succeeded);
  });

  it("waits for what is being processed", async () => {
    await gateway.charge(order("pm_processing"));
    expect(await gateway.cancel(order("pm_processing"))).toEqual({ status: "pending" });
  });
});

describe("a refund", () => {
  it("happens once, under a key of its own, also when its answer was lost or the key forgotten", async () => {
    await gateway.charge(ok);
    stripe.fail({ on: /refunds$/, loseAnswer: true });
    await expect(gateway.refund(ok, "pi_1")).rejects.toThrow(GatewayUnreachable);
    expect(await gateway.refund(ok, "pi_1")).toEqual({ status: "succeeded", reference: "re_1" });
    stripe.forgetKeys();
    expect(await gateway.refund(ok, "pi_1")).toMatchObject({ status: "succeeded" });
    expect(stripe.refunds.size).toBe(1);
    expect(stripe.requests.filter(({ path }) => path === "/v1/refunds").map(({ key }) => key)).toEqual(
      Array(3).fill("o1:refund"),
    );
  });
});

describe("Stripe that cannot be used", () => {
  it.each([429, 500, 503])("%i is no decision", async (status) => {
    stripe.fail({ on: /payment_intents$/, status });
    await expect(gateway.charge(ok)).rejects.toMatchObject({ name: "GatewayUnreachable", sent: true });
  });

  it("a key that is not accepted is no decision", async () => {
    await expect(gatewayAt(stripe.port, "sk_test_2").charge(ok)).rejects.toThrow(GatewayUnreachable);
  });

  it("a port that nobody listens on has got nothing", async () => {
    await expect(gatewayAt(1).charge(ok)).rejects.toMatchObject({ sent: false });
  });
});

describe("webhooks of Stripe", () => {
  const payload = JSON.stringify({
    id: "evt_1",
    object: "event",
    type: "payment_intent.succeeded",
    data: { object: { id: "pi_1", object: "payment_intent", metadata: { payment_id: "o1" } } },
  });
  const parse = (body: string, secret: string, age = 0) => {
    const timestamp = Math.floor(Date.now() / 1_000) - age;
    const header = new Stripe("sk").webhooks.generateTestHeaderString({ payload, secret, timestamp });
    return gateway.parseWebhook(Buffer.from(body), { "stripe-signature": header });
  };

  it("say what has been charged", () => {
    const notice = { payment_id: "o1", outcome: succeeded };
    expect(parse(payload, webhook_secret)).toEqual({ verified: true, notice });
  });

  it.each([
    ["another secret", () => parse(payload, "whsec_2")],
    ["another body", () => parse(payload.replace("o1", "o2"), webhook_secret)],
    ["an old signature", () => parse(payload, webhook_secret, 301)],
    ["no signature", () => gateway.parseWebhook(Buffer.from(payload), {})],
  ])("are refused with %s", (_title, parsed) => {
    expect(parsed()).toMatchObject({ verified: false });
  });
});
