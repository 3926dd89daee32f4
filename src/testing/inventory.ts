import { expect } from "vitest";
import type { BusEvent } from "../platform/bus/port.ts";
import { type InventorySettings, type KnownSku, StockBook } from "../services/inventory/book.ts";
import type {
  Adjustment,
  AdjustStock,
  CommitReservation,
  ConfirmReservation,
  CountStock,
  ExpireReservations,
  ExtendReservation,
  InventoryCommand,
  InventoryEvent,
  InventoryRefusalCode,
  InventoryReply,
  Line,
  MoveStock,
  RecordedEvent,
  ReleaseReservation,
  Reservation,
  ReserveStock,
  SecureReservation,
  ShortfallReservation,
  ShortLine,
  StockRecord,
  SyncProduct,
} from "../services/inventory/contract/index.ts";
import { settle } from "../services/inventory/handle.ts";
import { isOverdue } from "../services/inventory/reservation.ts";
import { keyOf } from "../services/inventory/stock.ts";

// ---- given, when, then ---------------------------------------------------------------------------------------------

/** What happened so far, each argument in a batch of its own. The clock stands at 0 seconds. */
export function given(...past: readonly (InventoryEvent | readonly InventoryEvent[])[]): Given {
  const tables = new InventoryTables();
  for (const happened of past) tables.replay([happened].flat(), at(0));
  return new Given(tables);
}

class Given {
  private readonly tables: InventoryTables;
  private seconds = 0;
  private settings: InventorySettings = { ...testSettings, low_stock_threshold: -1 };

  constructor(tables: InventoryTables) {
    this.tables = tables;
  }

  after(seconds: number): this {
    this.seconds += seconds;
    return this;
  }

  warningAt(low_stock_threshold: number): this {
    this.settings = { ...this.settings, low_stock_threshold };
    return this;
  }

  committingOnPayment(): this {
    this.settings = { ...this.settings, commit_on: "payment" };
    return this;
  }

  /** One batch. Whatever is let happen is asked for once more on the spot, and nothing more may happen. */
  when(...commands: InventoryCommand[]): Outcome {
    const book = this.tables.open(commands, at(this.seconds), this.settings);
    const replies = commands.map((command) => {
      const before = book.events.length;
      const reply = settle(book, command);
      const after = book.events.length;
      if (after > before) {
        expect(settle(book, command).accepted, "the same command again is answered alike").toBe(
          reply.accepted,
        );
        expect(book.events.slice(after), "the same command again does nothing").toEqual([]);
      }
      return reply;
    });
    this.tables.save(book);
    return new Outcome(replies, this.tables);
  }
}

class Outcome {
  private readonly replies: readonly InventoryReply[];
  private readonly tables: InventoryTables;

  constructor(replies: readonly InventoryReply[], tables: InventoryTables) {
    this.replies = replies;
    this.tables = tables;
  }

  /** Every command was accepted, and exactly this happened. */
  // biome-ignore lint/suspicious/noThenProperty: nobody awaits an outcome, and given/when/then is how tests are read.
  then(...events: InventoryEvent[]): Aftermath {
    expect(this.replies.filter(({ accepted }) => !accepted)).toEqual([]);
    return this.thenHappened(...events);
  }

  /** Exactly this happened, whatever was answered: the words of a refusal are not looked at. */
  thenHappened(...events: InventoryEvent[]): Aftermath {
    expect(this.happened().map(withoutWords)).toEqual(events.map(withoutWords));
    return new Aftermath(this.tables);
  }

  thenNothing(): Aftermath {
    return this.then();
  }

  /** The last command was refused, and nothing at all happened. */
  thenRefused(code: InventoryRefusalCode, lines?: Shortages): Aftermath {
    this.expectRefusal(code, lines);
    expect(this.happened()).toEqual([]);
    return new Aftermath(this.tables);
  }

  /** The last command was refused, and that is remembered. */
  thenRefusedForGood(id: string, code: InventoryRefusalCode, lines: Shortages): Aftermath {
    this.expectRefusal(code, lines);
    expect(this.happened()).toMatchObject([
      { type: "InventoryReservationFailed", data: { reservation_id: id, refusal: { code } } },
    ]);
    return new Aftermath(this.tables);
  }

  /** The status of each reservation, or the code of the refusal. */
  thenAnswers(...answers: string[]): Aftermath {
    expect(this.replies.map(answerOf)).toEqual(answers);
    return new Aftermath(this.tables);
  }

  private expectRefusal(code: InventoryRefusalCode, lines: Shortages | undefined): void {
    const reply = this.replies.at(-1)!;
    expect(reply).toMatchObject({ accepted: false, refusal: { code } });
    if (reply.accepted || lines === undefined) return;
    expect(reply.refusal.lines).toEqual(shortLines(lines));
  }

  private happened(): InventoryEvent[] {
    return this.tables.log.at(-1)!.events.map(withPlainLines);
  }
}

/** What can be looked at once it is known what happened. */
class Aftermath {
  private readonly tables: InventoryTables;

  constructor(tables: InventoryTables) {
    this.tables = tables;
  }

  leaving(sku: string, expected: Partial<StockRecord>, store_id = mainStore): this {
    expect(this.tables.stock.get(keyOf({ store_id, sku }))).toMatchObject(expected);
    return this;
  }

  leavingReservation(id: string, expected: Partial<Reservation>): this {
    expect(this.tables.reservations.get(id)).toMatchObject(expected);
    return this;
  }
}

export function answerOf(reply: InventoryReply): string {
  if (!reply.accepted) return reply.refusal.code;
  const subject = reply.subject;
  if (subject === null) return "synced";
  if ("status" in subject) return subject.status;
  if ("expired" in subject) return `${subject.expired} expired`;
  return "adjusted";
}

/** An event as the rules decide it, without what came of it. */
function withPlainLines(event: RecordedEvent): InventoryEvent {
  if (!("lines" in event.data)) return event;
  const lines = event.data.lines.map(({ store_id, sku, quantity }) => ({ store_id, sku, quantity }));
  return { ...event, data: { ...event.data, lines } } as InventoryEvent;
}

function withoutWords(event: InventoryEvent): object {
  if (!("refusal" in event.data)) return event;
  return { ...event, data: { ...event.data, refusal: event.data.refusal.code } };
}

// ---- tables in memory ----------------------------------------------------------------------------------------------

const mainStore = "main";
const start = Date.parse("2030-01-01T00:00:00Z");

export const testSettings: InventorySettings = {
  default_store: mainStore,
  hold_ttl_seconds: 900,
  low_stock_threshold: 2,
  commit_on: "fulfillment",
};

/** Seconds on the clock of the tests. */
export function at(seconds: number): Date {
  return new Date(start + seconds * 1_000);
}

/** Does for a StockBook what PostgreSQL does: carries what it says that there is to save into the next batch. */
export class InventoryTables {
  readonly stock = new Map<string, StockRecord>();
  readonly reservations = new Map<string, Reservation>();
  readonly log: { at: Date; events: readonly RecordedEvent[] }[] = [];
  private readonly skus = new Map<string, KnownSku>();
  private readonly adjustments = new Map<string, Adjustment>();

  open(commands: readonly InventoryCommand[], now: Date, settings = testSettings): StockBook {
    const position = this.log.length + 1;
    const sweep = commands.reduce(
      (n, command) => n + (command.type === "ExpireReservations" ? command.limit : 0),
      0,
    );
    const overdue = [...this.reservations.values()]
      .filter((reservation) => isOverdue(reservation, now))
      .sort((a, b) => a.expires_at!.getTime() - b.expires_at!.getTime())
      .slice(0, sweep);
    return new StockBook(settings, {
      mark: { tx: String(position), position, now },
      stock: [...this.stock.values()],
      skus: [...this.skus.values()],
      reservations: [...this.reservations.values()],
      adjustments: [...this.adjustments.values()],
      overdue: overdue.map(({ id }) => id),
    });
  }

  save(book: StockBook): void {
    book.assertSound();
    for (const record of [...book.changedStock(), ...book.openedStock()])
      this.stock.set(keyOf(record), record);
    for (const sku of book.relisted.values()) this.relist(sku);
    for (const reservation of book.touchedReservations()) this.reservations.set(reservation.id, reservation);
    for (const adjustment of book.adjusted) this.adjustments.set(adjustment.id, adjustment);
    this.log.push({ at: book.now, events: book.events.map(({ event }) => event) });
  }

  /** Lets events happen without asking the rules. */
  replay(events: readonly InventoryEvent[], now: Date): void {
    const book = this.open([], now);
    for (const event of events) book.record(event);
    this.save(book);
  }

  /** All but where the catalogue has said what it says, of which no event tells. */
  explained(): object {
    const { stock, reservations, adjustments, log } = this;
    const skus = [...this.skus.values()].map(({ sku, product_id, listed }) => ({ sku, product_id, listed }));
    return { stock, reservations, adjustments, log, skus };
  }

  private relist(sku: KnownSku): void {
    this.skus.set(sku.sku, sku);
    for (const [key, record] of this.stock) {
      if (record.sku === sku.sku) {
        this.stock.set(key, { ...record, product_id: sku.product_id, listed: sku.listed });
      }
    }
  }
}

// ---- lines ---------------------------------------------------------------------------------------------------------

/** `{ MUG: 3 }` in the main store; anything else as lines. */
type Quantities = Readonly<Record<string, number>> | readonly Line[];
type Shortages = Readonly<Record<string, Pick<ShortLine, "requested" | "available">>> | readonly ShortLine[];

export function line(sku: string, quantity: number, store_id = mainStore): Line {
  return { store_id, sku, quantity };
}

export function inStore(store_id: string, quantities: Readonly<Record<string, number>>): Line[] {
  return Object.entries(quantities).map(([sku, quantity]) => line(sku, quantity, store_id));
}

function linesOf(quantities: Quantities): readonly Line[] {
  if (isLines(quantities)) return quantities;
  return inStore(mainStore, quantities);
}

function shortLines(shortages: Shortages): readonly ShortLine[] {
  if (isLines(shortages)) return shortages;
  return Object.entries(shortages).map(([sku, short]) => ({ store_id: mainStore, sku, ...short }));
}

/** Array.isArray does not see a readonly array. */
function isLines<L extends Line | ShortLine>(value: object): value is readonly L[] {
  return Array.isArray(value);
}

// ---- what happens --------------------------------------------------------------------------------------------------

const product_id = "P1";

/** A SKU of the catalogue with so many on hand. */
export function stock(sku: string, on_hand: number, store_id = mainStore): InventoryEvent[] {
  const found = {
    adjustment_id: null,
    lines: [line(sku, on_hand, store_id)],
    reason: "found",
    actor: "test",
  };
  return [
    listed(sku),
    opened(sku, store_id),
    ...(on_hand === 0 ? [] : [{ type: "InventoryAdjusted" as const, data: found }]),
  ];
}

/** With its records in these stores. */
export function listed(sku: string, by = product_id, ...stores: string[]): InventoryEvent {
  return { type: "SkuListed", data: { product_id: by, sku, lines: unmoved(sku, stores) } };
}

export function delisted(sku: string, ...stores: string[]): InventoryEvent {
  return { type: "SkuDelisted", data: { product_id, sku, lines: unmoved(sku, stores) } };
}

function unmoved(sku: string, stores: readonly string[]): Line[] {
  return stores.map((store_id) => line(sku, 0, store_id));
}

export function opened(sku: string, store_id = mainStore, by = product_id): InventoryEvent {
  return { type: "StockOpened", data: { store_id, sku, product_id: by } };
}

/** `until` is when the hold expires, in seconds on the clock. */
export function reserved(
  id: string,
  quantities: Quantities,
  {
    until = 900,
    order_id = null,
    key = null,
  }: { until?: number | null; order_id?: string | null; key?: string | null } = {},
): InventoryEvent {
  const expires_at = until === null ? null : at(until);
  return {
    type: "InventoryReserved",
    data: { reservation_id: id, order_id, lines: linesOf(quantities), expires_at, key },
  };
}

export function refusedForGood(
  id: string,
  code: InventoryRefusalCode,
  { order_id = null, key = null }: { order_id?: string | null; key?: string | null } = {},
): InventoryEvent {
  return {
    type: "InventoryReservationFailed",
    data: { reservation_id: id, order_id, refusal: { code, detail: "Remembered." }, key },
  };
}

export function retaken(
  id: string,
  quantities: Quantities,
  { until = 900, order_id = null }: { until?: number; order_id?: string | null } = {},
): InventoryEvent {
  const lines = linesOf(quantities);
  return {
    type: "InventoryRetaken",
    data: { reservation_id: id, order_id, lines, expires_at: at(until) },
  };
}

export function confirmed(id: string, order_id: string | null = null): InventoryEvent {
  return { type: "InventoryConfirmed", data: { reservation_id: id, order_id } };
}

export function confirmationFailed(
  id: string,
  code: InventoryRefusalCode,
  order_id: string | null = null,
): InventoryEvent {
  return {
    type: "InventoryConfirmationFailed",
    data: { reservation_id: id, order_id, refusal: { code, detail: "Remembered." } },
  };
}

export function extended(
  id: string,
  until: number,
  { order_id = null, key = null }: { order_id?: string | null; key?: string | null } = {},
): InventoryEvent {
  return {
    type: "InventoryExtended",
    data: { reservation_id: id, order_id, key, expires_at: at(until) },
  };
}

export function released(
  id: string,
  quantities: Quantities,
  { reason = "cancelled", order_id = null }: { reason?: string; order_id?: string | null } = {},
): InventoryEvent {
  return letGo({ reservation_id: id, order_id, lines: linesOf(quantities), reason, now: "released" });
}

export function expired(id: string, quantities: Quantities, order_id: string | null = null): InventoryEvent {
  const lines = linesOf(quantities);
  return letGo({ reservation_id: id, order_id, lines, reason: "expired", now: "expired" });
}

/** An amendment's part that lets go; the hold stays open. */
export function reduced(id: string, quantities: Quantities): InventoryEvent {
  const lines = linesOf(quantities);
  return letGo({ reservation_id: id, order_id: null, lines, reason: "amended", now: null });
}

function letGo(data: Extract<InventoryEvent, { type: "InventoryReleased" }>["data"]): InventoryEvent {
  return { type: "InventoryReleased", data };
}

export function committed(
  id: string,
  quantities: Quantities,
  {
    key = "parcel-1",
    complete = true,
    order_id = null,
  }: { key?: string | null; complete?: boolean; order_id?: string | null } = {},
): InventoryEvent {
  return {
    type: "InventoryCommitted",
    data: { reservation_id: id, order_id, lines: linesOf(quantities), key, complete },
  };
}

export function adjusted(
  adjustment_id: string | null,
  quantities: Quantities,
  reason = "delivery",
  actor = "test",
  occurred_at?: Date,
): InventoryEvent {
  return {
    type: "InventoryAdjusted",
    data: { adjustment_id, lines: linesOf(quantities), reason, actor, ...(occurred_at && { occurred_at }) },
  };
}

export function shortfall(
  sku: string,
  victims: Readonly<
    Record<string, Omit<ShortfallReservation, "reservation_id" | "order_id"> & { order_id?: string }>
  >,
  quantity_owed = 0,
): InventoryEvent {
  const reservations = Object.entries(victims).map(([reservation_id, victim]) => ({
    reservation_id,
    order_id: null,
    ...victim,
  }));
  const owed = quantity_owed > 0 ? { quantity_owed } : {};
  return { type: "StockShortfall", data: { store_id: mainStore, sku, reservations, ...owed } };
}

export function lowStock(sku: string, quantity_available: number, threshold: number): InventoryEvent {
  return { type: "LowStock", data: { store_id: mainStore, sku, quantity_available, threshold } };
}

// ---- what is asked for ---------------------------------------------------------------------------------------------

export function reserve(
  reservation_id: string,
  quantities: Quantities,
  options: Partial<Pick<ReserveStock, "ttl_seconds" | "order_id" | "remember_refusal" | "key">> = {},
): ReserveStock {
  return { type: "ReserveStock", reservation_id, lines: linesOf(quantities), ...options };
}

export function confirm(reservation_id: string): ConfirmReservation {
  return { type: "ConfirmReservation", reservation_id };
}

export function secure(reservation_id: string, order_id: string): SecureReservation {
  return { type: "SecureReservation", reservation_id, order_id };
}

export function commit(reservation_id: string, quantities?: Quantities, key = "parcel-1"): CommitReservation {
  const part = quantities === undefined ? {} : { lines: linesOf(quantities) };
  return { type: "CommitReservation", reservation_id, key, ...part };
}

/** The goods have left. */
export function settleUp(reservation_id: string): CommitReservation {
  return { type: "CommitReservation", reservation_id, settle: true };
}

export function release(
  reservation_id: string,
  reason = "cancelled",
  options: Partial<Pick<ReleaseReservation, "order_id" | "restock" | "unless_adopted">> = {},
): ReleaseReservation {
  return { type: "ReleaseReservation", reservation_id, reason, ...options };
}

export function extend(reservation_id: string, ttl_seconds: number, key?: string): ExtendReservation {
  return { type: "ExtendReservation", reservation_id, ttl_seconds, ...(key === undefined ? {} : { key }) };
}

export function expire(limit = 500): ExpireReservations {
  return { type: "ExpireReservations", limit };
}

export function adjust(
  adjustment_id: string,
  quantities: Quantities,
  { reason = "delivery", force = false } = {},
): AdjustStock {
  return { type: "AdjustStock", adjustment_id, lines: linesOf(quantities), reason, actor: "test", force };
}

/** Goods have come, or gone where it is negative. */
export function move(
  adjustment_id: string,
  quantities: Quantities,
  { reason = "sold", occurred_at = null }: Partial<Pick<MoveStock, "reason" | "occurred_at">> = {},
): MoveStock {
  return {
    type: "MoveStock",
    adjustment_id,
    lines: linesOf(quantities),
    reason,
    actor: "till",
    occurred_at,
  };
}

export function count(
  sku: string,
  quantity_on_hand: number,
  options: Partial<Pick<CountStock, "expected_version" | "reason" | "force" | "store_id">> = {},
): CountStock {
  return {
    type: "CountStock",
    store_id: mainStore,
    sku,
    quantity_on_hand,
    reason: "stocktaking",
    actor: "test",
    force: false,
    ...options,
  };
}

let said = 0;

/** Newer than all that the catalogue has said before. */
export function sync(id: string, ...skus: string[]): SyncProduct {
  return syncAt(++said, id, ...skus);
}

export function syncAt(position: number, id: string, ...skus: string[]): SyncProduct {
  return { type: "SyncProduct", product_id: id, skus, position, index: 0 };
}

/** An event of another service, as the bus brings it. */
export function busEvent(topic: string, position: number, event: { type: string; data: object }): BusEvent {
  const { order_id } = event.data as { order_id?: string };
  const subject = order_id ?? `${topic}-${position}`;
  return { id: `${topic}-${position}-0`, topic, subject, key: subject, at: at(0), ...event };
}
