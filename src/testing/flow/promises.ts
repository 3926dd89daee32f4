import { transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import type { Flow } from "./flow.ts";
import { followers } from "./services.ts";
import { changes, contents, deadLetters } from "./tables.ts";

/** Promise 1, at every moment: what is reserved is what open holds hold, and there is no less than that. */
export async function neverOversold(flow: Flow): Promise<string[]> {
  const { rows } = await flow.pool.query<{ row: string }>(
    `select s::text || ', and held are ' || h.held as row
     from inventory.stock s,
          lateral (select coalesce(sum(l.quantity - l.quantity_committed), 0) as held
                   from inventory.reservations r,
                        json_to_recordset(r.lines) as l (store_id text, sku text, quantity int, quantity_committed int)
                   where r.status in ('held', 'confirmed') and l.sku = s.sku and l.store_id = s.store_id) h
     where s.quantity_available < 0 or s.quantity_on_hand <> s.quantity_available + s.quantity_reserved
        or s.quantity_reserved <> h.held`,
  );
  return rows.map(({ row }) => `oversold: ${row}`);
}

/** Promises 2 to 5, once nothing happens any more. */
export async function allIsWell(flow: Flow): Promise<string[]> {
  return [
    ...flow.complaints,
    ...(await deadLetters(flow.pool)),
    ...(await acknowledgedIsThere(flow)),
    ...(await everyOrderHasEnded(flow)),
    ...(await nothingIsHeld(flow)),
    ...(await verified(flow)),
    ...(await replayChangesNothing(flow)),
  ];
}

// ---- promise 2 -----------------------------------------------------------------------------------------------------

async function acknowledgedIsThere(flow: Flow): Promise<string[]> {
  const { rows } = await flow.pool.query<{ id: string }>("select id from orders.orders");
  const there = new Set(rows.map(({ id }) => id));
  const checkedOut = flow.deliveries.all
    .filter(({ type }) => type === "CartCheckedOut")
    .map(({ data }) => (data as { order_id: string }).order_id);
  return [...flow.acknowledged.values(), ...checkedOut]
    .filter((id) => !there.has(id))
    .map((id) => `${id} was acknowledged, and there is no such order`);
}

// ---- promise 3 -----------------------------------------------------------------------------------------------------

interface Settled {
  id: string;
  status: string;
  total_minor: number;
  token: string;
  reservation_id: string;
  lines: Quantities[];
  kept: number | null;
  payment: string | null;
  shipment: string | null;
  parts: number | null;
  reservation: string | null;
}

interface Quantities {
  readonly sku: string;
  readonly quantity: number;
}

async function everyOrderHasEnded(flow: Flow): Promise<string[]> {
  const { rows } = await flow.pool.query<Settled>(settled);
  const seized = new Set(
    flow.deliveries.all.flatMap(({ type, data }) =>
      type === "StockShortfall"
        ? (data as Shortfall).reservations.map(({ reservation_id }) => reservation_id)
        : [],
    ),
  );
  const restocked = new Map(
    flow.deliveries.all.flatMap((event) => {
      const id = (event.data as { adjustment_id?: string | null }).adjustment_id;
      return id?.startsWith("restock:") ? [[id.slice("restock:".length), event] as const] : [];
    }),
  );
  return rows.flatMap((order) => {
    const told = flow.deliveries.all.filter(({ key }) => key === order.id);
    const back = restocked.get(order.reservation_id);
    const complaints = complaintsAbout(order, told, back, seized.has(order.reservation_id));
    return complaints.map((complaint) => `${order.id} (${order.status}): ${complaint}`);
  });
}

interface Shortfall {
  readonly reservations: readonly { readonly reservation_id: string }[];
}

function complaintsAbout(
  order: Settled,
  told: readonly BusEvent[],
  restocked: BusEvent | undefined,
  isSeized: boolean,
): string[] {
  const complaints: string[] = [];
  const claim = (holds: boolean, otherwise: string) => {
    if (!holds) complaints.push(otherwise);
  };
  const count = (...types: string[]) => told.filter(({ type }) => types.includes(type)).length;
  const committed = told.filter(({ type }) => type === "InventoryCommitted").flatMap(linesOf);
  const taken = total([...committed, ...(restocked === undefined ? [] : linesOf(restocked))]);
  const wanted = total(order.lines);

  claim(count("OrderCompleted", "OrderCancelled", "OrderFailed") === 1, "it has not ended once");
  claim(count("PaymentSucceeded") <= 1, "it was charged more than once");
  claim(count("PaymentRefunded") <= 1, "it was refunded more than once");
  claim(count("OrderFulfilled") <= 1, "it was shipped more than once");
  claim(!["held", "confirmed"].includes(order.reservation ?? ""), `its stock is ${order.reservation} still`);
  if (order.status === "completed") {
    claim(order.payment === "succeeded", `its payment is ${order.payment}`);
    claim(order.kept === order.total_minor, `the bank has kept ${order.kept}`);
    claim(order.shipment === "shipped", `its shipment is ${order.shipment}`);
    // A forced count knew of the goods already.
    claim(isSeized || taken === wanted, `${wanted} was ordered, the stock was reduced by ${taken}`);
  } else {
    claim((order.kept ?? 0) === 0, `the bank has kept ${order.kept}`);
    // Of a charge whose answer was lost nobody can say that it never was, while the gateway cannot be asked.
    const isUnknowable = order.token === "tok_down" && order.payment === "charging";
    claim(
      isUnknowable || !["charging", "succeeded", "refunding"].includes(order.payment ?? ""),
      `its payment is ${order.payment}`,
    );
    claim((order.parts ?? 0) === 0, "it was shipped all the same");
    claim(taken === total([]), `the stock was reduced by ${taken}`);
  }
  return complaints;
}

function linesOf({ type, data }: BusEvent): Quantities[] {
  const { lines } = data as { lines: readonly Quantities[] };
  return lines.map(({ sku, quantity }) => ({
    sku,
    quantity: type === "InventoryAdjusted" ? -quantity : quantity,
  }));
}

function total(lines: readonly Quantities[]): string {
  const sums = new Map<string, number>();
  for (const { sku, quantity } of lines) sums.set(sku, (sums.get(sku) ?? 0) + quantity);
  const left = [...sums].filter(([, quantity]) => quantity !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return left.length === 0 ? "nothing" : left.map(([sku, quantity]) => `${quantity} ${sku}`).join(" + ");
}

const settled = `
  select o.id, o.status, o.total_minor, o.token, o.reservation_id, o.lines, p.status as payment, s.status as shipment,
         json_array_length(s.parts) as parts, r.status as reservation,
         case when b.status in ('succeeded', 'pending') then b.amount_minor - b.refunded_minor end as kept
  from orders.orders o
    left join payments.payments p on p.id = o.id
    left join payments.simulated_bank b on b.id = o.id
    left join fulfillment.shipments s on s.id = o.id
    left join inventory.reservations r on r.id = o.reservation_id
  order by o.id`;

async function nothingIsHeld(flow: Flow): Promise<string[]> {
  const { rows } = await flow.pool.query<{ what: string }>(
    `select 'the reservation ' || id || ' is ' || status || ' still' as what
     from inventory.reservations where status in ('held', 'confirmed')
     union all
     select 'the payment ' || id || ' is ' || status || ' still' from payments.payments
     where status in ('charging', 'refunding') and token <> 'tok_down'
     union all
     select 'the bank has kept ' || amount_minor - refunded_minor || ' for ' || id || ', which is no order'
     from payments.simulated_bank b where status in ('succeeded', 'pending') and refunded_minor < amount_minor
       and not exists (select from orders.orders o where o.id = b.id)`,
  );
  return rows.map(({ what }) => what);
}

// ---- promise 4 -----------------------------------------------------------------------------------------------------

async function verified(flow: Flow): Promise<string[]> {
  const found: string[] = [];
  for (const name of followers) {
    const findings = await transact(flow.pool, (tx) => flow.fleet.part(name).verify(tx, () => {}));
    for (const { check, violations } of findings) {
      found.push(...violations.map((violation) => `verify, ${check}: ${violation}`));
    }
  }
  return found;
}

// ---- promise 5 -----------------------------------------------------------------------------------------------------

async function replayChangesNothing(flow: Flow): Promise<string[]> {
  const before = {
    tables: await contents(flow.pool),
    events: new Set(flow.deliveries.all.map(({ id }) => id)),
  };
  flow.tell("everybody hears everything once more");
  flow.deliveries.replayAll();
  await flow.deliverAll();
  const news = flow.deliveries.all.filter(({ id }) => !before.events.has(id));
  return [
    ...changes(before.tables, await contents(flow.pool)),
    ...news.map(({ type, key }) => `a replay has led to ${type}(${key})`),
  ];
}
