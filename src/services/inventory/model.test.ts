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
import { answerOf, at, expire, InventoryTables, reserve, testSettings } from "../../testing/inventory.ts";
import { batches, everywhere, opening, runs, story } from "../../testing/inventory-story.ts";
import type {
  AdjustStock,
  CommitReservation,
  CountStock,
  ExtendReservation,
  InventoryCommand,
  Line,
  ReleaseReservation,
  Reservation,
  ReserveStock,
  SecureReservation,
  StockRecord,
  SyncProduct,
} from "./contract/index.ts";
import { settle } from "./handle.ts";
import { inventoryMigrations } from "./index.ts";
import { createInventory, type Inventory } from "./inventory.ts";
import { verifyInventory } from "./verify/index.ts";

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
  private readonly missed: Quantities = {};
  private readonly versions: Quantities = {};
  private readonly sellers: Record<string, string | null> = {};
  /** Where the catalogue has last said something of a SKU. */
  private readonly said: Record<string, number> = {};
  private readonly changes: Record<string, string> = {};

  /** Every record that is kept. */
  stock(): Record<string, object> {
    return Object.fromEntries(
      Object.entries(this.onHand).map(([place, on_hand]) => {
        const numbers = { on_hand, reserved: this.reserved(place), available: this.available(place) };
        return [
          place,
          {
            ...numbers,
            owed: this.missed[place] ?? 0,
            version: this.versions[place],
            sold: this.isSold(place),
          },
        ];
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
        return command.settle ? this.settleUp(command.reservation_id) : this.ship(command);
      case "ReleaseReservation":
        return this.release(command);
      case "ExtendReservation":
        return this.extend(command);
      case "ExpireReservations":
        return this.sweep();
      case "AdjustStock":
        return this.adjust(command);
      case "MoveStock":
        return this.come(command.adjustment_id, command.lines);
      case "CountStock":
        return this.count(command);
      case "SyncProduct":
        return this.sync(command);
    }
  }

  private reserve(command: ReserveStock): string {
    const { reservation_id: id, lines, ttl_seconds = 900, order_id: order = null, key } = command;
    const name = nameOf(command);
    const wants = total(lines);
    const hold = this.holds[id];
    if (hold === undefined) {
      const refusal = this.whyNot(wants);
      if (refusal === null) {
        this.holds[id] = this.newHold(id, { wants, order, until: this.seconds + ttl_seconds });
        if (name !== undefined) this.holds[id].parcels[name] = "held";
        this.move(Object.keys(wants));
        return "held";
      }
      if (command.remember_refusal || key !== undefined) {
        this.turnDown(this.newHold(id, { status: "refused" }), command, refusal);
      }
      return refusal;
    }
    if (name !== undefined) return this.answer(hold, command);
    if (hold.refusal !== "") return hold.refusal;
    if (!this.isAlive(hold)) return "inventory.reservation_closed";
    if (this.isSpokenFor(hold) && (hold.order !== null || order === null))
      return "inventory.reservation_taken";
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
    hold.parcels[key] = "held";
    return hold.status;
  }

  /** For a cart or for an order, of which only their own events tell what becomes of it. */
  private isSpokenFor({ order, parcels }: Hold): boolean {
    return order === null ? Object.values(parcels).includes("held") : parcels[`order/${order}`] === "held";
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
  private amend(hold: Hold, command: ReserveStock): string | null {
    const { lines, ttl_seconds, order_id } = command;
    const key = nameOf(command);
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
    if (this.isSpokenFor(hold)) return "inventory.reservation_taken";
    if (hold.status === "committed") return "committed";
    if (!this.isAlive(hold)) return "inventory.reservation_closed";
    hold.status = "confirmed";
    return "confirmed";
  }

  private ship({ reservation_id: id, lines, key = "", order_id }: CommitReservation): string {
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    if (this.isSpokenFor(hold) && order_id !== hold.order) return "inventory.reservation_taken";
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
    if (shipped.some(([place, n]) => this.isTooMuch(place, n))) return "inventory.quantity_overflow";
    this.changes[`restock:${hold.id}`] = spelled(hold.shipped);
    for (const [place, quantity] of shipped) this.put(place, quantity);
    this.move(Object.keys(hold.shipped));
    return hold.status;
  }

  private extend(command: ExtendReservation): string {
    const { reservation_id: id, ttl_seconds = 900, key, retake } = command;
    const hold = this.holds[id];
    if (hold === undefined) return "inventory.reservation_not_found";
    const said = key === undefined ? undefined : hold.parcels[key];
    if (said !== undefined) {
      const isSame = command.ttl_seconds === undefined || said === `extended by ${ttl_seconds}`;
      return isSame ? hold.status : "inventory.key_reused";
    }
    if (retake && hold.status === "expired") {
      const refusal = this.retake(hold, ttl_seconds);
      if (refusal !== null) return refusal;
    }
    if (!(retake ? this.isOpen(hold) : this.isAlive(hold))) return "inventory.reservation_closed";
    if (hold.status === "confirmed") return hold.status;
    hold.until = this.seconds + ttl_seconds;
    if (key !== undefined) hold.parcels[key] = `extended by ${ttl_seconds}`;
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

  /** Or go. */
  private come(id: string, lines: readonly Line[]): string {
    const goods = total(lines);
    const earlier = this.changes[id];
    if (earlier !== undefined)
      return earlier === spelled(goods) ? "adjusted" : "inventory.adjustment_conflict";
    const entries = Object.entries(goods);
    const isKnown = (place: string) => place in this.onHand || place.split(" in ")[0]! in this.sellers;
    if (entries.some(([place]) => !isKnown(place))) return "inventory.unknown_sku";
    if (entries.some(([place, n]) => this.isTooMuch(place, n))) return "inventory.quantity_overflow";
    for (const [place, n] of entries) {
      this.open(place);
      while (this.available(place) < Math.min(-n, this.onHand[place]!)) {
        this.end(this.nextVictim(place), "released");
      }
    }
    for (const [place, n] of entries) this.put(place, n);
    this.move(Object.keys(goods));
    this.changes[id] = spelled(goods);
    return "adjusted";
  }

  private put(place: string, quantity: number): void {
    const [there, missed] = [this.onHand[place]!, this.missed[place] ?? 0];
    const madeUp = Math.min(missed, Math.max(quantity, 0));
    const found = Math.min(there, Math.max(-quantity, 0));
    this.onHand[place] = quantity > 0 ? there + quantity - madeUp : there - found;
    this.missed[place] = quantity > 0 ? missed - madeUp : missed - quantity - found;
  }

  private isTooMuch(place: string, n: number): boolean {
    const before = (this.onHand[place] ?? 0) - (this.missed[place] ?? 0);
    return Math.max(Math.abs(n), Math.abs(n + before)) > maxQuantity;
  }

  private count({ quantity_on_hand, expected_version, force, ...key }: CountStock): string {
    const place = placeOf(key);
    const name = `${place} at ${expected_version}`;
    if (expected_version !== undefined && this.changes[name] === `${quantity_on_hand}`) return "adjusted";
    if (!this.isSold(place)) return "inventory.unknown_sku";
    if (expected_version !== undefined && expected_version !== (this.versions[place] ?? 0)) {
      return "inventory.version_mismatch";
    }
    const more = quantity_on_hand + (this.missed[place] ?? 0) - (this.onHand[place] ?? 0);
    if (place in this.onHand && more === 0 && expected_version === undefined) return "adjusted";
    const answer = this.change({ [place]: more }, force);
    if (answer === "adjusted") this.changes[name] = `${quantity_on_hand}`;
    return answer;
  }

  private sync({ product_id: product, skus, position, index }: SyncProduct): string {
    const said = position + index / 10;
    const isNews = (sku: string) => said > (this.said[sku] ?? 0);
    for (const [sku, seller] of Object.entries(this.sellers)) {
      if (seller === product && !skus.includes(sku) && isNews(sku)) {
        this.sellers[sku] = null;
        this.said[sku] = said;
        this.move(this.placesOf(sku));
      }
    }
    for (const sku of skus.filter(isNews)) {
      if (this.sellers[sku] !== product) this.move(this.placesOf(sku));
      this.sellers[sku] = product;
      this.said[sku] = said;
      this.open(placeOf({ store_id: "main", sku }));
    }
    return "synced";
  }

  private placesOf(sku: string): string[] {
    return Object.keys(this.onHand).filter((place) => place.split(" in ")[0] === sku);
  }

  private change(change: Quantities, force: boolean): string {
    const entries = Object.entries(change);
    if (entries.some(([place]) => !this.isSold(place))) return "inventory.unknown_sku";
    if (entries.some(([place, n]) => this.isTooMuch(place, n))) return "inventory.quantity_overflow";
    const most = (place: string) => (force ? (this.onHand[place] ?? 0) : this.available(place));
    if (entries.some(([place, n]) => -n > most(place))) {
      return force ? "inventory.insufficient_stock" : "inventory.below_reserved";
    }
    for (const [place, n] of entries) {
      this.open(place);
      while (this.available(place) + n < 0) this.end(this.nextVictim(place), "released");
    }
    for (const [place, n] of entries) this.put(place, n);
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

/** Under which a cart or an order asks. */
function nameOf({ key, order_id, remember_refusal }: ReserveStock): string | undefined {
  return key ?? (order_id !== undefined && remember_refusal ? `order/${order_id}` : undefined);
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
        owed: record.quantity_owed,
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
        expect(replayed(tables).explained()).toEqual(tables.explained());
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
    quantity_available >= 0 &&
    (record.quantity_owed === 0 || (record.quantity_owed > 0 && quantity_on_hand === 0))
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
    await expect.poll(() => answers([expire(), expire()])).toEqual(["1 expired", "0 expired"]);
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
