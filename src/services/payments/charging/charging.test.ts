import { afterEach, describe, expect, it, vi } from "vitest";
import { useTestDatabase } from "../../../testing/database.ts";
import { patience } from "../../../testing/patience.ts";
import { expired, hasty, held, orderCancelled, ordered, Till } from "../../../testing/payments.ts";
import type { PaymentSettings } from "../payments.ts";

/** Longer than any test is patient: what comes all the same does not come by waiting. */
const hourMs = 3_600_000;

const database = useTestDatabase();
const open: Till[] = [];

async function till(settings: Partial<PaymentSettings> = {}): Promise<Till> {
  const process = await Till.open(database.url, settings);
  open.push(process);
  process.service.start();
  return process;
}

afterEach(async () => {
  const violations = await open[0]?.violations();
  for (const process of open.splice(0)) await process.close();
  expect(violations).toEqual([]);
});

const charge = (amount_minor: number) => [{ status: "succeeded", amount_minor, refunded_minor: 0 }];

describe("tokens of the simulated gateway", () => {
  it.each([
    ["tok_ok", "succeeded", ["PaymentSucceeded"]],
    ["pm_somebodys_card", "succeeded", ["PaymentSucceeded"]],
    ["tok_twice", "succeeded", ["PaymentSucceeded"]],
    ["tok_declined", "failed", ["PaymentFailed"]],
    ["tok_late_1", "succeeded", ["PaymentSucceeded"]],
    ["tok_lost", "succeeded", ["PaymentDelayed", "PaymentSucceeded"]],
  ] as const)("%s", async (token, status, told) => {
    const shop = await till();
    const id = await shop.due(token, 700);
    await shop.is(id, status);
    expect(await shop.told(id)).toEqual(told);
    if (status === "succeeded") expect(await shop.entries(id)).toEqual(charge(700));
    const payment = await shop.payment(id);
    expect(payment).toMatchObject({ order_id: id, gateway: "simulated", next_try_at: null });
    expect(payment).not.toHaveProperty("token");
  });

  it("tok_down waits, and ends with its hold: nothing was ever sent", async () => {
    const shop = await till();
    const id = await shop.due("tok_down");
    await shop.tells(id, "PaymentDelayed");
    await shop.hear([expired(id)]);
    await shop.is(id, "failed");
    expect(await shop.payment(id)).toMatchObject({ code: "hold_expired" });
    expect(await shop.entries(id)).toEqual([]);
  });

  it("tok_late that is late by webhook alone", async () => {
    // Nobody asks within the time of this test.
    const never = { first_retry_ms: hourMs, longest_retry_ms: hourMs, sweep_every_ms: hourMs };
    const shop = await till({ timing: { ...hasty, ...never } });
    const id = await shop.due("tok_late_1");
    await shop.is(id, "succeeded");
    expect(await shop.payment(id)).toMatchObject({ attempts: 1 });
  });
});

describe("races", () => {
  it("an order that is cancelled while its charge is late is refunded", async () => {
    const shop = await till();
    const id = await shop.due("tok_late_1");
    await shop.hear([orderCancelled(id)]);
    await shop.is(id, "refunded");
    expect(await shop.told(id)).toEqual(["PaymentSucceeded", "PaymentRefunded"]);
    expect(await shop.entries(id)).toEqual([{ status: "succeeded", amount_minor: 500, refunded_minor: 500 }]);
  });

  it("a charge that comes after its hold expired is a success", async () => {
    const shop = await till();
    const id = await shop.due("tok_late_1");
    await shop.hear([expired(id)]);
    await shop.is(id, "succeeded");
  });

  it("an order that is cancelled after it was paid is refunded, once", async () => {
    const shop = await till();
    const id = await shop.due("tok_ok");
    await shop.is(id, "succeeded");
    await shop.hear([orderCancelled(id), orderCancelled(id)]);
    await shop.is(id, "refunded");
    await shop.hear([ordered(id, "tok_ok"), held(id), orderCancelled(id)]);
    expect(await shop.told(id)).toEqual(["PaymentSucceeded", "PaymentRefunded"]);
  });

  it("an order that ends in the batch in which it begins is never charged", async () => {
    const shop = await till();
    await shop.hear([ordered("short-lived", "tok_ok"), held("short-lived"), orderCancelled("short-lived")]);
    await shop.is("short-lived", "failed");
    expect(await shop.entries("short-lived")).toMatchObject([{ status: "cancelled" }]);
  });
});

it("what a payment becomes names the event that made it due, also after a wait", async () => {
  const shop = await till();
  for (const token of ["tok_ok", "tok_lost", "tok_late_1"]) {
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const reserved = { ...held(`traced-${token}`), traceparent };
    await shop.hear([ordered(`traced-${token}`, token), reserved]);
    await shop.is(`traced-${token}`, "succeeded");
    const { rows } = await shop.pool.query(
      `select event ->> 'cause' as cause, event ->> 'traceparent' as traceparent
       from payments.log, json_array_elements(events::json) as event where event ->> 'subject' = $1`,
      [`traced-${token}`],
    );
    for (const row of rows) expect(row).toEqual({ cause: reserved.id, traceparent });
  }
});

describe("a process that dies", () => {
  it("before it went to the gateway: another one takes the payment over", async () => {
    const dying = await till({ timing: { sweep_every_ms: hourMs, lease_ms: 100 } });
    await dying.hear([ordered("orphan", "tok_ok"), held("orphan")], { lost: true });
    const heir = await till();
    await heir.is("orphan", "succeeded");
    expect(await heir.entries("orphan")).toEqual(charge(500));
  });

  it("with the answer of the gateway: the other one asks and charges nothing", async () => {
    const dying = await till({ timing: { sweep_every_ms: hourMs, lease_ms: 300 } });
    await dying.hear([ordered("answered", "tok_ok"), held("answered")], { lost: true });
    const { pool } = dying;
    await pool.query(
      `insert into payments.simulated_bank (id, status, amount_minor, currency, token, reference, refunded_minor, created_at)
       values ('answered', 'succeeded', 500, 'EUR', 'tok_ok', 'made-by-the-dead', 0, now())`,
    );
    const heir = await till();
    await heir.is("answered", "succeeded");
    expect(await heir.payment("answered")).toMatchObject({
      gateway_reference: "made-by-the-dead",
      attempts: 2,
    });
  });

  it("two processes share the work, and charge everything once", async () => {
    const [one, two] = [
      await till({ timing: { lease_ms: 50, sweep_every_ms: 10, first_retry_ms: 10 } }),
      await till(),
    ];
    one.simulate({ latency_ms: 30, jitter_ms: 80, failure_rate: 0.3, duplicate_webhooks: true });
    const ids: string[] = [];
    for (let i = 0; i < 60; i++) ids.push(await one.due(i % 7 === 0 ? "tok_lost" : "tok_ok"));
    for (const id of ids) await two.is(id, "succeeded");
    for (const id of ids)
      expect((await two.told(id)).filter((type) => type === "PaymentSucceeded")).toHaveLength(1);
  });

  it("at its will: what it has not begun is free at once", async () => {
    const first = await till({ concurrency: 1, timing: { ...hasty, lease_ms: hourMs } });
    first.simulate({ latency_ms: 300 });
    const ids = [await first.due("tok_ok"), await first.due("tok_ok"), await first.due("tok_ok")];
    await first.service.stop();
    const second = await till({ timing: { ...hasty, lease_ms: hourMs } });
    for (const id of ids) await second.is(id, "succeeded");
    for (const id of ids) expect(await second.told(id)).toEqual(["PaymentSucceeded"]);
  });
});

describe("many payments at once", () => {
  it("are all begun as soon as there is room for them, long before the next sweep", async () => {
    const shop = await till({ concurrency: 1, timing: { ...hasty, sweep_every_ms: hourMs } });
    const ids = Array.from({ length: 100 }, (_, n) => `crowd-${n}`);
    await shop.hear(ids.map((id) => ordered(id, "tok_ok")));
    await shop.hear(ids.map(held));
    for (const id of ids) await shop.is(id, "succeeded");
  });

  it("leave no leases behind them", async () => {
    const shop = await till({ timing: { ...hasty, lease_ms: hourMs } });
    const ids = await Promise.all(Array.from({ length: 20 }, () => shop.due("tok_ok")));
    for (const id of ids) await shop.is(id, "succeeded");
    await vi.waitUntil(async () => {
      const { rows } = await shop.pool.query("select 1 from payments.leases where $1 && payment_ids", [ids]);
      return rows.length === 0;
    }, patience);
  });
});

describe("an outage of the gateway", () => {
  it("opens the breaker, delays what is due, and ends with every payment charged", async () => {
    const shop = await till({ hold_ttl_seconds: 1 });
    shop.simulate({ down: true });
    const ids = await Promise.all(Array.from({ length: 30 }, () => shop.due("tok_ok")));
    await vi.waitUntil(() => shop.service.payments.outside.state === "open", patience);
    const [probe] = shop.service.probes!;
    expect(await probe!.check()).toMatchObject({ details: { breaker: expect.stringMatching(/open/) } });
    // Holds of a second are extended before they are over, again and again.
    await vi.waitUntil(async () => (await shop.told(ids[0]!)).length >= 3, patience);
    shop.simulate({});
    for (const id of ids) await shop.is(id, "succeeded");
    await vi.waitUntil(() => shop.service.payments.outside.state === "closed", patience);
    for (const id of ids) expect(await shop.entries(id)).toEqual(charge(500));
  });

  it("ends what was waiting as soon as the breaker closes, whenever its next try would have been", async () => {
    const shop = await till({
      hold_ttl_seconds: 86_400,
      timing: { ...hasty, first_retry_ms: hourMs, longest_retry_ms: hourMs },
    });
    const { outside } = shop.service.payments;
    shop.simulate({ down: true });
    const ids: string[] = [];
    while (outside.state === "closed") {
      ids.push(...(await Promise.all(Array.from({ length: 20 }, () => shop.due("tok_ok")))));
    }
    for (const id of ids) await shop.tells(id, "PaymentDelayed");
    shop.simulate({});
    await vi.waitUntil(() => outside.state !== "open", patience);
    await shop.is(await shop.due("tok_ok"), "succeeded");
    for (const id of ids) await shop.is(id, "succeeded");
  });

  it("delays what becomes due meanwhile, without sending anybody there", async () => {
    const shop = await till({ timing: { ...hasty, breaker_reset_ms: hourMs } });
    shop.simulate({ down: true });
    await Promise.all(Array.from({ length: 30 }, () => shop.due("tok_ok")));
    await vi.waitUntil(() => shop.service.payments.outside.state === "open", patience);
    const id = await shop.due("tok_ok");
    await shop.tells(id, "PaymentDelayed");
    expect(await shop.payment(id)).toMatchObject({ status: "charging", attempts: 0 });
    await shop.hear([expired(id)]);
    await shop.is(id, "failed");
  });

  it("ends a payment when patience is over", async () => {
    const shop = await till({ patience_seconds: 0 });
    const id = await shop.due("tok_down");
    await shop.is(id, "failed");
    expect(await shop.payment(id)).toMatchObject({ code: "gateway_unreachable" });
  });

  it("keeps a refund until it is done", async () => {
    const shop = await till();
    const id = await shop.due("tok_ok");
    await shop.is(id, "succeeded");
    shop.simulate({ down: true });
    await shop.hear([orderCancelled(id)]);
    await vi.waitUntil(async () => (await shop.payment(id))!.next_try_at !== null, patience);
    shop.simulate({});
    await shop.is(id, "refunded");
  });
});
