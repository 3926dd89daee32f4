import type { Transaction } from "../../platform/batch/transaction.ts";
import { type LogMark, logWriter } from "../../platform/log/append.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import type { TakeOver } from "./contract.ts";
import type { Payment } from "./payment.ts";

export const schema = "payments";
export const log = logWriter(schema);

export function lockPayments(tx: Transaction, ids: readonly string[]): Promise<Payment[]> {
  return tx.read<Payment>(lockById, [ids]);
}

/** What somebody else has locked is somebody else's work. */
export function lockOverdue(tx: Transaction, gateway: string, command: TakeOver): Promise<Payment[]> {
  return tx.read<Payment>(command.early ? lockDelayed : lockDue, [gateway, command.limit]);
}

/** Of turns whose time is up, the payments; their lease is gone with this transaction. */
export async function endLeases(tx: Transaction): Promise<string[]> {
  const leases = await tx.read<{ payment_ids: string[] }>(takeExpiredLeases, [leasesAtOnce]);
  return leases.flatMap(({ payment_ids }) => payment_ids);
}

/** Those whose turn it still is. */
export function lockAbandoned(tx: Transaction, ids: readonly string[]): Promise<Payment[]> {
  return tx.read<Payment>(lockExpired, [ids]);
}

export function saveLease(
  tx: Transaction,
  { position, now }: LogMark,
  ids: string[],
  lease_ms: number,
): void {
  tx.write(insertLease, [position, new Date(now.getTime() + lease_ms), ids]);
}

export function dropLeases(tx: Transaction, positions: readonly number[]): void {
  tx.write(deleteLeases, [positions]);
}

/** Written in the order of their keys, so that of two processes with the same new ones neither waits for the other. */
export function savePayments(
  tx: Transaction,
  created: readonly Payment[],
  updated: readonly Payment[],
): void {
  if (created.length > 0) tx.write(insertPayments, arrays(names, created));
  if (updated.length > 0) tx.write(updatePayments, arrays(changing, updated));
}

const leasesAtOnce = 50;

const columns = {
  id: "text",
  reservation_id: "text",
  status: "text",
  amount_minor: "bigint",
  currency: "text",
  token: "text",
  reserved: "boolean",
  hold_at: "timestamptz",
  code: "text",
  detail: "text",
  attempts: "int",
  failures: "int",
  due_at: "timestamptz",
  next_try_at: "timestamptz",
  worker: "text",
  leased_until: "timestamptz",
  delayed_at: "timestamptz",
  gateway: "text",
  gateway_reference: "text",
  traceparent: "text",
  cause: "text",
  created_at: "timestamptz",
  updated_at: "timestamptz",
} as const satisfies Record<keyof Payment, string>;

const names = Object.keys(columns) as (keyof Payment)[];
const list = names.join(", ");
const changing = names.filter((name) => name !== "created_at");

function unnested(columnNames: readonly (keyof Payment)[]): string {
  return `unnest(${columnNames.map((name, i) => `$${i + 1}::${columns[name]}[]`).join(", ")})`;
}

function arrays(columnNames: readonly (keyof Payment)[], payments: readonly Payment[]): unknown[][] {
  const sorted = [...payments].sort((a, b) => (a.id < b.id ? -1 : 1));
  return columnNames.map((name) => sorted.map((payment) => payment[name]));
}

const lockById: Statement = {
  name: "payments_lock",
  text: `select ${list} from payments.payments where id = any($1::text[]) order by id for update`,
};
const takeExpiredLeases: Statement = {
  name: "payments_take_expired_leases",
  text: `delete from payments.leases where position in (
           select position from payments.leases where leased_until <= now() order by position limit $1
           for update skip locked)
         returning payment_ids`,
};
const lockExpired: Statement = {
  name: "payments_lock_expired",
  text: `select ${list} from payments.payments
         where id = any($1::text[]) and leased_until <= now() order by id for update`,
};
const lockDue: Statement = {
  name: "payments_lock_due",
  text: `select ${list} from payments.payments
         where next_try_at <= now() and gateway = $1 order by next_try_at limit $2 for update skip locked`,
};
const lockDelayed: Statement = {
  name: "payments_lock_delayed",
  text: `select ${list} from payments.payments
         where next_try_at between '-infinity' and 'infinity' and failures > 0 and gateway = $1
         order by next_try_at limit $2 for update skip locked`,
};
const insertLease: Statement = {
  name: "payments_insert_lease",
  text: "insert into payments.leases (position, leased_until, payment_ids) values ($1, $2, $3)",
};
const deleteLeases: Statement = {
  name: "payments_delete_leases",
  text: "delete from payments.leases where position = any($1::bigint[])",
};
const insertPayments: Statement = {
  name: "payments_insert",
  text: `insert into payments.payments (${list}) select * from ${unnested(names)}`,
};
const updatePayments: Statement = {
  name: "payments_update",
  text: `update payments.payments p set ${changing.map((name) => `${name} = v.${name}`).join(", ")}
         from ${unnested(changing)} as v (${changing.join(", ")}) where p.id = v.id`,
};
