import type { Transaction } from "../../platform/batch/transaction.ts";
import { logWriter } from "../../platform/log/append.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import type { Cart, CartCommand, CartHold, CartOrder } from "./contract.ts";

export const schema = "carts";
export const log = logWriter(schema);

/** The carts that the commands are about, locked in the order of their ids. */
export async function lockCarts(tx: Transaction, commands: readonly CartCommand[]): Promise<Cart[]> {
  const ids: string[] = [];
  const reservations: string[] = [];
  const orders: string[] = [];
  for (const command of commands) {
    if ("cart_id" in command) ids.push(command.cart_id);
    else if ("reservation_id" in command) reservations.push(command.reservation_id);
    else if ("order_id" in command) orders.push(command.order_id);
  }
  if (ids.length + reservations.length + orders.length === 0) return [];
  const rows = await tx.read<CartRow>(lockWanted, [ids, reservations, orders]);
  return rows.map(parseCart);
}

/** Those that the sweep is to look at. What somebody else is using is left alone. */
export async function lockDueCarts(tx: Transaction, limit: number): Promise<Cart[]> {
  return (await tx.read<CartRow>(lockDue, [limit])).map(parseCart);
}

export function saveCarts(tx: Transaction, created: readonly Cart[], updated: readonly Cart[]): void {
  if (created.length > 0) tx.write(insertCarts, arrays(created));
  if (updated.length > 0) tx.write(updateCarts, arrays(updated));
}

function arrays(carts: readonly Cart[]): unknown[][] {
  return [
    carts.map(({ id }) => id),
    carts.map(({ customer_id }) => customer_id),
    carts.map(({ status }) => status),
    carts.map(({ revision }) => revision),
    carts.map(({ lines }) => JSON.stringify(lines)),
    carts.map(({ hold }) => hold.reservation_id),
    carts.map(({ hold: { reservation_id: _column, ...hold } }) => JSON.stringify(hold)),
    carts.map(({ unanswered }) => JSON.stringify(unanswered)),
    carts.map(({ order }) => order?.id ?? null),
    carts.map(({ order }) => orderJson(order)),
    carts.map(({ check_at }) => check_at),
    carts.map(({ created_at }) => created_at),
    carts.map(({ updated_at }) => updated_at),
    carts.map(({ expires_at }) => expires_at),
  ];
}

function orderJson(order: CartOrder | null): string | null {
  if (order === null) return null;
  const { id: _column, ...rest } = order;
  return JSON.stringify(rest);
}

export interface CartRow extends Omit<Cart, "hold" | "order"> {
  readonly reservation_id: string | null;
  readonly hold: Omit<CartHold, "reservation_id" | "expires_at" | "as_of"> & {
    readonly expires_at: string | null;
    readonly as_of: string | null;
  };
  readonly order_id: string | null;
  readonly ordered: Omit<CartOrder, "id"> | null;
}

export function parseCart({ reservation_id, hold, order_id, ordered, ...rest }: CartRow): Cart {
  return {
    ...rest,
    hold: {
      reservation_id,
      ...hold,
      expires_at: dateOrNull(hold.expires_at),
      as_of: dateOrNull(hold.as_of),
    },
    order: order_id === null || ordered === null ? null : { id: order_id, ...ordered },
  };
}

function dateOrNull(text: string | null): Date | null {
  return text === null ? null : new Date(text);
}

export const cartColumns = `id, customer_id, status, revision, lines, reservation_id, hold, unanswered, order_id, ordered,
  check_at, created_at, updated_at, expires_at`;
const types = `$1::text[], $2::text[], $3::text[], $4::int[], $5::json[], $6::text[], $7::json[], $8::json[], $9::text[],
  $10::json[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[]`;

const lockWanted: Statement = {
  name: "carts_lock_wanted",
  text: `select ${cartColumns} from carts.carts
         where id = any($1::text[]) or reservation_id = any($2::text[]) or order_id = any($3::text[])
         order by id for update`,
};
const lockDue: Statement = {
  name: "carts_lock_due",
  // A range of the index even without statistics; clock_timestamp() would be asked of every open cart.
  text: `select ${cartColumns} from carts.carts
         where check_at between '-infinity' and date_trunc('milliseconds', now())
         order by check_at limit $1 for update skip locked`,
};
const insertCarts: Statement = {
  name: "carts_insert",
  text: `insert into carts.carts (${cartColumns}) select * from unnest(${types})`,
};
const updateCarts: Statement = {
  name: "carts_update",
  text: `update carts.carts c
         set customer_id = v.customer_id, status = v.status, revision = v.revision, lines = v.lines,
             reservation_id = v.reservation_id, hold = v.hold, unanswered = v.unanswered, order_id = v.order_id,
             ordered = v.ordered, check_at = v.check_at, created_at = v.created_at, updated_at = v.updated_at,
             expires_at = v.expires_at
         from unnest(${types}) as v (${cartColumns}) where c.id = v.id`,
};
