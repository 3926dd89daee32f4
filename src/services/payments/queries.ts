import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { PaymentView } from "./contract.ts";
import type { PaymentBacklog } from "./metrics.ts";

export async function findPayment(database: Reader, id: string): Promise<PaymentView | undefined> {
  const [payment] = await database.read<PaymentView>(paymentById, [id]);
  return payment;
}

export async function readBacklog(database: Reader): Promise<PaymentBacklog> {
  const [backlog] = await database.read<PaymentBacklog>(countBacklog);
  return backlog!;
}

const paymentById: Statement = {
  name: "payments_by_id",
  text: `select id, id as order_id, status, amount_minor, currency, gateway, gateway_reference,
                status = 'refunded' as refunded, code, detail, attempts, next_try_at, created_at, updated_at
         from payments.payments where id = $1`,
};
const countBacklog: Statement = {
  name: "payments_backlog",
  text: `select count(*) filter (where status = 'charging' and delayed_at is not null) as delayed,
                count(*) filter (where status = 'refunding' and due_at < now() - interval '1 hour') as refunds_overdue
         from payments.payments where next_try_at between '-infinity' and 'infinity'`,
};
