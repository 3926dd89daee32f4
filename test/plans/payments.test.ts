import { expect, it } from "vitest";
import { commandsFrom } from "../../src/services/payments/consumers.ts";
import type { PaymentCommand } from "../../src/services/payments/contract.ts";
import { paymentHandler } from "../../src/services/payments/handle.ts";
import { findPayment, readBacklog } from "../../src/services/payments/queries.ts";
import { heard } from "./events.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables } from "./plans.ts";

const records = 1_000_000;
/** Every hundredth payment is not settled: it waits for its stock, or for its next turn, or has it. */
const openEvery = 100;
const openPayments = records / openEvery;
const kinds = ["open", "waiting", "leased"] as const;

const database = useLargeDatabase([
  `insert into payments.payments (id, reservation_id, status, amount_minor, currency, token, reserved, attempts, failures,
                                  due_at, next_try_at, worker, leased_until, gateway, gateway_reference, created_at,
                                  updated_at)
   select 'order-' || lpad(n::text, 7, '0'), 'order-' || lpad(n::text, 7, '0'),
          case kind when 'settled' then 'succeeded' when 'open' then 'open' else 'charging' end,
          250, 'EUR', 'tok_visa', kind <> 'open', (kind <> 'open')::int, (kind = 'waiting')::int,
          case when kind <> 'open' then now() end, case when kind = 'waiting' then due end,
          case when kind = 'leased' then 'other' end, case when kind = 'leased' then due end,
          case when kind <> 'open' then 'simulated' end, case when kind = 'settled' then 'sim_' || n end, now(), now()
   from (select n, now() + (n - ${records / 2}) * interval '1 second' as due,
                case when n % ${openEvery} <> 0 then 'settled'
                     else (array['${kinds.join("','")}'])[n / ${openEvery} % 3 + 1] end as kind
         from generate_series(1, ${records}) n) as numbered`,
  // A batch of a thousand turns each.
  `insert into payments.leases (position, leased_until, payment_ids)
   select place / 1000, max(leased_until), array_agg(id)
   from (select id, leased_until, row_number() over (order by id) as place
         from payments.payments where worker is not null) as turns
   group by 1`,
  ...logOf("payments", records / 10),
]);

inEachState(database, () => {
  it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
    const fresh = Array.from({ length: size }, (_, i) => paymentId(2 * records + i));
    const open = spread(size, Math.floor(openPayments / 3)).map((n) => paymentId(n * 3 * openEvery));
    const settled = spread(size, openPayments).map((n) => paymentId(n * openEvery - 50));
    await expectBatch(commandsFrom(fresh.map(ordered)), "payments_insert");
    await expectBatch(commandsFrom(open.map(held)), "payments_update");
    await expectBatch(commandsFrom(settled.map(cancelled)), "payments_update");
    await expectBatch(open.map(succeeded), "payments_lock");
    await expectBatch([takeOver(size, false)], "payments_lock_due");
    await expectBatch([takeOver(size, true)], "payments_lock_delayed");
  });

  it("one payment is read without reading a large table from end to end", async () => {
    await expectNoScan(
      database.pool,
      asked(database.pool, (reader) => findPayment(reader, paymentId(500))),
    );
  });

  it("the backlog is counted without reading a large table from end to end", async () => {
    await expectNoScan(database.pool, asked(database.pool, readBacklog));
  });
});

it("the tables are large", async () => {
  expect(await largeTables(database.pool)).toEqual(["payments.log_from_0", "payments.payments"]);
});

// ---- commands ------------------------------------------------------------------------------------------------------

const handle = paymentHandler({
  rules: { hold_ttl_seconds: 900, patience_seconds: 86_400, lease_ms: 45_000 },
  retry: { firstMs: 1_000, maxMs: 60_000 },
  gateway: "simulated",
  worker: "test",
  room: () => 10_000,
  isLeftAlone: () => false,
});

async function expectBatch(commands: PaymentCommand[], name: string): Promise<void> {
  await expectNoScan(database.pool, handled(database.pool, handle, commands), { name });
}

function takeOver(limit: number, early: boolean): PaymentCommand {
  return { type: "TakeOver", limit, early, finished: [1] };
}

const succeeded = (payment_id: string): PaymentCommand => ({
  type: "RecordCharge",
  payment_id,
  outcome: { status: "succeeded", reference: `sim_${payment_id}` },
});
const ordered = (id: string) =>
  heard("orders", "OrderCreated", {
    ...ofOrder(id),
    total_minor: 250,
    currency: "EUR",
    payment: { token: "tok_visa" },
  });
const held = (id: string) => heard("inventory", "InventoryReserved", ofOrder(id));
const cancelled = (id: string) =>
  heard("orders", "OrderCancelled", { ...ofOrder(id), reason: "customer", detail: "Changed my mind." });

function ofOrder(order_id: string) {
  return { order_id, reservation_id: order_id };
}

function paymentId(n: number): string {
  return `order-${String(n).padStart(7, "0")}`;
}
