import { isBehind } from "../../kernel/place.ts";
import type { LogMark } from "../../platform/log/append.ts";
import type {
  Adjustment,
  InventoryEvent,
  Line,
  Origin,
  RecordedEvent,
  Reservation,
  StatedLine,
  StockKey,
  StockRecord,
  SyncProduct,
} from "./contract/index.ts";
import { evolveReservation, heldOf, isOpen } from "./reservation.ts";
import { effectOf, isSound, moved, openedRecord, StockMap, stated } from "./stock.ts";

export interface InventorySettings {
  readonly default_store: string;
  readonly hold_ttl_seconds: number;
  readonly low_stock_threshold: number;
  /** When stock is reduced: as it is shipped, or as soon as it is paid. */
  readonly commit_on: "fulfillment" | "payment";
}

export interface KnownSku {
  readonly sku: string;
  readonly product_id: string;
  readonly listed: boolean;
  /** Where the catalogue said so: what it said before does not count any more. */
  readonly position: number;
  readonly index: number;
}

const unplaced = { position: 0, index: 0 };

export interface BookContent {
  readonly mark: LogMark;
  readonly stock: readonly StockRecord[];
  readonly skus: readonly KnownSku[];
  readonly reservations: readonly Reservation[];
  readonly adjustments: readonly Adjustment[];
  /** The holds that were found overdue, oldest first. */
  readonly overdue: readonly string[];
  /** Records of which all holders were looked for; absent: nobody is missing. */
  readonly contested?: StockMap<StockKey>;
}

export interface Holder {
  readonly reservation: Reservation;
  readonly quantity: number;
}

/** A record would break the golden rule: a defect of ours, never a refusal. */
export class InvariantViolation extends Error {}

/** A rule has to know who holds a record, and that was not asked for when the batch was loaded, or has changed since. */
export class UnknownHolders extends Error {
  readonly key: StockKey;

  constructor(key: StockKey) {
    super("the reservations that hold a record are not all known");
    this.key = key;
  }
}

/**
 * Everything that a batch touches, as it stands after the commands so far. The rules read it; only `record` changes
 * it, event by event, and remembers what there is to save.
 */
export class StockBook {
  readonly mark: LogMark;
  readonly settings: InventorySettings;
  readonly overdue: readonly string[];
  readonly events: { event: RecordedEvent; origin: Origin }[] = [];
  readonly opened = new StockMap<StockKey>();
  readonly changed = new StockMap<StockKey>();
  readonly created = new Set<string>();
  readonly touched = new Set<string>();
  readonly adjusted: Adjustment[] = [];
  readonly relisted = new Map<string, KnownSku>();
  /** A record that is changed owes something, or has done so until now. */
  owes = false;

  private readonly contested: StockMap<StockKey> | undefined;
  private readonly records = new StockMap<StockRecord>();
  private readonly skus = new Map<string, KnownSku>();
  private readonly products = new Map<string, Set<string>>();
  private readonly reservations = new Map<string, Reservation>();
  private readonly adjustments = new Map<string, Adjustment>();

  constructor(settings: InventorySettings, content: BookContent) {
    this.settings = settings;
    this.mark = content.mark;
    this.overdue = content.overdue;
    this.contested = content.contested;
    for (const record of content.stock) this.records.set(record, record);
    for (const sku of content.skus) this.know(sku);
    for (const reservation of content.reservations) this.reservations.set(reservation.id, reservation);
    for (const adjustment of content.adjustments) this.adjustments.set(adjustment.id, adjustment);
  }

  get now(): Date {
    return this.mark.now;
  }

  stock(key: StockKey): StockRecord | undefined {
    return this.records.get(key);
  }

  /** Whether the catalogue offers this SKU now. */
  isListed(key: StockKey): boolean {
    return (this.stock(key) ?? this.skus.get(key.sku))?.listed === true;
  }

  productOf(sku: string): KnownSku | undefined {
    return this.skus.get(sku);
  }

  skusOf(product_id: string): KnownSku[] {
    return [...(this.products.get(product_id) ?? [])]
      .map((sku) => this.skus.get(sku)!)
      .filter((sku) => sku.listed);
  }

  /** Whether the catalogue has said nothing about the SKU at this place yet, nor behind it. */
  isNewsOf(sku: string, { position, index }: Pick<SyncProduct, "position" | "index">): boolean {
    const known = this.skus.get(sku);
    return known === undefined || isBehind([position, index], [known.position, known.index]);
  }

  reservation(id: string): Reservation | undefined {
    return this.reservations.get(id);
  }

  adjustment(id: string): Adjustment | undefined {
    return this.adjustments.get(id);
  }

  openReservations(): Reservation[] {
    return [...this.reservations.values()].filter(isOpen);
  }

  /** All open reservations that hold something of the record, with how much of it. */
  holdersOf(key: StockKey): Holder[] {
    const reserved = this.stock(key)?.quantity_reserved ?? 0;
    if (reserved === 0) return [];
    const holders = this.openReservations()
      .map((reservation) => ({ reservation, quantity: heldOf(reservation, key) }))
      .filter(({ quantity }) => quantity > 0);
    const held = holders.reduce((total, { quantity }) => total + quantity, 0);
    const isKnown = this.contested === undefined || this.contested.get(key) !== undefined;
    if (!isKnown || held !== reserved) throw new UnknownHolders(key);
    return holders;
  }

  /** The records of the SKU in all stores, if the batch has loaded them. */
  recordsOf(sku: string): StockRecord[] {
    return this.records.ofSku(sku);
  }

  /** Lets an event happen. */
  record(decided: InventoryEvent, origin: Origin = {}): void {
    if (decided.type === "SkuListed" || decided.type === "SkuDelisted") {
      const { sku, product_id } = decided.data;
      const { position, index } = this.skus.get(sku) ?? unplaced;
      this.relist({ sku, product_id, listed: decided.type === "SkuListed", position, index });
    }
    const event = this.move(decided);
    this.events.push({ event, origin });
    this.remember(event);
  }

  /** These SKUs are as the catalogue says at this place, whether that was another word or the same again. */
  placeSkus(skus: readonly string[], { position, index }: SyncProduct): void {
    for (const sku of skus) {
      const known = this.skus.get(sku)!;
      if (this.isNewsOf(sku, { position, index })) this.relist({ ...known, position, index });
    }
  }

  private move(event: InventoryEvent): RecordedEvent {
    const effect = effectOf(event.type);
    if (effect === undefined || !("lines" in event.data)) return event as RecordedEvent;
    const lines: StatedLine[] = event.data.lines.map((line: Line) => {
      const before = this.records.get(line);
      if (before === undefined)
        throw new InvariantViolation(`${event.type} moves a stock record that is not there`);
      const after = moved(before, line.quantity, effect, this.now);
      this.records.set(line, after);
      this.changed.set(line, line);
      if (before.quantity_owed > 0 || after.quantity_owed > 0) this.owes = true;
      return stated(line, after);
    });
    return { type: event.type, data: { ...event.data, lines } } as RecordedEvent;
  }

  private remember(event: RecordedEvent): void {
    switch (event.type) {
      case "StockOpened": {
        const { sku, product_id } = event.data;
        const listed = this.skus.get(sku)?.listed;
        this.records.set(event.data, openedRecord(event.data, product_id, this.now, listed));
        this.opened.set(event.data, event.data);
        return;
      }
      case "InventoryAdjusted": {
        const { adjustment_id, lines, reason, actor } = event.data;
        if (adjustment_id === null) return;
        const adjustment = { id: adjustment_id, lines, reason, actor, at: this.now };
        this.adjustments.set(adjustment_id, adjustment);
        this.adjusted.push(adjustment);
        return;
      }
      case "SkuListed":
      case "SkuDelisted":
      case "StockShortfall":
      case "LowStock":
        return;
      default: {
        const id = event.data.reservation_id;
        const before = this.reservations.get(id);
        if (before === undefined) this.created.add(id);
        this.touched.add(id);
        this.reservations.set(id, evolveReservation(before, event, this.now, this.mark.position));
      }
    }
  }

  private relist(sku: KnownSku): void {
    this.know(sku);
    this.relisted.set(sku.sku, sku);
    for (const record of this.records.ofSku(sku.sku)) {
      this.records.set(record, { ...record, product_id: sku.product_id, listed: sku.listed });
    }
  }

  private know(known: KnownSku): void {
    const { sku, product_id } = known;
    this.products.get(this.skus.get(sku)?.product_id ?? "")?.delete(sku);
    this.skus.set(sku, known);
    const siblings = this.products.get(product_id);
    if (siblings === undefined) this.products.set(product_id, new Set([sku]));
    else siblings.add(sku);
  }

  /** The last look before anything is written. */
  assertSound(): void {
    for (const record of this.changedStock()) {
      if (!isSound(record)) {
        throw new InvariantViolation(`stock would break the golden rule: ${JSON.stringify(record)}`);
      }
    }
  }

  changedStock(): StockRecord[] {
    return this.changed.values().map((key) => this.records.get(key)!);
  }

  openedStock(): StockRecord[] {
    return this.opened.values().map((key) => this.records.get(key)!);
  }

  touchedReservations(): Reservation[] {
    return [...this.touched].map((id) => this.reservations.get(id)!);
  }
}
