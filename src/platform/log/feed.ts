import type { Reader } from "../postgres/statement.ts";
import type { EventRecord } from "./append.ts";
import { droppedUpTo, type LogBatch, readLog } from "./read.ts";

/** The next event to look at: the one at `index` of the batch at this position, or whatever follows it. */
export interface FeedPlace {
  readonly position: number;
  readonly index: number;
}

export interface FeedEvent {
  readonly schema: string;
  readonly position: number;
  readonly index: number;
  readonly at: Date;
  readonly event: EventRecord;
}

export const feedStart: FeedPlace = { position: 0, index: 0 };

/** What follows this place was dropped: whoever went on from here would miss events without noticing. */
export class BeforeHorizon extends Error {
  readonly schema: string;

  constructor(schema: string) {
    super(`what followed in the log of ${schema} was dropped`);
    this.schema = schema;
  }
}

const batchesAtOnce = 10;
/** Per call and log: a filter that nothing matches must not read a log of years in one request. */
const pagesPerCall = 50;

/**
 * The events of several logs as one list, by time; within each log in its own order. Ends early when one of the logs has
 * been read as far as one call may: the places say where to go on.
 */
export async function readFeed(
  database: Reader,
  places: ReadonlyMap<string, FeedPlace>,
  isWanted: (event: EventRecord) => boolean,
  limit: number,
): Promise<{ events: FeedEvent[]; places: Map<string, FeedPlace> }> {
  const tails = [...places].map(([schema, place]) => new LogTail(database, schema, place));
  const events: FeedEvent[] = [];
  while (events.length < limit) {
    for (const tail of tails) await tail.fill();
    // A log that still has events, of which we do not know the next one, could be the one whose turn it is.
    if (tails.some((tail) => tail.isExhausted)) break;
    const next = tails.filter((tail) => tail.head !== undefined).sort(byTime)[0];
    if (next === undefined) break;
    const event = next.take();
    if (isWanted(event.event)) events.push(event);
  }
  return { events, places: new Map(tails.map((tail) => [tail.schema, tail.place])) };
}

function byTime(a: LogTail, b: LogTail): number {
  return a.head!.at.getTime() - b.head!.at.getTime();
}

/** One log from a place onwards, read a page at a time. */
class LogTail {
  readonly schema: string;
  place: FeedPlace;
  private readonly database: Reader;
  private batches: LogBatch[] = [];
  private pages = 0;
  private hasMore = true;

  constructor(database: Reader, schema: string, place: FeedPlace) {
    this.database = database;
    this.schema = schema;
    this.place = place;
  }

  get head(): LogBatch | undefined {
    return this.batches[0];
  }

  get isExhausted(): boolean {
    return this.head === undefined && this.hasMore;
  }

  async fill(): Promise<void> {
    if (!this.isExhausted || this.pages === pagesPerCall) return;
    this.pages++;
    this.batches = await this.read();
    this.hasMore = this.batches.length === batchesAtOnce;
    if (this.head?.position !== this.place.position) this.place = { ...this.place, index: 0 };
    // A place that we have never given out.
    else if (this.place.index >= this.head.events.length) this.leave(this.head);
  }

  /** From the horizon on, without what the log before it has come to: the feed tells what happened. */
  private async read(): Promise<LogBatch[]> {
    for (;;) {
      const after = Math.max(this.place.position - 1, 0);
      const batches = await readLog(this.database, this.schema, after, batchesAtOnce);
      // Asked afterwards: what was dropped by now may have been missing already.
      const horizon = await droppedUpTo(this.database, this.schema);
      if (horizon <= after) return batches;
      if (this.place.position !== feedStart.position) throw new BeforeHorizon(this.schema);
      this.place = { position: horizon + 1, index: 0 };
    }
  }

  take(): FeedEvent {
    const { position, at, events } = this.head!;
    const { index } = this.place;
    const event = events[index]!;
    if (index + 1 < events.length) {
      this.place = { position, index: index + 1 };
    } else {
      this.leave({ position });
    }
    return { schema: this.schema, position, index, at, event };
  }

  private leave({ position }: Pick<LogBatch, "position">): void {
    this.batches.shift();
    this.place = { position: position + 1, index: 0 };
  }
}
