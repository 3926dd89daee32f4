import { afterAll, beforeAll, expect, it } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { orderCancelled, Till } from "../../testing/payments.ts";

const database = useTestDatabase();
let till: Till;
let paid: string;
let declined: string;
let refunded: string;

beforeAll(async () => {
  till = await Till.open(database.url);
  till.service.start();
  [paid, declined, refunded] = [
    await till.due("tok_ok"),
    await till.due("tok_declined"),
    await till.due("tok_ok"),
  ];
  await till.is(paid, "succeeded");
  await till.is(declined, "failed");
  await till.is(refunded, "succeeded");
  await till.hear([orderCancelled(refunded)]);
  await till.is(refunded, "refunded");
});
afterAll(() => till?.close());

it("finds nothing where nothing is wrong", async () => {
  expect(await till.violations()).toEqual([]);
});

it.each<[string, () => [statement: string, id: string]]>([
  [
    "money kept for nothing",
    () => ["update payments.simulated_bank set status = 'succeeded' where id = $1", declined],
  ],
  [
    "a refund that the bank never made",
    () => ["update payments.simulated_bank set refunded_minor = 0 where id = $1", refunded],
  ],
  [
    "another amount at the bank",
    () => ["update payments.simulated_bank set amount_minor = 1 where id = $1", paid],
  ],
  [
    "a success that the bank knows nothing of",
    () => ["delete from payments.simulated_bank where id = $1", paid],
  ],
  ["a charge without a payment", () => ["delete from payments.payments where id = $1", paid]],
  [
    "a status that the log does not give",
    () => ["update payments.payments set status = 'failed' where id = $1", paid],
  ],
  [
    "a code that the log does not give",
    () => ["update payments.payments set code = 'order_ended' where id = $1", declined],
  ],
  [
    "a payment that succeeded twice",
    () => [
      `insert into payments.log (position, at, events)
       select 1000000, at, events from payments.log where events like '%PaymentSucceeded%' and events like '%' || $1 || '%' limit 1`,
      paid,
    ],
  ],
])("finds %s", async (_title, damage) => {
  const [statement, id] = damage();
  const client = await till.pool.connect();
  try {
    await client.query("begin");
    await client.query(statement, [id]);
    const database = {
      read: async (s: { text: string }, values: unknown[] = []) => (await client.query(s.text, values)).rows,
    };
    const findings = await till.service.verify(database as never, () => {});
    expect(findings.flatMap(({ violations }) => violations).join("\n")).toContain(id);
  } finally {
    await client.query("rollback");
    client.release();
  }
});
