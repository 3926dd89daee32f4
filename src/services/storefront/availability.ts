import type { AvailabilityRow } from "./contract.ts";

/** A place in the inventory's log: a batch, and an event in it. */
export interface Place {
  readonly position: number;
  readonly index: number;
}

export function isAfter(a: Place, b: Place): boolean {
  return a.position > b.position || (a.position === b.position && a.index > b.index);
}

/** What one event states, as far as it concerns what can be sold. */
export type Statement =
  | {
      readonly about: "stock";
      readonly index: number;
      readonly store_id: string;
      readonly sku: string;
      readonly quantity_available: number;
      readonly version: number;
    }
  | { readonly about: "listing"; readonly index: number; readonly sku: string; readonly listed: boolean };

interface Listing {
  readonly sku: string;
  listed: boolean;
  position: number;
  first: Sellable | undefined;
}

/** One SKU in one store. There may be millions, so it is flat: the stores of a SKU are a chain, by name. */
export interface Sellable {
  readonly listing: Listing;
  readonly store_id: string;
  quantity_in_stock: number;
  version: number;
  /** The place of its last change. */
  position: number;
  index: number;
  next: Sellable | undefined;
  json: string | undefined;
}

/**
 * What can be sold, folded from what the inventory's events state. Each states a result: for stock with a version, for
 * listings with its place in the log. What is older than what is known changes nothing, so duplicates, replays and any
 * order of batches come to the same.
 */
export class Availability {
  private readonly listings = new Map<string, Listing>();
  private readonly stores = new Map<string, string>();
  private newest: Place = { position: 0, index: 0 };
  private records = 0;

  get size(): number {
    return this.records;
  }

  /** The newest place that it has heard of. */
  get place(): Place {
    return this.newest;
  }

  /** Takes over what a batch of the log states; answers the records that are different now. */
  apply(position: number, statements: readonly Statement[], lastIndex: number): Set<Sellable> {
    const changed = new Set<Sellable>();
    for (const statement of statements) {
      if (statement.about === "stock") this.moveStock(position, statement, changed);
      else this.list(position, statement, changed);
    }
    const place = { position, index: lastIndex };
    if (isAfter(place, this.newest)) this.newest = place;
    return changed;
  }

  /** A record as it was saved. */
  load(row: AvailabilityRow): void {
    const listing = this.listingOf(row.sku);
    if (row.listing_position >= listing.position) {
      listing.position = row.listing_position;
      listing.listed = row.listed;
    }
    const record = this.recordOf(listing, row.store_id);
    record.quantity_in_stock = row.quantity_available;
    record.version = row.version;
    record.position = row.position;
    record.index = row.event_index;
    if (isAfter(record, this.newest)) this.newest = { position: row.position, index: row.event_index };
  }

  /** The record in the first store; the others hang on it by `next`. */
  find(sku: string): Sellable | undefined {
    return this.listings.get(sku)?.first;
  }

  *all(): Generator<Sellable> {
    for (const { first } of this.listings.values()) {
      for (let record = first; record !== undefined; record = record.next) yield record;
    }
  }

  private moveStock(
    position: number,
    { index, store_id, sku, quantity_available, version }: Extract<Statement, { about: "stock" }>,
    changed: Set<Sellable>,
  ): void {
    const record = this.recordOf(this.listingOf(sku), store_id);
    if (version < record.version) return;
    if (version === record.version && quantity_available === record.quantity_in_stock) return;
    record.version = version;
    record.quantity_in_stock = quantity_available;
    touch(record, position, index, changed);
  }

  private list(
    position: number,
    { index, sku, listed }: Extract<Statement, { about: "listing" }>,
    changed: Set<Sellable>,
  ): void {
    const listing = this.listingOf(sku);
    if (position < listing.position) return;
    listing.position = position;
    if (listed === listing.listed) return;
    listing.listed = listed;
    for (const record of chain(listing.first)) touch(record, position, index, changed);
  }

  private listingOf(sku: string): Listing {
    let listing = this.listings.get(sku);
    if (listing === undefined) {
      listing = { sku, listed: true, position: 0, first: undefined };
      this.listings.set(sku, listing);
    }
    return listing;
  }

  private recordOf(listing: Listing, store_id: string): Sellable {
    let before: Sellable | undefined;
    let next = listing.first;
    while (next !== undefined && next.store_id <= store_id) {
      if (next.store_id === store_id) return next;
      before = next;
      next = next.next;
    }
    const record: Sellable = {
      listing,
      store_id: this.storeOf(store_id),
      quantity_in_stock: 0,
      version: 0,
      position: 0,
      index: 0,
      next,
      json: undefined,
    };
    if (before === undefined) listing.first = record;
    else before.next = record;
    this.records++;
    return record;
  }

  /** A million records share the names of a few stores. */
  private storeOf(store_id: string): string {
    const known = this.stores.get(store_id);
    if (known !== undefined) return known;
    this.stores.set(store_id, store_id);
    return store_id;
  }
}

export function* chain(first: Sellable | undefined): Generator<Sellable> {
  for (let record = first; record !== undefined; record = record.next) yield record;
}

function touch(record: Sellable, position: number, index: number, changed: Set<Sellable>): void {
  if (isAfter({ position, index }, record)) {
    record.position = position;
    record.index = index;
  }
  record.json = undefined;
  // A later change of the same batch moves it behind the others: the set is in the order of the places.
  changed.delete(record);
  changed.add(record);
}

function sellableQuantity({ listing, quantity_in_stock }: Sellable): number {
  return listing.listed ? quantity_in_stock : 0;
}

/** The record as JSON, open for what is added at its end; kept until the record changes. */
export function openJson(record: Sellable): string {
  record.json ??= JSON.stringify({
    store_id: record.store_id,
    sku: record.listing.sku,
    quantity_available: sellableQuantity(record),
    version: record.version,
  }).slice(0, -1);
  return record.json;
}

export function rowOf(record: Sellable): AvailabilityRow {
  return {
    sku: record.listing.sku,
    store_id: record.store_id,
    quantity_available: record.quantity_in_stock,
    version: record.version,
    listed: record.listing.listed,
    listing_position: record.listing.position,
    position: record.position,
    event_index: record.index,
  };
}
