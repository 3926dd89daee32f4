import { setTimeout as sleep } from "node:timers/promises";
import { type Transaction, transact } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import { about } from "../../telemetry/about.ts";
import { Complaint } from "../../telemetry/complaint.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Tracer } from "../../telemetry/tracer.ts";
import type { AfterCommit, BusEvent, Subscription } from "../port.ts";
import { describe, mayPass, runAfterCommit, share } from "./delivery.ts";
import type { BusMetrics } from "./metrics.ts";
import { ParkedEvents } from "./parked.ts";
import { Reached } from "./reached.ts";
import { commitWithoutWaiting, type GroupStatements, groupStatements } from "./statements.ts";
import { Suspicion } from "./suspicion.ts";
import { isSame, nameOf, type Place, type Tail } from "./tail.ts";

export interface ConsumerOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: BusMetrics;
  /**
   * Whether the group's work is divided among its processes, each with partitions of its own: then they wait for each
   * other where they meet. Otherwise whoever has the cursors does it all, and the others pass.
   */
  readonly divides: boolean;
  readonly onProgress: () => void;
  /** Pauses before an event that failed is tried again; after the last one it is given up on. */
  readonly retryDelaysMs: readonly number[];
}

interface CursorRow extends Place {
  readonly topic: string;
  readonly partition: number;
  readonly tx: string;
}

/** Some of the next events, and how many of each tail they are. */
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
  /** Those of this run; what is added and taken meanwhile counts from the next one on. */
  private inHand: readonly Tail[] = [];
  private assigned: readonly Tail[] = [];
  private readonly parked: ParkedEvents;
  private readonly suspicion = new Suspicion();
  private readonly reached = new Reached();
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
  private isStarted = false;
  private wanted = false;
  private failures = 0;
  private readonly complaint: Complaint;
  private readonly stopping = new AbortController();

  constructor(subscription: Subscription, options: ConsumerOptions) {
    const { group, topics } = subscription;
    this.subscription = subscription;
    this.options = options;
    this.statements = groupStatements(group);
    this.topics = Object.keys(topics);
    this.complaint = new Complaint(options.logger);
    this.parked = new ParkedEvents({
      ...options,
      subscription,
      statements: this.statements,
      lock: (tx) => this.lockGroup(tx),
      onDue: () => this.wake(),
    });
  }

  get tails(): readonly Tail[] {
    return this.assigned;
  }

  start(): void {
    this.isStarted = true;
    this.wake();
  }

  /** What there is to read from now on. */
  assign(tails: readonly Tail[]): void {
    this.assigned = tails;
    this.wake();
  }

  wake(): void {
    this.wanted = true;
    // In a microtask: a run that finds nothing to wait for would be over before it is known to be running.
    if (this.isStarted && !this.stopping.signal.aborted)
      this.running ??= Promise.resolve().then(() => this.run());
  }

  /** Somebody else may have moved the cursors. */
  doubt(): void {
    this.isSure = false;
    this.wake();
  }

  /** What the database says: where the cursors stand, and when the next parked event is due. */
  compare(places: ReadonlyMap<string, Place>, dueInMs: number | null): void {
    if (dueInMs !== null) this.parked.expect(dueInMs);
    if (this.inHand.some((tail) => !isSame(places.get(nameOf(tail)), tail.place))) {
      this.doubt();
    } else if (this.inHand.some(({ isAhead }) => isAhead)) {
      this.wantsSave = true;
      this.wake();
    } else if (this.isBehind) {
      // Somebody else had the cursors, and has done nothing with them.
      this.wake();
    }
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.parked.stop();
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.wanted && !this.stopping.signal.aborted) {
      this.wanted = false;
      if (this.inHand !== this.assigned) this.take(this.assigned);
      try {
        if (this.parked.isDue && (await this.parked.retry())) this.wanted = true;
        this.skim();
        if (this.isBehind && (await this.pass()) && this.isBehind) this.wanted = true;
        this.failures = 0;
        this.complaint.over();
      } catch (error) {
        await this.cope(error);
        this.wanted = true;
      }
    }
    this.running = undefined;
  }

  private take(tails: readonly Tail[]): void {
    this.inHand = tails;
    this.isOpen = false;
    this.isSure = false;
    this.suspicion.clear();
  }

  private get isBehind(): boolean {
    if (this.inHand.length === 0) return false;
    return !this.isSure || this.wantsSave || this.inHand.some(({ isBehind }) => isBehind);
  }

  private skim(): void {
    if (!this.isSure) return;
    for (const tail of this.inHand) tail.skim();
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
    const [waiting, free] = split(batch.events, ({ key }) => parkedKeys.has(key));
    this.parked.putBehind(tx, waiting);
    if (free.length === 0) return;
    const condemned = this.suspicion.condemns(free);
    if (condemned !== undefined) return this.parked.park(tx, free[0]!, condemned.error);
    const trace = this.options.tracer.begin(free, (event) => describe(group, event));
    delivery.trace = trace;
    delivery.handled = trace.items;
    delivery.afterCommit = await this.subscription.handle(tx, delivery.handled);
  }

  private conclude(batch: Batch, { handled, afterCommit }: Delivery): void {
    const { metrics, onProgress } = this.options;
    const repeated = this.repeated(batch);
    for (const [i, tail] of this.inHand.entries()) tail.advance(batch.counts[i]!);
    this.reached.note(this.inHand);
    this.suspicion.settled();
    metrics.handled(
      this.subscription.group,
      handled.filter(({ id }) => !repeated.has(id)),
    );
    runAfterCommit(afterCommit, this.options.logger);
    onProgress();
  }

  /** The ids of the events that have been handled before. */
  private repeated({ events, counts }: Batch): ReadonlySet<string> {
    let end = 0;
    const ids = this.inHand.flatMap((tail, i) => {
      const start = end;
      end += counts[i]!;
      return this.reached.repeated(tail, events.slice(start, end)).map(({ id }) => id);
    });
    return new Set(ids);
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

    const places = new Map(cursors.map((cursor) => [nameOf(cursor), cursor]));
    const resumed = this.inHand.map((tail) => tail.resume(places.get(nameOf(tail))!));
    const isRight = fetched !== undefined && resumed.every(Boolean);
    if (!resumed.every(Boolean)) this.suspicion.clear();
    this.reached.note(this.inHand);
    const rows = isRight ? fetched : await this.readOn(tx);
    for (const [i, tail] of this.inHand.entries()) tail.accept(rows[i]);
    this.txId = cursors[0]!.tx;
    return new Set(parked.map(({ key }) => key));
  }

  /**
   * The cursors of all our tails, or none: with some of them two processes would handle events of one key at once. Where
   * the work is divided, somebody else may have ours only for as long as he needs to finish what he had begun.
   */
  private async lock(tx: Transaction): Promise<CursorRow[]> {
    const { statements, options, inHand: tails } = this;
    const keys = [tails.map(({ topic }) => topic), tails.map(({ partition }) => partition)];
    if (!this.isOpen) this.open(tx, keys);
    const cursors = await tx.read<CursorRow>(options.divides ? statements.await : statements.lock, keys);
    this.isOpen = cursors.length === tails.length;
    return this.isOpen ? cursors : [];
  }

  private open(tx: Transaction, keys: unknown[]): void {
    tx.write(this.statements.open, keys);
    if (this.options.divides) return;
    tx.write(this.statements.unite, [this.topics]);
    tx.write(this.statements.closeOthers, [this.topics]);
  }

  /** The right to the group's dead letters. False when another process has it. */
  private async lockGroup(tx: Transaction): Promise<boolean> {
    if (!this.options.divides) return (await this.lock(tx)).length > 0;
    await tx.read(this.statements.awaitAll);
    return true;
  }

  private readOn(tx: Transaction) {
    return Promise.all(this.inHand.map((tail) => tail.fetch(tx)));
  }

  private choose(limit: number): Batch {
    const counts = share(
      this.inHand.map(({ waiting }) => waiting),
      limit,
    );
    return { counts, events: this.inHand.flatMap((tail, i) => tail.events(counts[i]!)) };
  }

  private move(tx: Transaction, { events, counts }: Batch): void {
    const places = this.inHand.map((tail, i) => ({ tail, place: tail.placeAfter(counts[i]!) }));
    const moved = places.filter(({ tail, place }) => !isSame(tail.place, place));
    if (events.length === 0) tx.write(commitWithoutWaiting, []);
    if (moved.length === 0) return;
    const [first] = moved;
    const { topic, partition } = first!.tail;
    tx.proveBy(this.txId, this.statements.moved, [
      topic,
      partition,
      first!.place.position,
      first!.place.index,
    ]);
    tx.write(this.statements.move, [
      moved.map(({ tail }) => tail.topic),
      moved.map(({ tail }) => tail.partition),
      moved.map(({ place }) => place.position),
      moved.map(({ place }) => place.index),
      moved.map(({ place }) => place.offset),
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
    this.complaint.warn({ err: error, group }, "the consumer could not go on; trying again");
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** this.failures++);
    await sleep(pauseMs * (0.5 + Math.random() / 2), undefined, { signal: this.stopping.signal }).catch(
      () => {},
    );
  }
}

function split<Item>(items: readonly Item[], test: (item: Item) => boolean): [Item[], Item[]] {
  const [yes, no]: [Item[], Item[]] = [[], []];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
