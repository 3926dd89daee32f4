import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { maxQuantity } from "../../kernel/limits.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import {
  adjust,
  answerOf,
  at,
  expire,
  InventoryTables,
  inStore,
  reserve,
  sync,
  testSettings,
} from "../../testing/inventory.ts";
import type {
  AdjustStock,
  CountStock,
  ExtendReservation,
  InventoryCommand,
  Line,
  ReleaseReservation,
  Reservation,
  ReserveStock,
  SecureReservation,
  StockRecord,
} from "./contract.ts";
import { settle } from "./handle.ts";
import { inventoryMigrations } from "./index.ts";
import { createInventory, type Inventory } from "./inventory.ts";
import { verifyInventory } from "./verify.ts";

// ---- the model: stock as one would keep it with a pencil, one command at a time ------------------------------------

type Quantities = Record<string, number>;

interface Hold {
  id: string;
  batch: number;
  status: "held" | "confirmed" | "committed" | "released" | "expired" | "refused";
  wants: Quantities;
  shipped: Quantities;
  until: number;
  parcels: Record<string, string>;
  refusal: string;
  order: string | null;
}

class Model {
  seconds = 0;
  batch = 0;
  readonly holds: Record<string, Hold> = {};
  private readonly onHand: Quantities = {};
  private readonly versions: Quantities = {};
  private readonly sellers: Record<string, string | null> = {};
  private readonly changes: Record<string, string> = {};

  /** Every record that is kept. */
  stock(): Record<string, object> {
    return Object.fromEntries(
      Object.entries(this.onHand).map(([place, on_hand]) => {
        const numbers = { on_hand, reserved: this.reserved(place), available: this.available(place) };
        return [place, { ...numbers, version: this.versions[place], sold: this.isSold(place) }];
      }),
    );
  }

  do(command: InventoryCommand): string {
    switch (command.type) {
      case "ReserveStock":
        return this.reserve(command);
      case "ConfirmReservation":
        return this.confirm(command.reservation_id);
      case "SecureReservation":
        return this.secure(command);
      case "CommitReservation":
        return command.settle
          ? this.settleUp(command.reservation_id)
          : this.ship(command.reservation_id, command.lines, command.key!);
      case "ReleaseReservation":
        return this.release(command);
      case "ExtendReservation":
        return this.extend(command);
      case "ExpireReservations":
        return this.sweep();
      case "AdjustStock":
        return this.adjust(command);
      case "CountStock":
        return this.count(command);
      case "SyncProduct":
        return this.sync(command.product_id, command.skus);
    }
  }

  private reserve(command: ReserveStock): string {
    const { reservation_id: id, lines, ttl_seconds = 900, order_id: order = null, key } = command;
    const wants = total(lines);
    const hold = this.holds[id];
    if (hold === undefined) {
      const refusal = this.whyNot(wants);
      if (refusal === null) {
        this.holds[id] = this.newHold(id, { wants, order, until: this.seconds + ttl_seconds });
        if (key !== undefined) this.holds[id].parcels[key] = "held";
        this.move(Object.keys(wants));
        return "held";
      }
      if (command.remember_refusal || key !== undefined) {
        this.turnDown(this.newHold(id, { status: "refused" }), command, refusal);
      }
      return refusal;
    }
    if (key !== undefined || (order !== null && command.remember_refusal)) return this.answer(hold, command);
    if (hold.refusal !== "") return hold.refusal;
    if (!this.isAlive(hold)) return "inventory.reservation_closed";
    return this.amend(hold, command) ?? hold.status;
  }

  /** For carts and orders. */
  private answer(hold: Hold, command: ReserveStock): string {
    const { order_id, key = `order/${order_id}`, lines, ttl_seconds = 900 } = command;
    if (order_id !== undefined && hold.order === order_id) return hold.refusal || hold.status;
    const said = hold.parcels[key];
    if (said !== undefined) return said === "held" ? hold.status : said;
    if (hold.order !== null || hold.status === "confirmed" || hold.status === "committed") {
      hold.parcels[key] = "inventory.reservation_taken";
      return "inventory.reservation_taken";
    }
    if (hold.status === "released") return this.turnDown(hold, command, "inventory.reservation_closed");
    if (hold.status === "held") {
      const refusal = this.amend(hold, command);
      if (refusal === null) return hold.status;
      if (order_id !== undefined) this.end(hold, "released");
      return this.turnDown(hold, command, refusal);
    }
    const refusal = this.whyNot(total(lines));
    if (refusal !== null) return this.turnDown(hold, command, refusal);
    this.revive(hold, total(lines), ttl_seconds);
    hold.order = order_id ?? null;
    if (order_id === undefined) hold.parcels[key] = "held";
    return hold.status;
  }

  private turnDown(hold: Hold, { order_id, key }: ReserveStock, refusal: string): string {
    this.holds[hold.id] = hold;
    if (key !== undefined) hold.parcels[key] = refusal;
    if (hold.status === "refused" || order_id !== undefined) {
      hold.refusal = refusal;
      hold.order = order_id ?? null;
    }
    return refusal;
  }

  /** Why not, or null. */
  private amend(hold: Hold, { lines, ttl_seconds, order_id, key }: ReserveStock): string | null {
    const wants = total(lines);
    const changed = [...new Set([...Object.keys(hold.wants), ...Object.keys(wants)])].filter(
      (place) => wants[place] !== hold.wants[place],
    );
    if (changed.some((place) => (wants[place] ?? 0) < (hold.shipped[place] ?? 0))) {
      return "inventory.already_committed";
    }
    const more: Quantities = {};
    for (const place of changed) {
      const extra = (wants[place] ?? 0) - (hold.wants[place] ?? 0);
      if (extra > 0) more[place] = extra;
    }
    const refusal = this.whyNot(more);
    if (refusal !== null) return refusal;
    if (Object.values(wants).some((quantity) => quantity > maxQuantity)) return "inventory.quantity_overflow";
    hold.wants = wants;
    this.move(changed);
    const adopts = order_id !== undefined && hold.order === null;
    if (adopts) hold.order = order_id;
    if (key !== undefined) hold.parcels[key] = "held";
    if (adopts || key !== undefined) hold.until = this.seconds + (ttl_seconds ?? 900);
    else if (changed.length > 0 && ttl_seconds !== undefined) hold.until = this.seconds + ttl_seconds;
    return null;
  }

  /** What has expired is held again, beside what was shipped before. */
  private revive(hold: Hold, wants: Quantities, ttl_seconds = 900): void {
    this.move(Object.keys(wants));
    hold.wants = { ...hold.shipped };
    for (const [place, quantity] of Object.entries(wants)) {
      hold.wants[place] = (hold.wants[place] ?? 0) + quantity;
    }
    hold.status = "held";
    hold.refusal = "";
    hold.until = this.seconds + ttl_seconds;
  }

  /** Why not, or null. */
  private retake(hold: Hold, ttl_seconds?: number): string | null {
    const refusal = hold.refusal || this.whyNot(this.owed(hold));
    if (refusal === null) this.revive(hold, this.owed(hold), ttl_seconds);
    return refusal;
  }

  private secure({ reservation_id, order_id }: SecureReservation): string {
    const hold = this.holds[reservation_id];
    if (hold === undefined) return "inventory.reservation_not_found";
    if (hold.order !== order_id) return "inventory.reservation_taken";
    if (hold.status === "expired") {
      const refusal = this.retake(hold);
      if (refusal !== null) {
        hold.refusal = refusal;
        return refusal;
      }
    }
    if (hold.status === "held") hold.status = "confirmed";
    return hold.status;
  }

  private settleUp(id: string): string {
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    if (hold.status === "expired") this.retake(hold);
    if (this.isOpen(hold)) this.takeAway(hold, this.owed(hold));
    hold.status = "committed";
    return hold.status;
  }

  private confirm(id: string): string {
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    if (hold.status === "committed") return "committed";
    if (!this.isAlive(hold)) return "inventory.reservation_closed";
    hold.status = "confirmed";
    return "confirmed";
  }

  private ship(id: string, lines: readonly Line[] | undefined, key: string): string {
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    const said = hold.parcels[key];
    if (said !== undefined) {
      const same = lines === undefined ? hold.status === "committed" : said === spelled(total(lines));
      return same ? hold.status : "inventory.key_reused";
    }
    if (hold.status === "committed" && lines === undefined) return "committed";
    if (!this.isAlive(hold)) return "inventory.reservation_closed";
    const parcel = lines === undefined ? this.owed(hold) : total(lines);
    if (Object.entries(parcel).some(([place, n]) => n > (this.owed(hold)[place] ?? 0))) {
      return "inventory.exceeds_reservation";
    }
    this.takeAway(hold, parcel);
    hold.parcels[key] = spelled(parcel);
    if (Object.keys(this.owed(hold)).length === 0) hold.status = "committed";
    return hold.status;
  }

  private takeAway(hold: Hold, parcel: Quantities): void {
    for (const [place, quantity] of Object.entries(parcel)) {
      this.onHand[place]! -= quantity;
      hold.shipped[place] = (hold.shipped[place] ?? 0) + quantity;
    }
    this.move(Object.keys(parcel));
  }

  private release(command: ReleaseReservation): string {
    const { reservation_id: id, order_id: order } = command;
    const hold = this.holds[id];
    if (hold === undefined) {
      this.holds[id] = this.newHold(id, { status: "released" });
      return "released";
    }
    const isOfAnother =
      hold.order !== null && (command.unless_adopted || (order ?? hold.order) !== hold.order);
    const wasTurnedAway = hold.order === null && hold.parcels[`order/${order}`] !== undefined;
    if (isOfAnother || wasTurnedAway) return hold.status;
    if (this.isOpen(hold)) this.end(hold, "released");
    if (command.restock && hold.status === "expired") hold.status = "released";
    if (hold.status !== "committed") return hold.status;
    return command.restock ? this.restock(hold) : "inventory.reservation_closed";
  }

  private restock(hold: Hold): string {
    const shipped = Object.entries(hold.shipped);
    if (shipped.length === 0 || this.changes[`restock:${hold.id}`] !== undefined) return hold.status;
    if (shipped.some(([place, n]) => n + this.onHand[place]! > maxQuantity))
      return "inventory.quantity_overflow";
    this.changes[`restock:${hold.id}`] = spelled(hold.shipped);
    for (const [place, quantity] of shipped) this.onHand[place]! += quantity;
    this.move(Object.keys(hold.shipped));
    return hold.status;
  }

  private extend({ reservation_id: id, ttl_seconds = 900, key, retake }: ExtendReservation): string {
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    if (key !== undefined && hold.parcels[key] !== undefined) return hold.status;
    if (retake && hold.status === "expired") {
      const refusal = this.retake(hold, ttl_seconds);
      if (refusal !== null) return refusal;
    }
    if (!(retake ? this.isOpen(hold) : this.isAlive(hold))) return "inventory.reservation_closed";
    if (hold.status === "confirmed") return hold.status;
    hold.until = this.seconds + ttl_seconds;
    if (key !== undefined) hold.parcels[key] = "extended";
    return hold.status;
  }

  private sweep(): string {
    const overdue = Object.values(this.holds).filter((hold) => this.isOpen(hold) && !this.isAlive(hold));
    for (const hold of overdue) this.end(hold, "expired");
    return `${overdue.length} expired`;
  }

  private adjust({ adjustment_id, lines, force }: AdjustStock): string {
    const change = total(lines);
    const earlier = this.changes[adjustment_id];
    if (earlier !== undefined)
      return earlier === spelled(change) ? "adjusted" : "inventory.adjustment_conflict";
    const answer = this.change(change, force);
    if (answer === "adjusted") this.changes[adjustment_id] = spelled(change);
    return answer;
  }

  private count({ quantity_on_hand, expected_version, force, ...key }: CountStock): string {
    const place = placeOf(key);
    const name = `${place} at ${expected_version}`;
    if (expected_version !== undefined && this.changes[name] === `${quantity_on_hand}`) return "adjusted";
    if (!this.isSold(place)) return "inventory.unknown_sku";
    if (expected_version !== undefined && expected_version !== (this.versions[place] ?? 0)) {
      return "inventory.version_mismatch";
    }
    if (this.onHand[place] === quantity_on_hand && expected_version === undefined) return "adjusted";
    const answer = this.change({ [place]: quantity_on_hand - (this.onHand[place] ?? 0) }, force);
    if (answer === "adjusted") this.changes[name] = `${quantity_on_hand}`;
    return answer;
  }

  private sync(product: string, skus: readonly string[]): string {
    for (const [sku, seller] of Object.entries(this.sellers)) {
      if (seller === product && !skus.includes(sku)) this.sellers[sku] = null;
    }
    for (const sku of skus) {
      this.sellers[sku] = product;
      this.open(placeOf({ store_id: "main", sku }));
    }
    return "synced";
  }

  private change(change: Quantities, force: boolean): string {
    const entries = Object.entries(change);
    if (entries.some(([place]) => !this.isSold(place))) return "inventory.unknown_sku";
    const tooMuch = ([place, n]: [string, number]) =>
      Math.max(n, -n, n + (this.onHand[place] ?? 0)) > maxQuantity;
    if (entries.some(tooMuch)) return "inventory.quantity_overflow";
    const most = (place: string) => (force ? (this.onHand[place] ?? 0) : this.available(place));
    if (entries.some(([place, n]) => -n > most(place))) {
      return force ? "inventory.insufficient_stock" : "inventory.below_reserved";
    }
    for (const [place, n] of entries) {
      this.open(place);
      while (this.available(place) + n < 0) this.end(this.nextVictim(place), "released");
    }
    for (const [place, n] of entries) this.onHand[place]! += n;
    this.move(Object.keys(change));
    return "adjusted";
  }

  /** Unpaid before paid, the later batch before the earlier, and within a batch the last name. */
  private nextVictim(place: string): Hold {
    const holders = Object.values(this.holds).filter((hold) => this.isOpen(hold) && this.owed(hold)[place]);
    const unpaid = holders.filter(({ status }) => status === "held");
    const candidates = unpaid.length > 0 ? unpaid : holders;
    const newest = Math.max(...candidates.map(({ batch }) => batch));
    const names = candidates.filter(({ batch }) => batch === newest).map(({ id }) => id);
    return this.holds[names.sort().at(-1)!]!;
  }

  private whyNot(wants: Quantities): string | null {
    const entries = Object.entries(wants);
    if (entries.some(([place]) => !this.isSold(place))) return "inventory.unknown_sku";
    if (entries.some(([, quantity]) => quantity > maxQuantity)) return "inventory.quantity_overflow";
    if (entries.some(([place, quantity]) => quantity > this.available(place)))
      return "inventory.insufficient_stock";
    return null;
  }

  /** Nothing is reserved as such: it is what open holds still have to get. */
  private reserved(place: string): number {
    return Object.values(this.holds)
      .filter((hold) => this.isOpen(hold))
      .reduce((sum, hold) => sum + (this.owed(hold)[place] ?? 0), 0);
  }

  private available(place: string): number {
    return (this.onHand[place] ?? 0) - this.reserved(place);
  }

  private owed({ wants, shipped }: Hold): Quantities {
    return Object.fromEntries(
      Object.entries(wants)
        .map(([place, quantity]) => [place, quantity - (shipped[place] ?? 0)] as const)
        .filter(([, quantity]) => quantity > 0),
    );
  }

  private isSold(place: string): boolean {
    return Boolean(this.sellers[place.split(" in ")[0]!]);
  }

  private isOpen({ status }: Hold): boolean {
    return status === "held" || status === "confirmed";
  }

  private isAlive(hold: Hold): boolean {
    return hold.status === "confirmed" || (hold.status === "held" && hold.until > this.seconds);
  }

  private newHold(id: string, hold: Partial<Hold>): Hold {
    const empty = { wants: {}, shipped: {}, until: 0, parcels: {}, refusal: "", order: null };
    return { id, batch: this.batch, status: "held", ...empty, ...hold };
  }

  private end(hold: Hold, status: "released" | "expired"): void {
    this.move(Object.keys(this.owed(hold)));
    hold.status = status;
  }

  private open(place: string): void {
    this.onHand[place] ??= 0;
    this.versions[place] ??= 1;
  }

  private move(places: string[]): void {
    for (const place of places) this.versions[place]!++;
  }
}

function placeOf({ store_id, sku }: { store_id: string; sku: string }): string {
  return `${sku} in ${store_id}`;
}

function total(lines: readonly Line[]): Quantities {
  const sums: Quantities = {};
  for (const line of lines) sums[placeOf(line)] = (sums[placeOf(line)] ?? 0) + line.quantity;
  return sums;
}

function spelled(quantities: Quantities): string {
  return JSON.stringify(Object.entries(quantities).sort());
}

// ---- the real thing, in the model's words --------------------------------------------------------------------------

function stockInWords(records: Iterable<StockRecord>): Record<string, object> {
  return Object.fromEntries(
    [...records].map((record) => [
      placeOf(record),
      {
        on_hand: record.quantity_on_hand,
        reserved: record.quantity_reserved,
        available: record.quantity_available,
        version: record.version,
        sold: record.listed,
      },
    ]),
  );
}

function holdsInWords(reservations: Iterable<Reservation>): Record<string, object> {
  return Object.fromEntries(
    [...reservations].map(({ id, status, lines, keys, refusal, order_id: order }) => {
      const shipped = lines.filter((line) => line.quantity_committed > 0);
      return [
        id,
        {
          status,
          wants: total(lines),
          shipped: total(shipped.map((line) => ({ ...line, quantity: line.quantity_committed }))),
          parcels: keys.map((entry) => entry.split(" ")[0]),
          refusal: refusal?.code ?? "",
          order,
        },
      ];
    }),
  );
}

function modelHolds({ holds }: Model): Record<string, object> {
  return Object.fromEntries(
    Object.values(holds).map(({ id, status, wants, shipped, parcels, refusal, order }) => [
      id,
      { status, wants, shipped, parcels: Object.keys(parcels), refusal, order },
    ]),
  );
}

// ---- what is asked for, at random ----------------------------------------------------------------------------------

const skus = ["MUG", "PEN", "HAT", "CAP"];
const everywhere = ["main", "north"].flatMap((store_id) => skus.map((sku) => ({ store_id, sku })));
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
    }),
  },
);

/** Now and then a command comes again that was sent before, whenever that was. */
const resent = fc.record({ resend: fc.nat(50) });
const batches = fc.array(
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

const opening: InventoryCommand[] = [
  sync("P1", "MUG", "PEN", "HAT"),
  adjust("opening", [...inStore("main", { MUG: 20, PEN: 6, HAT: 1 }), ...inStore("north", { MUG: 5 })]),
];

function* story(script: Script) {
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
function runs(numRuns: number): fc.Parameters<unknown> {
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}

// ---- the properties ------------------------------------------------------------------------------------------------

describe("random commands in batches of random size", () => {
  it("are answered as the model answers them, and the log explains what came of it", () => {
    fc.assert(
      fc.property(batches, (script) => {
        const model = new Model();
        const tables = new InventoryTables();
        for (const { wait, commands } of story(script)) {
          model.seconds += wait;
          model.batch++;
          const book = tables.open(commands, at(model.seconds));
          for (const command of commands) {
            expect(answerOf(settle(book, command))).toBe(model.do(command));
            const stock = everywhere.flatMap((key) => book.stock(key) ?? []);
            expect(stockInWords(stock)).toEqual(model.stock());
            expect(stock.filter((record) => !isGolden(record, book.openReservations()))).toEqual([]);
          }
          tables.save(book);
          expect(stockInWords(tables.stock.values())).toEqual(model.stock());
          expect(holdsInWords(tables.reservations.values())).toEqual(modelHolds(model));
        }
        expect(replayed(tables)).toEqual(tables);
      }),
      runs(1_200),
    );
  });
});

function isGolden(record: StockRecord, open: readonly Reservation[]): boolean {
  const { quantity_on_hand, quantity_reserved, quantity_available } = record;
  const held = open
    .flatMap(({ lines }) => lines)
    .filter(({ store_id, sku }) => store_id === record.store_id && sku === record.sku)
    .reduce((sum, line) => sum + line.quantity - line.quantity_committed, 0);
  return (
    quantity_on_hand === quantity_available + quantity_reserved &&
    quantity_reserved === held &&
    quantity_available >= 0
  );
}

/** Folds the log from nothing: the same tables come of it, and each event states again what it stated. */
function replayed({ log }: InventoryTables): InventoryTables {
  const tables = new InventoryTables();
  for (const { at, events } of log) tables.replay(events, at);
  return tables;
}

describe("the same on a real PostgreSQL", () => {
  const database = useTestDatabase();
  let pool: Pool;
  let inventory: Inventory;

  beforeAll(async () => {
    await migrate(database.url, inventoryMigrations);
    pool = createPool(database.url, { max: 4, name: "model" });
    inventory = createInventory({
      pool,
      reads: pool,
      settings: testSettings,
      maxWaiting: 1_000,
      registry: createRegistry(),
      logger: createLogger("warn"),
      tracer: untraced,
    });
  });
  afterAll(async () => {
    await inventory.drain();
    await pool.end();
  });

  async function emptyTables(): Promise<void> {
    await pool.query(
      "truncate inventory.log, inventory.skus, inventory.stock, inventory.stock_history, inventory.reservations, inventory.adjustments",
    );
  }

  /** What is submitted together travels in one batch. */
  async function answers(commands: readonly InventoryCommand[]): Promise<string[]> {
    return (await Promise.all(commands.map((command) => inventory.submit(command)))).map(answerOf);
  }

  async function expectVerified(): Promise<void> {
    const findings = await verifyInventory(readerOf(pool), () => {});
    expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
  }

  it("is answered as the model answers it, and verify is clean", async () => {
    await fc.assert(
      fc
        .asyncProperty(batches, async (script) => {
          const model = new Model();
          for (const { commands } of story(script)) {
            model.batch++;
            const patient = commands.map(withLongHold);
            expect(await answers(patient)).toEqual(patient.map((command) => model.do(command)));
            const { rows } = await pool.query<StockRecord>("select * from inventory.stock");
            expect(stockInWords(rows)).toEqual(model.stock());
          }
          const found = await Promise.all(Object.keys(model.holds).map((id) => inventory.reservation(id)));
          expect(holdsInWords(found as Reservation[])).toEqual(modelHolds(model));
          await expectVerified();
        })
        .beforeEach(emptyTables),
      runs(60),
    );
  });

  it("ends a hold by the database's clock, and only once", async () => {
    await emptyTables();
    await answers([
      ...opening,
      reserve("brief", { HAT: 1 }, { ttl_seconds: 1 }),
      reserve("long", { MUG: 1 }),
    ]);
    await expect
      .poll(() => answers([expire(), expire()]), { timeout: 10_000 })
      .toEqual(["1 expired", "0 expired"]);
    expect(await answers([reserve("brief", { HAT: 1 }), reserve("next", { HAT: 1 })])).toEqual([
      "inventory.reservation_closed",
      "held",
    ]);
    await expectVerified();
  });
});

/** The database's clock cannot be moved, so nothing expires here unless it is waited for. */
function withLongHold(command: InventoryCommand): InventoryCommand {
  if (!("ttl_seconds" in command)) return command;
  return { ...command, ttl_seconds: command.ttl_seconds! + 86_400 } as InventoryCommand;
}
