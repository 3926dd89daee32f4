import { describe, expect, it } from "vitest";
import { transact } from "../../src/platform/batch/transaction.ts";
import type { BusEvent } from "../../src/platform/bus/port.ts";
import { commandsFrom } from "../../src/services/carts/consumers.ts";
import type { CartCommand } from "../../src/services/carts/contract.ts";
import { cartHandler } from "../../src/services/carts/handle.ts";
import { findCart } from "../../src/services/carts/queries.ts";
import { heard } from "./events.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables, updatesBy } from "./plans.ts";

const records = 1_000_000;
/** Every hundredth cart is open, and the first half of those was left alone; the others were checked out. */
const openEvery = 100;
const openCarts = records / openEvery;

const database = useLargeDatabase([
  `insert into carts.carts (id, customer_id, status, revision, lines, reservation_id, hold, unanswered, order_id, ordered,
                            check_at, created_at, updated_at, expires_at)
   select 'c-' || lpad(n::text, 7, '0'), 'ann', case when is_open then 'open' else 'checked_out' end, 1,
          '[{"store_id":"main","sku":"SKU-1","quantity":1}]', 'cart-' || n,
          '{"status":"held","expires_at":null,"refusal":null,"as_of":null}', '[]',
          case when not is_open then 'order-' || n end,
          case when not is_open then '{"status":"pending"}'::json end,
          case when is_open then now() + (n - ${records / 2}) * interval '1 minute' end, now(), now(),
          now() + (n - ${records / 2}) * interval '1 minute'
   from (select n, n % ${openEvery} = 0 as is_open from generate_series(1, ${records}) n) as numbered`,
  ...logOf("carts", records / 10),
]);

describe("a cart's usual way", () => {
  const numbers = newNumbers(300);
  const updates = (commands: CartCommand[]) =>
    updatesBy(database.pool, "carts.carts", () => carryOut(commands));

  it("is one of updates in place until it is checked out", async () => {
    await carryOut(numbers.map((n) => put(n)));
    expect(
      await updates(
        commandsFrom(
          numbers.map((n) => held(n, "1")),
          newId,
        ),
      ),
    ).toEqual(inPlace);
    expect(await updates(numbers.map((n) => put(n, 2)))).toEqual(inPlace);
    expect(
      await updates(
        commandsFrom(
          numbers.map((n) => held(n, "2")),
          newId,
        ),
      ),
    ).toEqual(inPlace);
    expect(await updates(numbers.map(checkOut))).toEqual({ all: 300, inPlace: 0 });
  });
});

inEachState(database, () => {
  it.each([1, 300, 2_000])("a batch of %i reads no large table from end to end", async (size) => {
    const open = spread(size, openCarts / 2).map((n) => records / 2 + n * openEvery);
    const ordered = spread(size, openCarts).map((n) => n * openEvery - 50);
    await expectBatch(
      newNumbers(size, 3).map((n) => put(n)),
      "carts_insert",
    );
    await expectBatch(
      open.map((n) => put(n)),
      "carts_update",
    );
    await expectBatch(open.map(checkOut), "carts_update");
    await expectBatch(commandsFrom(open.map(released), newId), "carts_update");
    await expectBatch(commandsFrom(ordered.map(created), newId), "carts_update");
    await expectBatch(commandsFrom(ordered.map(cancelled), newId), "carts_update");
    // What is due is looked for among what is due, not among all that is open.
    await expectBatch([{ type: "EndCarts", limit: size }], "carts_update", openCarts / 2);
  });

  it("events that are about no cart read no large table from end to end", async () => {
    const strangers = commandsFrom(newNumbers(300, 4).map(cancelled), newId);
    await expectNoScan(database.pool, handled(database.pool, handle, strangers));
  });

  it("one cart is read without reading a large table from end to end", async () => {
    await expectNoScan(
      database.pool,
      asked(database.pool, (reader) => findCart(reader, cartId(500))),
    );
  });
});

it("the tables are large", async () => {
  expect(await largeTables(database.pool)).toEqual(["carts.carts", "carts.log_from_0"]);
});

// ---- commands ------------------------------------------------------------------------------------------------------

const inPlace = { all: 300, inPlace: 300 };
const handle = cartHandler({ hold_on: "cart", hold_seconds: 1_800, cart_ttl_seconds: 1_800 });

async function expectBatch(commands: CartCommand[], name: string, most?: number): Promise<void> {
  await expectNoScan(database.pool, handled(database.pool, handle, commands), {
    name,
    ...(most && { most }),
  });
}

async function carryOut(commands: CartCommand[]): Promise<void> {
  await transact(database.pool, (tx) => handle(tx, commands));
}

const put = (n: number, quantity = 1): CartCommand => ({
  type: "PutCart",
  cart_id: cartId(n),
  lines: [{ store_id: "main", sku: "SKU-2", quantity }],
  customer_id: "ann",
  new_reservation_id: `cart-${n}`,
});
const checkOut = (n: number): CartCommand => ({
  type: "CheckOutCart",
  cart_id: cartId(n),
  payment: { token: "tok_visa" },
  new_order_id: `order-${n}`,
});

const held = (n: number, key: string): BusEvent =>
  heard("inventory", "InventoryReserved", {
    order_id: "",
    reservation_id: `cart-${n}`,
    lines: [],
    key,
    expires_at: new Date(Date.now() + 1_800_000).toISOString(),
  });
const released = (n: number): BusEvent =>
  heard("inventory", "InventoryReleased", {
    order_id: "",
    reservation_id: `cart-${n}`,
    lines: [],
    reason: "expired",
    now: "expired",
  });
const created = (n: number): BusEvent =>
  heard("orders", "OrderCreated", {
    order_id: `order-${n}`,
    cart_id: cartId(n),
    lines: [],
    total_minor: 250,
    currency: "EUR",
  });
const cancelled = (n: number): BusEvent =>
  heard("orders", "OrderCancelled", {
    order_id: `order-${n}`,
    reason: "customer",
    detail: "Changed my mind.",
  });

function newId(): string {
  return crypto.randomUUID();
}

function newNumbers(size: number, from = 2): number[] {
  return Array.from({ length: size }, (_, i) => from * records + i);
}

function cartId(n: number): string {
  return `c-${String(n).padStart(7, "0")}`;
}
