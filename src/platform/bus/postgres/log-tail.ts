import type { Reader, Statement } from "../../postgres/statement.ts";
import type { Place, Tail, Wish } from "../group/tail.ts";
import { start } from "../group/tail.ts";
import type { BusEvent } from "../port.ts";
import { type BusRow, busRow, type LogRow, rowsBehind } from "./log-row.ts";
import type { RecentRows } from "./recent.ts";

/** How far the topic's log reaches, and what this process has of it. */
export interface LogView {
  horizon(): number;
  recent(): RecentRows | undefined;
}

export interface Fetched {
  readonly rows: readonly BusRow[];
  /** Everything up to here has been looked at. */
  readonly readTo: number;
}

/** An event that is wanted: the one at `index` of the row at `position`. */
interface Entry {
  readonly event: BusEvent;
  readonly position: number;
  readonly index: number;
  /** No other one of its row is wanted. */
  readonly isLast: boolean;
}

const charactersAtOnce = 500_000;
const rowsAtOnce = 500;

/** A topic as its log tells it. */
export class LogTail implements Tail<Fetched> {
  readonly topic: string;
  readonly partition = 0;
  place: Place = start;
  private readTo = 0;
  private entries: Entry[] = [];
  private readonly read: Statement;
  private readonly view: LogView;
  private readonly wish: Wish;
  private readonly mention: RegExp;
  private limit = 20;

  constructor(topic: string, wish: Wish, view: LogView) {
    this.topic = topic;
    this.wish = wish;
    this.view = view;
    // Most rows of some logs hold nothing that is wanted: a look at the text spares parsing them.
    this.mention = new RegExp(wish.types === undefined ? "" : `"type":"(?:${wish.types.join("|")})"`);
    this.read = rowsBehind(topic);
  }

  get waiting(): number {
    return this.entries.length;
  }

  /** Every row up to here is done. */
  get doneTo(): number {
    return this.entries.length > 0 ? this.entries[0]!.position - 1 : this.readTo;
  }

  get isBehind(): boolean {
    return this.entries.length > 0 || this.readTo < this.view.horizon();
  }

  get isAhead(): boolean {
    return this.entries.length === 0 && this.readTo > this.place.position;
  }

  skim(): void {
    if (this.entries.length > 0 || this.place.index > 0) return;
    for (;;) {
      const known = this.view.recent()?.behind(this.readTo, this.limit);
      if (known === undefined || known.rows.some((row) => this.holdsWanted(row))) return;
      this.readTo = known.readTo;
    }
  }

  private holdsWanted(row: BusRow): boolean {
    return this.mention.test(row.events) && row.busEvents().some(this.wish.isWanted);
  }

  resume(place: Place): boolean {
    if (place.position === this.place.position && place.index === this.place.index) return true;
    this.place = place;
    this.readTo = place.position;
    this.entries = [];
    return false;
  }

  /** The next rows of the log, unless some that were read before still wait. */
  async fetch(database: Reader): Promise<Fetched | undefined> {
    const horizon = this.view.horizon();
    if (this.entries.length > 0 || this.readTo >= horizon) return undefined;
    const { limit, topic } = this;
    const known = this.view.recent()?.behind(this.readTo, limit);
    if (known !== undefined) return known;
    const rows = await database.read<LogRow>(this.read, [this.readTo, horizon, limit]);
    const readTo = rows.length < limit ? horizon : rows.at(-1)!.position;
    return { rows: rows.map((row) => busRow(topic, row)), readTo };
  }

  accept(fetched: Fetched | undefined): void {
    if (fetched === undefined) return;
    const { rows, readTo } = fetched;
    this.entries = [];
    let characters = 0;
    for (const row of rows) {
      this.take(row);
      characters += row.events.length;
    }
    this.readTo = readTo;
    const fitting = Math.floor((charactersAtOnce * rows.length) / Math.max(1, characters));
    if (rows.length > 0) this.limit = Math.min(rowsAtOnce, Math.max(1, fitting));
  }

  private take(row: BusRow): void {
    if (!this.mention.test(row.events)) return;
    const { position } = row;
    const events = row.busEvents();
    const done = position === this.place.position + 1 ? this.place.index : 0;
    let last = events.length - 1;
    while (last >= done && !this.wish.isWanted(events[last]!)) last--;
    for (let index = done; index <= last; index++) {
      const event = events[index]!;
      if (this.wish.isWanted(event)) this.entries.push({ event, position, index, isLast: index === last });
    }
  }

  events(count: number): BusEvent[] {
    return this.entries.slice(0, count).map(({ event }) => event);
  }

  placeAfter(count: number): Place {
    if (count === this.entries.length) {
      return this.readTo > this.place.position
        ? { position: this.readTo, index: 0, offset: null }
        : this.place;
    }
    if (count === 0) return this.place;
    const { position, index, isLast } = this.entries[count - 1]!;
    return isLast
      ? { position, index: 0, offset: null }
      : { position: position - 1, index: index + 1, offset: null };
  }

  advance(count: number): void {
    this.place = this.placeAfter(count);
    this.entries = this.entries.slice(count);
  }
}
