import { setTimeout as sleep } from "node:timers/promises";
import { type Transaction, transact } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import { about } from "../../telemetry/about.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Tracer } from "../../telemetry/tracer.ts";
import type { AfterCommit, BusEvent, Subscription } from "../port.ts";
import { describe, mayPass, runAfterCommit, share } from "./delivery.ts";
import type { BusMetrics } from "./metrics.ts";
import { ParkedEvents } from "./parked.ts";
import type { RecentRows } from "./recent.ts";
import { commitWithoutWaiting, type GroupStatements, groupStatements } from "./statements.ts";
import { Suspicion } from "./suspicion.ts";
import { type Place, Tail } from "./tail.ts";

export interface ConsumerOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: BusMetrics;
  readonly horizonOf: (topic: string) => number;
  readonly recentOf: (topic: string) => RecentRows | undefined;
  readonly onProgress: () => void;
  /** Pauses before an event that failed is tried again; after the last one it is given up on. */
  readonly retryDelaysMs: readonly number[];
}

interface CursorRow extends Place {
  readonly topic: string;
  readonly tx: string;
}

/** Some of the next events, and how many of each topic they are. */
interface Batch {
  readonly events: readonly BusEvent[];
  readonly counts: readonly number[];
}

/** What one transaction does. */
interface Delivery {
  batch?: Batch;
  handled: readonly BusEvent[];
  trace?: { end(error?: unknown): void };
  afterCommit?: AfterCommit | undefined;
}

const eventsAtOnce = 1_000;
const firstPauseMs = 10;
const longestPauseMs = 5_000;

/** One group's part in this process: one batch after the other, each in the transaction that moves the cursors. */
export class Consumer {
  readonly subscription: Subscription;
  private readonly options: ConsumerOptions;
  private readonly statements: GroupStatements;
  readonly topics: readonly string[];
  private readonly tails: Tail[];
  private readonly parked: ParkedEvents;
  private readonly suspicion = new Suspicion();
  /** The cursors' rows are there. */
  private isOpen = false;
  /** The cursors stand where we think, as far as we know. */
  private isSure = false;
  /** The cursors are to be moved behind what was passed over. */
  private wantsSave = false;
  /** The events of the transaction that has failed. */
  private suspects: readonly BusEvent[] = [];
  /** PostgreSQL's id of the transaction that has the cursors. */
  private txId = "";
  private running: Promise<void> | undefined;
  private wanted = false;
  private failures = 0;
  private readonly stopping = new AbortController();

  constructor(subscription: Subscription, options: ConsumerOptions) {
    const { group, topics, concerns } = subscription;
    this.subscription = subscription;
    this.options = options;
    this.statements = groupStatements(group);
    this.tails = Object.entries(topics).map(([topic, types]) => new Tail(topic, types, concerns));
    this.topics = this.tails.map(({ topic }) => topic);
    this.parked = new ParkedEvents({
      ...options,
      subscription,
      statements: this.statements,
      lock: async (tx) => (await this.lock(tx)).length > 0,
      onDue: () => this.wake(),
    });
  }

  wake(): void {
    this.wanted = true;
    // In a microtask: a run that finds nothing to wait for would be over before it is known to be running.
    if (!this.stopping.signal.aborted) this.running ??= Promise.resolve().then(() => this.run());
  }

  /** Somebody else may have moved the cursors. */
  doubt(): void {
    this.isSure = false;
    this.wake();
  }

  /** What the database says: where the cursors stand, and when the next parked event is due. */
  compare(places: ReadonlyMap<string, Place>, dueInMs: number | null): void {
    if (dueInMs !== null) this.parked.expect(dueInMs);
    const isMoved = ({ topic, place }: Tail) => {
      const found = places.get(topic);
      return found?.position !== place.position || found.index !== place.index;
    };
    if (this.tails.some(isMoved)) {
      this.doubt();
    } else if (this.tails.some(({ isAhead }) => isAhead)) {
      this.wantsSave = true;
      this.wake();
    }
  }

  hasReached(topic: string, position: number): boolean {
    return this.tails.every((tail) => tail.topic !== topic || tail.doneTo >= position);
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.parked.stop();
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.wanted && !this.stopping.signal.aborted) {
      this.wanted = false;
      try {
        if (this.parked.isDue && (await this.parked.retry())) this.wanted = true;
        this.skim();
        if (this.isBehind && (await this.pass()) && this.isBehind) this.wanted = true;
        this.failures = 0;
      } catch (error) {
        await this.cope(error);
        this.wanted = true;
      }
    }
    this.running = undefined;
  }

  private get isBehind(): boolean {
    const { horizonOf } = this.options;
    return !this.isSure || this.wantsSave || this.tails.some((tail) => tail.isBehind(horizonOf(tail.topic)));
  }

  private skim(): void {
    if (!this.isSure) return;
    for (const tail of this.tails) tail.skim(this.options.recentOf(tail.topic));
    this.options.onProgress();
  }

  // ---- one batch ---------------------------------------------------------------------------------------------------

  /** False when another process works for the group. */
  private async pass(): Promise<boolean> {
    const delivery: Delivery = { handled: [] };
    this.wantsSave = false;
    try {
      await transact(this.options.pool, async (tx) => {
        const parkedKeys = await this.lockAndRead(tx);
        if (parkedKeys !== undefined) await this.deliver(tx, parkedKeys, delivery);
      });
    } catch (error) {
      this.suspects = delivery.batch?.events ?? [];
      // Of many events it is not known whose fault it was; they will be tried again, as steps of their own.
      if (this.suspects.length === 1) delivery.trace?.end(error);
      throw error;
    }
    delivery.trace?.end();
    if (delivery.batch === undefined) return false;
    this.conclude(delivery.batch, delivery);
    return true;
  }

  private async deliver(tx: Transaction, parkedKeys: ReadonlySet<string>, delivery: Delivery): Promise<void> {
    const { group } = this.subscription;
    const batch = this.choose(this.suspicion.limit ?? eventsAtOnce);
    delivery.batch = batch;
    this.move(tx, batch);
    const [waiting, free] = partition(batch.events, ({ key }) => parkedKeys.has(key));
    this.parked.putBehind(tx, waiting);
    if (free.length === 0) return;
    const condemned = this.suspicion.condemns(free);
    if (condemned !== undefined) return this.parked.park(tx, free[0]!, condemned.error);
    const trace = this.options.tracer.begin(free, (event) => describe(group, event));
    delivery.trace = trace;
    delivery.handled = trace.items;
    delivery.afterCommit = await this.subscription.handle(tx, delivery.handled);
  }

  private conclude({ counts }: Batch, { handled, afterCommit }: Delivery): void {
    const { metrics, onProgress } = this.options;
    for (const [i, tail] of this.tails.entries()) tail.advance(counts[i]!);
    this.suspicion.settled();
    metrics.handled(this.subscription.group, handled);
    runAfterCommit(afterCommit, this.options.logger);
    onProgress();
  }

  /** Takes the cursors and, in the same round trip, reads on from where we think they are. Answers the parked keys. */
  private async lockAndRead(tx: Transaction): Promise<ReadonlySet<string> | undefined> {
    const { afterFailure } = this.subscription;
    const locking = this.lock(tx);
    const asking = afterFailure === "wait" ? tx.read<{ key: string }>(this.statements.parkedKeys) : [];
    const reading = this.isSure ? this.readOn(tx) : undefined;
    const [cursors, parked, fetched] = await Promise.all([locking, asking, reading]);
    this.isSure = cursors.length > 0;
    if (!this.isSure) return undefined;

    const places = new Map(cursors.map((cursor) => [cursor.topic, cursor]));
    const resumed = this.tails.map((tail) => tail.resume(places.get(tail.topic)!));
    const isRight = fetched !== undefined && resumed.every(Boolean);
    if (!resumed.every(Boolean)) this.suspicion.clear();
    const rows = isRight ? fetched : await this.readOn(tx);
    for (const [i, tail] of this.tails.entries()) tail.accept(rows[i]);
    this.txId = cursors[0]!.tx;
    return new Set(parked.map(({ key }) => key));
  }

  /** All of the cursors, or none: with some of them two processes would handle events of one key at once. */
  private async lock(tx: Transaction): Promise<CursorRow[]> {
    if (!this.isOpen) tx.write(this.statements.open, [this.topics]);
    const cursors = await tx.read<CursorRow>(this.statements.lock, [this.topics]);
    this.isOpen = cursors.length === this.topics.length;
    return this.isOpen ? cursors : [];
  }

  private readOn(tx: Transaction) {
    const { horizonOf, recentOf } = this.options;
    const fetch = (tail: Tail) => tail.fetch(tx, horizonOf(tail.topic), recentOf(tail.topic));
    return Promise.all(this.tails.map(fetch));
  }

  private choose(limit: number): Batch {
    const counts = share(
      this.tails.map(({ waiting }) => waiting),
      limit,
    );
    return { counts, events: this.tails.flatMap((tail, i) => tail.events(counts[i]!)) };
  }

  private move(tx: Transaction, { events, counts }: Batch): void {
    const places = this.tails.map((tail, i) => ({ topic: tail.topic, ...tail.placeAfter(counts[i]!) }));
    const moved = places.filter(({ position, index }, i) => {
      const { place } = this.tails[i]!;
      return position !== place.position || index !== place.index;
    });
    if (events.length === 0) tx.write(commitWithoutWaiting, []);
    if (moved.length === 0) return;
    const [{ topic, position, index }] = moved as [(typeof moved)[number]];
    tx.proveBy(this.txId, this.statements.moved, [topic, position, index]);
    tx.write(this.statements.move, [
      moved.map(({ topic }) => topic),
      moved.map(({ position }) => position),
      moved.map(({ index }) => index),
    ]);
  }

  // ---- failure -----------------------------------------------------------------------------------------------------

  private async cope(error: unknown): Promise<void> {
    const { logger } = this.options;
    const { group } = this.subscription;
    this.isSure = false;
    this.isOpen = false; // the rows may have been made in the transaction that has failed
    const { suspects } = this;
    this.suspects = [];
    const isAboutThem = !mayPass(error) && this.suspicion.condemns(suspects) === undefined;
    if (suspects.length > 0 && isAboutThem) {
      const [first] = suspects;
      const { id, key } = first!;
      // Of many events it is not known yet whose fault it was.
      const suspect = suspects.length === 1 ? about(first!) : {};
      const context = { err: error, group, events: suspects.length, event_id: id, key, ...suspect };
      logger.warn(context, "a batch of events could not be handled; looking for the one that is to blame");
      this.suspicion.failed(suspects, error);
      return;
    }
    logger.warn({ err: error, group }, "the consumer could not go on; trying again");
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** this.failures++);
    await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: this.stopping.signal }).catch(
      () => {},
    );
  }
}

function partition<Item>(items: readonly Item[], test: (item: Item) => boolean): [Item[], Item[]] {
  const [yes, no]: [Item[], Item[]] = [[], []];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
