import { withCommas } from "../../kernel/number.ts";
import type { LogBatch } from "../../platform/log/read.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { Finding } from "../../platform/service.ts";
import type { PaymentEvent } from "./contract.ts";
import { free } from "./ends.ts";
import type { Payment } from "./payment.ts";

/** Looks at a consistent view of everything; `database` is one transaction that sees no later commits. */
export async function verifyPayments(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  return [...(await logExplainsTable(database, onProgress)), ...(await bankAgrees(database))];
}

const batchesAtOnce = 100;
const rowsAtOnce = 5_000;

type Row = Pick<
  Payment,
  | "id"
  | "status"
  | "code"
  | "detail"
  | "amount_minor"
  | "currency"
  | "gateway"
  | "gateway_reference"
  | "updated_at"
>;

/** What the log tells of one payment. */
interface Told {
  succeeded?: Extract<PaymentEvent, { type: "PaymentSucceeded" }>["data"];
  failed?: Extract<PaymentEvent, { type: "PaymentFailed" }>["data"];
  refunded?: Extract<PaymentEvent, { type: "PaymentRefunded" }>["data"];
}

async function logExplainsTable(database: Reader, onProgress: (message: string) => void): Promise<Finding[]> {
  const told = new Map<string, Told>();
  const twice: string[] = [];
  let beginning: Date | undefined;
  let events = 0;
  let batches = await readBatches(database, 0);
  while (batches.length > 0) {
    beginning ??= batches[0]!.at;
    for (const batch of batches) {
      for (const event of batch.events) {
        events++;
        tell(told, event as unknown as PaymentEvent, twice);
      }
    }
    onProgress(`${withCommas(events)} events replayed`);
    batches = await readBatches(database, batches.at(-1)!.position);
  }
  const { count, violations } = await compareRows(database, told, beginning);
  return [
    {
      check: "promise 3: no payment succeeds twice, or both succeeds and fails",
      looked_at: `${withCommas(events)} events`,
      violations: twice,
    },
    {
      check: "promise 4: replaying the log from nothing gives what became of every payment",
      looked_at: `${withCommas(events)} events against ${withCommas(count)} payments`,
      violations,
    },
  ];
}

function tell(all: Map<string, Told>, { type, data }: PaymentEvent, twice: string[]): void {
  if (type === "PaymentDelayed") return;
  const told = all.get(data.payment_id) ?? {};
  all.set(data.payment_id, told);
  if (type === "PaymentRefunded") {
    if (told.refunded !== undefined) twice.push(`${data.payment_id} was refunded twice`);
    if (told.succeeded !== undefined && told.succeeded.amount_minor !== data.amount_minor) {
      twice.push(`${data.payment_id}: ${told.succeeded.amount_minor} charged, ${data.amount_minor} refunded`);
    }
    told.refunded = data;
  } else {
    if (told.succeeded !== undefined || told.failed !== undefined) {
      twice.push(`${data.payment_id}: ${type}, though it had ended already`);
    }
    if (type === "PaymentSucceeded") told.succeeded = data;
    else told.failed = data;
  }
}

async function compareRows(database: Reader, told: Map<string, Told>, beginning: Date | undefined) {
  const violations: string[] = [];
  let after = "";
  let count = 0;
  for (;;) {
    const rows = await database.read<Row>(paymentPage, [after, rowsAtOnce]);
    for (const row of rows) {
      const story = told.get(row.id);
      told.delete(row.id);
      // What ended before the log begins was told in a part that is kept no more.
      if (story === undefined && (beginning === undefined || row.updated_at < beginning)) continue;
      const trouble = contradiction(row, story ?? {});
      if (trouble !== undefined) violations.push(`${row.id} is ${row.status}: ${trouble}`);
    }
    count += rows.length;
    if (rows.length < rowsAtOnce) break;
    after = rows.at(-1)!.id;
  }
  for (const id of told.keys()) violations.push(`${id} is in the log but not in the table`);
  return { count, violations };
}

/** Where a row is not what the log makes of it. */
function contradiction(row: Row, { succeeded, failed, refunded }: Told): string | undefined {
  switch (row.status) {
    case "open":
    case "charging":
      return succeeded || failed || refunded ? "the log has it ended" : undefined;
    case "succeeded":
      if (succeeded === undefined || refunded !== undefined) return "the log does not say so";
      return isSame(row, succeeded, ["amount_minor", "currency", "gateway", "gateway_reference"]);
    case "failed":
      if (failed === undefined || refunded !== undefined) return "the log does not say so";
      return isSame(row, failed, ["code", "detail"]);
    case "refunding":
      return (succeeded ?? failed) === undefined || refunded ? "the log does not say so" : undefined;
    case "refunded":
      return refunded === undefined
        ? "the log does not say so"
        : isSame(row, refunded, ["amount_minor", "currency"]);
  }
}

function isSame<Field extends keyof Row>(
  row: Row,
  told: Readonly<Record<Field, unknown>>,
  fields: readonly Field[],
): string | undefined {
  const field = fields.find((name) => row[name] !== told[name]);
  return field === undefined ? undefined : `${field} is ${row[field]}, in the log ${told[field]}`;
}

/** Of the simulated gateway we can look into the books: what was charged is what payments know, and nothing else. */
async function bankAgrees(database: Reader): Promise<Finding[]> {
  const [{ count }] = (await database.read<{ count: number }>(countEntries)) as [{ count: number }];
  const broken = await database.read<{ id: string; trouble: string }>(disagreements, [free]);
  return [
    {
      check: "promise 3: the simulated bank has charged and refunded exactly what the payments say",
      looked_at: `${withCommas(count)} entries in its books`,
      violations: broken.map(({ id, trouble }) => `${id}: ${trouble}`),
    },
  ];
}

async function readBatches(database: Reader, after: number): Promise<LogBatch[]> {
  const rows = await database.read<LogBatch & { events: string }>(logPage, [after, batchesAtOnce]);
  return rows.map((row) => ({ ...row, events: JSON.parse(row.events) }));
}

const logPage: Statement = {
  name: "payments_verify_log",
  text: `select position, at, events from payments.log where position > $1 order by position limit $2`,
};
const paymentPage: Statement = {
  name: "payments_verify_payments",
  text: `select id, status, code, detail, amount_minor, currency, gateway, gateway_reference, updated_at
         from payments.payments where id > $1 order by id limit $2`,
};
const countEntries: Statement = {
  name: "payments_verify_count_entries",
  text: "select count(*) from payments.simulated_bank",
};
const disagreements: Statement = {
  name: "payments_verify_bank",
  // What is under way (charging, refunding) may have happened at the bank and not be known here yet.
  text: `select coalesce(p.id, b.id) as id,
                case
                  when p.id is null then 'the bank has charged for it, and there is no such payment'
                  when b.id is null then 'it is ' || p.status || ', and the bank knows nothing of it'
                  when (b.amount_minor, b.currency) is distinct from (p.amount_minor, p.currency)
                    then 'the bank has ' || b.amount_minor || ' ' || b.currency || ' for it'
                  when p.status = 'succeeded' then 'it has succeeded, and the bank has kept no money for it'
                  when p.status = 'refunded' then 'it is refunded, and the bank has kept the money'
                  else 'it is ' || p.status || ', and the bank has kept the money'
                end as trouble
         from (select * from payments.payments where gateway is null or gateway = 'simulated') p
         full join payments.simulated_bank b on b.id = p.id
         where p.gateway is distinct from $1
           and (p.id is null and not exists (select 1 from payments.payments other where other.id = b.id)
             or b.id is null and p.status in ('succeeded', 'refunding', 'refunded')
             or b.id is not null and p.id is not null and (
                  (b.amount_minor, b.currency) is distinct from (p.amount_minor, p.currency)
                  or p.status = 'succeeded' and (b.status not in ('succeeded', 'pending') or b.refunded_minor > 0)
                  or p.status in ('failed', 'open') and b.status in ('succeeded', 'pending')
                     and b.refunded_minor < b.amount_minor
                  or p.status = 'refunded' and b.refunded_minor <> b.amount_minor
                ))
         limit 20`,
};
