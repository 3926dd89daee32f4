import fc from "fast-check";
import { maxQuantity } from "../kernel/limits.ts";
import type { InventoryCommand } from "../services/inventory/contract/index.ts";
import { adjust, expire, inStore, syncAt } from "./inventory.ts";

const skus = ["MUG", "PEN", "HAT", "CAP"];
export const everywhere = ["main", "north"].flatMap((store_id) => skus.map((sku) => ({ store_id, sku })));
// Most of it falls on one record, or too little would meet there.
const sku = fc.constantFrom("MUG", "MUG", "MUG", ...skus);
const store_id = fc.constantFrom("main", "main", "main", "main", "north");
const huge = { weight: 1, arbitrary: fc.constant(maxQuantity) };
const quantity = fc.oneof({ weight: 30, arbitrary: fc.integer({ min: 1, max: 5 }) }, huge);
const signed = fc.oneof(
  { weight: 30, arbitrary: fc.integer({ min: -15, max: 8 }).filter((n) => n !== 0) },
  huge,
);
const lines = fc.array(fc.record({ store_id, sku, quantity }), { minLength: 1, maxLength: 3 });
const parcel = fc.array(fc.record({ store_id, sku, quantity: fc.integer({ min: 1, max: 2 }) }), {
  minLength: 1,
  maxLength: 2,
});
const changes = fc.array(fc.record({ store_id, sku, quantity: signed }), { minLength: 1, maxLength: 3 });
const reservation_id = fc.constantFrom("r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9");
const ttl_seconds = fc.integer({ min: 1, max: 120 });
const order_id = fc.constantFrom("o1", "o1", "o2");
const who = { reason: fc.constant("test"), actor: fc.constant("test"), force: fc.boolean() };

const command: fc.Arbitrary<InventoryCommand> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record(
      {
        type: fc.constant("ReserveStock"),
        reservation_id,
        lines,
        ttl_seconds,
        remember_refusal: fc.constantFrom(true, false, false),
        order_id,
      },
      { requiredKeys: ["type", "reservation_id", "lines"] },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("ReserveStock"),
      reservation_id,
      lines,
      ttl_seconds,
      key: fc.constantFrom("wish-1", "wish-2", "wish-3"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("ReserveStock"),
      reservation_id,
      lines,
      order_id,
      remember_refusal: fc.constant(true),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("SecureReservation"), reservation_id, order_id }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("CommitReservation"),
      reservation_id,
      settle: fc.constant(true),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        type: fc.constant("ReleaseReservation"),
        reservation_id,
        reason: fc.constant("cancelled"),
        order_id,
        restock: fc.constant(true),
        unless_adopted: fc.constant(true),
      },
      { requiredKeys: ["type", "reservation_id", "reason"] },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        type: fc.constant("ExtendReservation"),
        reservation_id,
        ttl_seconds,
        key: fc.constantFrom("delay-1", "delay-2"),
        retake: fc.constant(true),
      },
      { requiredKeys: ["type", "reservation_id", "retake"] },
    ),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("ConfirmReservation"), reservation_id }) },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        type: fc.constant("CommitReservation"),
        reservation_id,
        lines: parcel,
        key: fc.constantFrom("parcel-1", "parcel-2", "parcel-3"),
      },
      { requiredKeys: ["type", "reservation_id", "key"] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("ReleaseReservation"),
      reservation_id,
      reason: fc.constantFrom("cancelled", "amended", "expired"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("ExtendReservation"), reservation_id, ttl_seconds }),
  },
  { weight: 1, arbitrary: fc.constant(expire(50)) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("AdjustStock"),
      adjustment_id: fc.constantFrom("a1", "a2", "a3", "a4", "a5"),
      lines: changes,
      ...who,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("MoveStock"),
      adjustment_id: fc.constantFrom("m1", "m2", "m3", "m4", "m5", "m6"),
      lines: changes,
      reason: fc.constant("test"),
      actor: fc.constant("till"),
      occurred_at: fc.constant(null),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        type: fc.constant("CountStock"),
        store_id,
        sku,
        quantity_on_hand: fc.integer({ min: 0, max: 8 }),
        expected_version: fc.integer({ min: 0, max: 12 }),
        ...who,
      },
      { requiredKeys: ["type", "store_id", "sku", "quantity_on_hand", "reason", "actor", "force"] },
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("SyncProduct"),
      product_id: fc.constantFrom("P1", "P2"),
      skus: fc.uniqueArray(sku, { minLength: 1 }),
      position: fc.integer({ min: 1, max: 20 }),
      index: fc.nat(1),
    }),
  },
);

/** Now and then a command comes again that was sent before, whenever that was. */
const resent = fc.record({ resend: fc.nat(50) });
/** Batches of commands at random, with the seconds before each. */
export const batches = fc.array(
  fc.record({
    wait: fc.integer({ min: 0, max: 10 }),
    asked: fc.array(fc.oneof({ weight: 4, arbitrary: command }, { weight: 1, arbitrary: resent }), {
      minLength: 1,
      maxLength: 7,
      size: "max",
    }),
  }),
  { minLength: 1, maxLength: 15, size: "max" },
);

type Script = typeof batches extends fc.Arbitrary<infer Value> ? Value : never;

export const opening: InventoryCommand[] = [
  syncAt(1, "P1", "MUG", "PEN", "HAT"),
  adjust("opening", [...inStore("main", { MUG: 20, PEN: 6, HAT: 1 }), ...inStore("north", { MUG: 5 })]),
];

/** The opening, and then the batches. */
export function* story(script: Script) {
  const sent = [...opening];
  yield { wait: 0, commands: opening };
  for (const { wait, asked } of script) {
    const commands = asked.map((each) => ("resend" in each ? sent[each.resend % sent.length]! : each));
    sent.push(...commands);
    yield { wait, commands };
  }
}

const seed = process.env.HOLDFAST_TEST_SEED;

/** A failure prints its seed; HOLDFAST_TEST_SEED runs the same again. */
export function runs(numRuns: number): fc.Parameters<unknown> {
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}
