import { withCommas } from "../../kernel/number.ts";
import { readSeen } from "../../platform/log/read.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { Finding } from "../../platform/service.ts";
import { isLive } from "./cart/state.ts";
import type { Cart, CartEvent } from "./contract.ts";
import { type CartRow, cartColumns, parseCart, schema } from "./store.ts";

const batchesAtOnce = 100;
const rowsAtOnce = 5_000;

/** Folds the whole log from nothing and compares every cart with what comes of it. */
export async function verifyCarts(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  const traces = new Map<string, Trace>();
  let events = 0;
  for (let after = 0; ; ) {
    const batches = await readSeen(database, schema, after, batchesAtOnce);
    if (batches.length === 0) break;
    for (const event of batches.flatMap((batch) => batch.events)) {
      events++;
      follow(traces, event as unknown as CartEvent);
    }
    after = batches.at(-1)!.position;
    onProgress(`${withCommas(events)} events replayed`);
  }

  const mismatches: string[] = [];
  const leftHolds: string[] = [];
  let count = 0;
  for (let after: string | null = ""; after !== null; ) {
    const rows: Cart[] = (await database.read<CartRow>(cartsPage, [after, rowsAtOnce])).map(parseCart);
    for (const cart of rows) {
      const trace = traces.get(cart.id);
      traces.delete(cart.id);
      mismatches.push(...compare(cart, trace));
      if (isHoldLeft(cart, trace)) leftHolds.push(`${cart.id} is ${cart.status}, ${trace?.asked} is not`);
    }
    count += rows.length;
    after = rows.length === rowsAtOnce ? rows.at(-1)!.id : null;
  }
  mismatches.push(...[...traces.keys()].map((id) => `${id} is in the log but not in the table`));

  return [
    {
      check: "promise 4: the log of the carts explains what they hold and what they have become",
      looked_at: `${withCommas(events)} events against ${withCommas(count)} carts`,
      violations: mismatches,
    },
    {
      check: "promise 3: no cart that has ended still holds stock",
      looked_at: `${withCommas(count)} carts`,
      violations: leftHolds,
    },
  ];
}

/** What the log tells of a cart. */
interface Trace {
  /** The reservation that was asked for last, unless it was let go or handed to an order. */
  asked: string | null;
  key: number;
  order: Extract<CartEvent, { type: "CartCheckedOut" }>["data"] | null;
}

function follow(traces: Map<string, Trace>, event: CartEvent): void {
  const { cart_id } = event.data;
  const trace = traces.get(cart_id) ?? { asked: null, key: 0, order: null };
  traces.set(cart_id, trace);
  switch (event.type) {
    case "CartHoldRequested":
      trace.asked = event.data.reservation_id;
      trace.key = Number(event.data.key);
      break;
    case "CartHoldReleased":
      trace.asked = null;
      break;
    case "CartCheckedOut":
      trace.order = event.data;
      if (event.data.reservation_id === trace.asked) trace.asked = null;
  }
}

function compare(cart: Cart, trace: Trace | undefined): string[] {
  const found: string[] = [];
  const claim = (holds: boolean, what: string) => {
    if (!holds) found.push(`${cart.id}: ${what}`);
  };
  claim((trace?.order?.order_id ?? null) === (cart.order?.id ?? null), "its order is another one in the log");
  if (trace?.order) {
    claim(trace.order.customer_id === cart.customer_id, "its order has another customer in the log");
    claim(spelled(trace.order.lines) === spelled(cart.lines), "its order has other lines in the log");
  }
  claim((trace?.key ?? 0) <= cart.revision, "the log knows a later revision");
  if (cart.status === "open" && isLive(cart)) {
    claim(trace?.asked === cart.hold.reservation_id, "the log does not know of its hold");
  }
  return found;
}

/** A hold that ended by itself, or was refused, needs no release. */
function isHoldLeft(cart: Cart, trace: Trace | undefined): boolean {
  if (cart.status === "open" || !trace?.asked) return false;
  return cart.hold.reservation_id !== trace.asked || cart.hold.status === "held";
}

function spelled(lines: Cart["lines"]): string {
  return JSON.stringify(lines.map(({ store_id, sku, quantity }) => [store_id, sku, quantity]));
}

const cartsPage: Statement = {
  name: "carts_verify_page",
  text: `select ${cartColumns} from carts.carts where id > $1 order by id limit $2`,
};
