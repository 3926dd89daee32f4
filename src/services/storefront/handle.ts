import { withCommas } from "../../kernel/number.ts";
import { transact } from "../../platform/batch/transaction.ts";
import { type LogBatch, readLog } from "../../platform/log/read.ts";
import type { Pool } from "../../platform/postgres/pool.ts";
import type { Reader } from "../../platform/postgres/statement.ts";
import { repeat } from "../../platform/repeat.ts";
import type { Logger } from "../../platform/telemetry/logger.ts";
import { type Availability, rowOf, type Sellable } from "./availability.ts";
import { statementsOf } from "./consumers/statements.ts";
import type { StorefrontMetrics } from "./metrics.ts";
import {
  type Followed,
  lockCursor,
  lookBehind,
  moveCursor,
  readCursor,
  readRows,
  saveRows,
} from "./store.ts";

export interface LogTailOptions {
  readonly pool: Pool;
  readonly database: Reader;
  readonly availability: Availability;
  readonly metrics: StorefrontMetrics;
  readonly logger: Logger;
  readonly follows: Followed;
  /** Calls `onGrown` when there is more of the log. */
  readonly watch: (topic: Followed, onGrown: () => void) => void;
  /**
   * How long ago, at most, everything was in our copy that the inventory had written: undefined while that cannot be
   * told. Absent where the log itself is followed.
   */
  readonly copyAgeMs?: (() => Promise<number | undefined>) | undefined;
  readonly onChange: (records: Iterable<Sellable>) => void;
}

const batchesAtOnce = 20;
const pollMs = 500;
/** Under load every commit wakes us: one look at the log serves all that came in the meantime. */
const restMs = 20;
const saveEveryMs = 5_000;
const rowsPerTransaction = 10_000;
const tellEveryMs = 5_000;
const askCopyEveryMs = 250;

/** Keeps the memory of this process up to date with the inventory's log, and the table with the memory. */
export class LogTail {
  private readonly options: LogTailOptions;
  private readonly saver = repeat(saveEveryMs, () => this.trySave());
  private readonly waiting = new Set<() => void>();
  private running: Promise<void> | undefined;
  private wake: () => void = () => {};
  private isWoken = false;
  private isStopped = false;
  private isLoaded = false;
  private failures = 0;

  /** Everything up to here has been applied, since the last time that the operator wanted it to be read again. */
  private cursor = 0;
  private highest = 0;
  /** Where the saved cursor stood when it was seen last. */
  private savedCursor = 0;
  private unsaved = new Set<Sellable>();

  isReady = false;
  /** On the database's clock: everything that was committed by then has been applied. */
  asOfMs = 0;
  /** The same moment on the clock of this process, which cannot be set. */
  private asOfHere = 0;
  private copiedTo: number | undefined;
  private copyAskedAt = Number.NEGATIVE_INFINITY;
  private events = 0;
  private toldAt = performance.now();

  constructor(options: LogTailOptions) {
    this.options = options;
  }

  get position(): number {
    return this.highest;
  }

  get ageMs(): number {
    return Math.max(0, Math.ceil(performance.now() - this.asOfHere));
  }

  start(): void {
    this.options.watch(this.options.follows, () => this.look());
    this.running = this.run();
    this.saver.start();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.look();
    await Promise.all([this.running, this.saver.stop()]);
    await this.trySave();
    for (const tell of this.waiting) tell();
  }

  async reached(position: number, timeoutMs = 2_000): Promise<boolean> {
    const giveUpAt = performance.now() + timeoutMs;
    while (this.highest < position) {
      const leftMs = giveUpAt - performance.now();
      if (this.isStopped || leftMs <= 0) return false;
      this.look();
      await this.progress(leftMs);
    }
    return true;
  }

  private progress(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const tell = () => {
        clearTimeout(timer);
        this.waiting.delete(tell);
        resolve();
      };
      const timer = setTimeout(tell, timeoutMs);
      this.waiting.add(tell);
    });
  }

  // ---- following ---------------------------------------------------------------------------------------------------

  private look(): void {
    this.isWoken = true;
    this.wake();
  }

  private async run(): Promise<void> {
    while (!this.isStopped) {
      this.isWoken = false;
      try {
        if (!this.isLoaded) await this.load();
        while (!this.isStopped && (await this.step()));
        this.failures = 0;
      } catch (error) {
        this.failures++;
        this.options.logger.warn({ err: error }, "the inventory's log could not be followed; trying again");
      }
      await this.rest(restMs * 2 ** Math.min(this.failures, 8));
      if (!this.isWoken) await this.rest(pollMs - restMs, true);
    }
  }

  private rest(ms: number, untilWoken = false): Promise<void> {
    if (this.isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.wake = () => {
        if (!untilWoken && !this.isStopped) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /**
   * The cursor first: rows that are saved in the meantime are then further than it, and what is read again changes
   * nothing.
   */
  private async load(): Promise<void> {
    const { database, availability, logger } = this.options;
    const cursor = await readCursor(database, this.options.follows);
    for await (const rows of readRows(database)) {
      for (const row of rows) availability.load(row);
      if (this.isStopped) return;
    }
    this.cursor = cursor;
    this.savedCursor = cursor;
    this.highest = cursor;
    this.isLoaded = true;
    if (availability.size > 0) logger.info(`availability: ${withCommas(availability.size)} records loaded`);
  }

  /** True when there may be more. */
  private async step(): Promise<boolean> {
    const { database, follows } = this.options;
    // Before the look at our copy, which then shows everything that had come into it by that time.
    const copiedTo = await this.askCopy();
    // A save that ends meanwhile moves the cursor on; what stood before was known before.
    const known = this.savedCursor;
    const askedAt = performance.now();
    const { now, has_more, cursor } = await lookBehind(database, follows, this.cursor);
    const saved = cursor ?? 0;
    if (saved < known) {
      this.readAgainFrom(saved);
      return true;
    }
    this.savedCursor = Math.max(this.savedCursor, saved);
    if (!has_more) {
      const here = this.isCopy ? copiedTo : askedAt;
      if (here !== undefined) {
        // Our copy's moment is before `now` by no more than this; with `askedAt` it could be told too late.
        const behindMs = this.isCopy ? performance.now() - here : 0;
        this.followedTo(now.getTime() - behindMs, here);
        this.ready();
      }
      return false;
    }
    const batches = await readLog(database, follows, this.cursor, batchesAtOnce);
    for (const batch of batches) this.apply(batch, now.getTime() - askedAt);
    const last = batches.at(-1);
    if (last !== undefined) {
      // When something came into a copy says nothing about when it was written.
      if (!this.isCopy) this.followedTo(last.at.getTime(), askedAt - (now.getTime() - last.at.getTime()));
      for (const tell of this.waiting) tell();
    }
    this.tellProgress();
    if (batches.length < batchesAtOnce && !this.isCopy) this.ready();
    // Nothing although there is something: an open transaction stands before it.
    return last !== undefined;
  }

  private get isCopy(): boolean {
    return this.options.copyAgeMs !== undefined;
  }

  /** The moment, on our clock, of which the copy is known to hold everything; undefined as long as it was never told. */
  private async askCopy(): Promise<number | undefined> {
    const now = performance.now();
    if (!this.isCopy || now - this.copyAskedAt < askCopyEveryMs) return this.copiedTo;
    this.copyAskedAt = now;
    const ageMs = await this.options.copyAgeMs!();
    if (ageMs !== undefined) this.copiedTo = Math.max(now - ageMs, this.copiedTo ?? Number.NEGATIVE_INFINITY);
    return this.copiedTo;
  }

  private apply({ position, at, events }: LogBatch, clockAhead: number): void {
    const { availability, metrics, onChange } = this.options;
    const changed = availability.apply(position, statementsOf(events), events.length - 1);
    for (const record of changed) this.unsaved.add(record);
    this.cursor = position;
    this.events += events.length;
    if (changed.size > 0) onChange(changed);
    if (position <= this.highest) return;
    this.highest = position;
    // What is read at a start says nothing about how fast we follow.
    if (this.isReady && changed.size > 0 && !this.isCopy) {
      metrics.synced(Math.max(0, performance.now() + clockAhead - at.getTime()) / 1_000);
    }
  }

  private followedTo(asOfMs: number, here: number): void {
    if (asOfMs < this.asOfMs) return;
    this.asOfMs = asOfMs;
    this.asOfHere = here;
  }

  /** Somebody has set the saved cursor back: what comes out of the log is to be saved again, changed or not. */
  private readAgainFrom(position: number): void {
    const { availability, logger } = this.options;
    logger.info(`availability: reading the log again from position ${withCommas(position)}`);
    this.cursor = Math.min(this.cursor, position);
    this.savedCursor = position;
    for (const record of availability.all()) if (record.position > position) this.unsaved.add(record);
  }

  private ready(): void {
    if (this.isReady) return;
    this.isReady = true;
    const { availability, logger } = this.options;
    logger.info(`availability: ready with ${withCommas(availability.size)} records`);
  }

  private tellProgress(): void {
    if (performance.now() - this.toldAt < tellEveryMs) return;
    this.toldAt = performance.now();
    if (!this.isReady) this.options.logger.info(`availability: ${withCommas(this.events)} events read`);
  }

  // ---- saving ------------------------------------------------------------------------------------------------------

  private async trySave(): Promise<void> {
    const { cursor, unsaved } = this;
    if (!this.isLoaded || (cursor <= this.savedCursor && unsaved.size === 0)) return;
    this.unsaved = new Set();
    try {
      await this.save([...unsaved], cursor);
    } catch (error) {
      for (const record of unsaved) this.unsaved.add(record);
      this.options.logger.warn({ err: error }, "the availability could not be saved; trying again");
    }
  }

  /**
   * The cursor moves with the last rows: those before it are further than it until then, and harmless. Rows that another
   * process has saved already are found to be the same.
   */
  private async save(records: readonly Sellable[], upTo: number): Promise<void> {
    for (let from = 0; ; from += rowsPerTransaction) {
      const isLast = from + rowsPerTransaction >= records.length;
      const saved = await transact(this.options.pool, async (tx) => {
        const cursor = await lockCursor(tx, this.options.follows);
        if (cursor < this.savedCursor) return undefined;
        saveRows(tx, records.slice(from, from + rowsPerTransaction).map(rowOf));
        if (!isLast || cursor >= upTo) return cursor;
        moveCursor(tx, this.options.follows, upTo);
        return upTo;
      });
      if (saved === undefined) {
        // It was set back: the next step sees it too, and reads again.
        for (const record of records) this.unsaved.add(record);
        return;
      }
      this.savedCursor = Math.max(this.savedCursor, saved);
      if (isLast) return;
    }
  }
}
