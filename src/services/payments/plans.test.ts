import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { untilPast } from "../../../test/plans/plans.ts";
import { type Transaction, transact } from "../../platform/batch/transaction.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import { useTestDatabase } from "../../testing/database.ts";
import type { PaymentCommand } from "./contract.ts";
import { paymentHandler } from "./handle.ts";
import { paymentMigrations } from "./index.ts";
import { readBacklog } from "./queries.ts";

const settled = 300_000;
const waiting = 3_000;

const handle = paymentHandler({
  rules: { hold_ttl_seconds: 900, patience_seconds: 86_400, lease_ms: 45_000 },
  retry: { firstMs: 1_000, maxMs: 60_000 },
  gateway: "simulated",
  worker: "0123456789ab",
  room: () => 10_000,
  isLeftAlone: () => false,
});

const database = useTestDatabase();
let pool: Pool;
beforeAll(async () => {
  await migrate(database.url, paymentMigrations);
  pool = createPool(database.url, { max: 1, name: "test" });
});
afterAll(() => pool?.end());

describe("a payment that is charged at the first try", () => {
  const ids = Array.from(
    { length: 2_000 },
    (_, n) => `0199a8c4-7b1e-7c3a-9f00-${String(n).padStart(12, "0")}`,
  );
  const ask = (payment_id: string): PaymentCommand => ({
    type: "RequestPayment",
    payment_id,
    reservation_id: payment_id,
    amount_minor: 4_900,
    currency: "EUR",
    token: "pm_1Q0PsIJvEtkwdCNYMSaVuRz6",
  });
  const allow = (payment_id: string): PaymentCommand => {
    return { type: "AllowCharge", payment_id, reservation_id: payment_id, at: new Date() };
  };
  const succeed = (payment_id: string): PaymentCommand => ({
    type: "RecordCharge",
    payment_id,
    outcome: { status: "succeeded", reference: `sim_${payment_id}` },
  });

  it.each([
    ["becomes due", allow],
    ["succeeds", succeed],
  ])("touches no index when it %s", async (_title, command) => {
    if (command === allow) await transact(pool, (tx) => handle(tx, ids.map(ask)));
    await untilPast(pool);
    const [before, after] = await transact(pool, async (tx) => {
      const before = await countUpdates(tx);
      await handle(tx, ids.map(command));
      return [before, await countUpdates(tx)] as const;
    });
    expect(after.all - before.all).toBe(ids.length);
    expect(after.hot - before.hot).toBe(ids.length);
  });
});

describe("among very many payments", () => {
  beforeAll(fill);

  it.each<[string, PaymentCommand[]]>([
    ["what is due", [{ type: "TakeOver", limit: 500, early: false, finished: [-1, -2] }]],
    ["what was delayed", [{ type: "TakeOver", limit: 500, early: true, finished: [] }]],
    [
      "what an event is about",
      [{ type: "GiveBack", payment_id: "paid-7", turn: { worker: "w", attempt: 1 } }],
    ],
  ])("%s is found by an index", async (_title, commands) => {
    for (const [statement, values] of await statementsOf((tx) => handle(tx, commands))) {
      expect(await scannedTables(statement, values), statement.name).not.toContain("payments");
    }
  });

  it("the backlog is counted by an index", async () => {
    const [[statement, values]] = (await statementsOf((tx) => readBacklog(tx))) as [Call];
    expect(await scannedTables(statement, values)).toEqual([]);
  });
});

type Call = [statement: Statement, values: unknown[]];

/** What is sent, each with an answer as of now; nothing of it lasts. */
async function statementsOf(work: (tx: Transaction) => Promise<unknown>): Promise<Call[]> {
  const calls: Call[] = [];
  await expect(
    transact(pool, async (tx) => {
      await work({
        ...tx,
        read: (statement, values = []) => {
          calls.push([statement, values]);
          return tx.read(statement, values);
        },
        write: (statement, values) => {
          calls.push([statement, values]);
          tx.write(statement, values);
        },
        proveBy() {},
        appended() {},
      });
      throw new Error("rolled back");
    }),
  ).rejects.toThrow("rolled back");
  expect(calls.length).toBeGreaterThan(0);
  return calls;
}

interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly Plans?: readonly PlanNode[];
}

async function scannedTables({ text }: Statement, values: unknown[]): Promise<(string | undefined)[]> {
  const { rows } = await pool.query(`explain (format json) ${text}`, values);
  const nodesOf = (plan: PlanNode): PlanNode[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
  return nodesOf(rows[0]["QUERY PLAN"][0].Plan)
    .filter((node) => node["Node Type"] === "Seq Scan")
    .map((node) => node["Relation Name"]);
}

async function fill(): Promise<void> {
  await pool.query("set statement_timeout = 0");
  await pool.query(
    `insert into payments.payments (id, reservation_id, status, amount_minor, currency, token, reserved, attempts,
                                    failures, due_at, gateway, gateway_reference, created_at, updated_at)
     select 'paid-' || n, 'r', 'succeeded', 500, 'EUR', 'tok', true, 1, 0, now(), 'simulated', 'sim', now(), now()
     from generate_series(1, ${settled}) n`,
  );
  await pool.query(
    `insert into payments.payments (id, reservation_id, status, amount_minor, currency, token, reserved, attempts,
                                    failures, due_at, next_try_at, gateway, created_at, updated_at)
     select 'waiting-' || n, 'r', 'charging', 500, 'EUR', 'tok', true, 1, 1, now(),
            now() + (n - ${waiting / 2}) * interval '1 second', 'simulated', now(), now()
     from generate_series(1, ${waiting}) n`,
  );
  await pool.query(
    `with leased as (
       insert into payments.payments (id, reservation_id, status, amount_minor, currency, token, reserved, attempts,
                                      failures, due_at, worker, leased_until, gateway, created_at, updated_at)
       select 'leased-' || n, 'r', 'charging', 500, 'EUR', 'tok', true, 1, 0, now(), 'dead',
              now() - interval '1 second', 'simulated', now(), now()
       from generate_series(1, 500) n returning id)
     insert into payments.leases (position, leased_until, payment_ids)
     select 0, now() - interval '1 second', array_agg(id) from leased`,
  );
  await pool.query("analyze");
}

/** Of this connection, including what it has not committed yet. */
async function countUpdates(tx: Transaction): Promise<{ all: number; hot: number }> {
  const [counts] = await tx.read<{ all: number; hot: number }>(updates);
  return counts!;
}

const updates: Statement = {
  name: "count_updates",
  text: `select n_tup_upd as all, n_tup_hot_upd as hot from pg_stat_xact_user_tables
         where relid = 'payments.payments'::regclass`,
};
