import { type Availability, chain, isAfter, openJson, type Place, type Sellable } from "./availability.ts";

export interface StreamFilter {
  /** Absent: all. */
  readonly skus?: readonly string[];
  readonly store_id?: string;
}

/** Beyond it a stream does not remember what it has to send, but looks for it among all records. */
const maxPending = 2_000;
const chunkLength = 32_768;
const recordsAtOnce = 5_000;

/** The open streams, found by what they show: a change costs as much as it has watchers, however many there are. */
export class Streams {
  private readonly availability: Availability;
  private readonly ending: () => string;
  private readonly bySku = new Map<string, Set<Stream>>();
  private readonly byStore = new Map<string, Set<Stream>>();
  private readonly ofAll = new Set<Stream>();
  private readonly open = new Set<Stream>();
  private readonly behind = new Set<Stream>();

  /** `ending` is what every record's JSON ends with: the time up to which the log has been followed. */
  constructor(availability: Availability, ending: () => string) {
    this.availability = availability;
    this.ending = ending;
  }

  get size(): number {
    return this.open.size;
  }

  /** `news`: `take` has something again. `beat`: to be written unless something else is. `end`: the server stops. */
  watch(
    filter: StreamFilter,
    since: Place | undefined,
    on: { news: () => void; beat: () => void; end: () => void },
  ): Stream {
    const stream = new Stream(this.availability, this.ending, filter, since, on, () => this.forget(stream));
    this.open.add(stream);
    for (const [index, key] of this.shelvesOf(filter)) {
      const there = index.get(key);
      if (there === undefined) index.set(key, new Set([stream]));
      else there.add(stream);
    }
    if (filter.skus === undefined && filter.store_id === undefined) this.ofAll.add(stream);
    return stream;
  }

  changed(records: Iterable<Sellable>): void {
    if (this.open.size === 0) return;
    for (const record of records) {
      this.tell(this.bySku.get(record.listing.sku), record);
      this.tell(this.byStore.get(record.store_id), record);
      this.tell(this.ofAll, record);
    }
  }

  /** Wakes the streams that `changed` has given something; how often is for the caller to choose. */
  notify(): void {
    const streams = [...this.behind];
    this.behind.clear();
    for (const stream of streams) stream.on.news();
  }

  /** A sign of life, so that neither a proxy nor a client takes silence for a broken connection. */
  beat(): void {
    for (const stream of [...this.open]) stream.on.beat();
  }

  end(): void {
    for (const stream of [...this.open]) stream.on.end();
  }

  private tell(streams: ReadonlySet<Stream> | undefined, record: Sellable): void {
    if (streams === undefined) return;
    for (const stream of streams) if (stream.note(record)) this.behind.add(stream);
  }

  private forget(stream: Stream): void {
    this.open.delete(stream);
    this.behind.delete(stream);
    this.ofAll.delete(stream);
    for (const [index, key] of this.shelvesOf(stream.filter)) {
      const there = index.get(key);
      there?.delete(stream);
      if (there?.size === 0) index.delete(key);
    }
  }

  private shelvesOf({ skus, store_id }: StreamFilter): [Map<string, Set<Stream>>, string][] {
    if (skus !== undefined) return skus.map((sku) => [this.bySku, sku]);
    return store_id === undefined ? [] : [[this.byStore, store_id]];
  }
}

/**
 * One client's view. Nothing is written for a client that does not take it: kept is which records it has not seen, and
 * of those only the state of the moment is sent. An `id` says that everything up to this place has been sent.
 */
export class Stream {
  readonly filter: StreamFilter;
  readonly on: { readonly news: () => void; readonly beat: () => void; readonly end: () => void };
  readonly close: () => void;
  private readonly availability: Availability;
  private readonly ending: () => string;
  /** Everything up to this place has been sent; undefined when nothing has. */
  private since: Place | undefined;
  private scan: { readonly records: Iterator<Sellable>; readonly upTo: Place } | undefined;
  /** In the order of the places. */
  private readonly pending = new Set<Sellable>();
  private hasLostCount = false;

  constructor(
    availability: Availability,
    ending: () => string,
    filter: StreamFilter,
    since: Place | undefined,
    on: Stream["on"],
    close: () => void,
  ) {
    this.availability = availability;
    this.ending = ending;
    this.filter = filter;
    this.on = on;
    this.close = close;
    this.since = since;
    this.startScan();
  }

  /** Whether `take` has to be called again although it gave nothing. */
  get isSearching(): boolean {
    return this.scan !== undefined;
  }

  /** True when the record is one that it shows. */
  note(record: Sellable): boolean {
    const { store_id } = this.filter;
    if (store_id !== undefined && record.store_id !== store_id) return false;
    if (this.hasLostCount) return true;
    this.pending.delete(record);
    this.pending.add(record);
    if (this.pending.size > maxPending) {
      this.pending.clear();
      this.hasLostCount = true;
    }
    return true;
  }

  /** The next piece of what is to be sent; empty when the client is up to date, or when the search takes longer. */
  take(): string {
    if (this.scan === undefined && this.hasLostCount) this.startScan();
    return this.scan === undefined ? this.takePending() : this.takeScanned(this.scan);
  }

  private startScan(): void {
    const { skus } = this.filter;
    const records = skus === undefined ? this.availability.all() : recordsOf(this.availability, skus);
    this.scan = { records, upTo: this.availability.place };
    this.hasLostCount = false;
  }

  private takeScanned({ records, upTo }: NonNullable<typeof this.scan>): string {
    const { store_id } = this.filter;
    let text = "";
    for (let looked = 0; looked < recordsAtOnce && text.length < chunkLength; looked++) {
      const { value: record, done } = records.next();
      if (done) {
        this.scan = undefined;
        // Also when another process has sent more than this one knows: the states between are sent again then.
        this.since = upTo;
        // Without data it is no event, but whoever reads the stream remembers the place.
        return `${text}id: ${spell(upTo)}\n\n`;
      }
      if (store_id !== undefined && record.store_id !== store_id) continue;
      if (this.since === undefined || isAfter(record, this.since)) text += this.event(record);
    }
    return text;
  }

  private takePending(): string {
    let text = "";
    let last: Sellable | undefined;
    for (const record of this.pending) {
      if (last !== undefined && text.length >= chunkLength && isAfter(record, last)) break;
      // Only the last event of a place may name it: the others of the same place are not sent yet.
      if (last !== undefined) text += this.event(last, isAfter(record, last) ? last : undefined);
      last = record;
      this.pending.delete(record);
    }
    if (last === undefined) return "";
    this.since = { position: last.position, index: last.index };
    return text + this.event(last, last);
  }

  private event(record: Sellable, place?: Place): string {
    const id = place === undefined ? "" : `id: ${spell(place)}\n`;
    return `event: availability\n${id}data: ${openJson(record)}${this.ending()}\n\n`;
  }
}

function* recordsOf(availability: Availability, skus: readonly string[]): Generator<Sellable> {
  for (const sku of skus) yield* chain(availability.find(sku));
}

function spell({ position, index }: Place): string {
  return `${position}-${index}`;
}

/** Undefined for what no stream has ever sent. */
export function parsePlace(id: string): Place | undefined {
  const [, position, index] = /^(\d{1,15})-(\d{1,9})$/.exec(id) ?? [];
  return position === undefined ? undefined : { position: Number(position), index: Number(index) };
}
