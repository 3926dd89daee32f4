import { type Transaction, transact } from "../../batch/transaction.ts";
import { about } from "../../telemetry/about.ts";
import type { AfterCommit, BusEvent, Subscription } from "../port.ts";
import type { ConsumerOptions } from "./consumer.ts";
import { describe, mayPass, runAfterCommit } from "./delivery.ts";
import type { GroupStatements } from "./statements.ts";

interface ParkedOptions extends ConsumerOptions {
  readonly subscription: Subscription;
  readonly statements: GroupStatements;
  /** Takes the group's cursors, and with them the right to its dead letters. False when another process has them. */
  readonly lock: (tx: Transaction) => Promise<boolean>;
  readonly onDue: () => void;
}

interface ParkedRow {
  readonly id: number;
  readonly attempts: number;
  readonly event: BusEvent;
}

/** One of them tried again, or several at once. */
interface Round {
  isOurs: boolean;
  rows: readonly ParkedRow[];
  nextDueInMs: number | null;
  trace?: { end(error?: unknown): void };
  afterCommit?: AfterCommit | undefined;
}

const eventsAtOnce = 100;
/** Before the next try, when the last one failed for a reason that will pass. */
const pauseMs = 1_000;
const tellAgainMs = 20;
const longestTimerMs = 2 ** 31 - 1;

/** The events of a group that have failed: kept, tried again when their time has come, given up on in the end. */
export class ParkedEvents {
  isDue = false;
  private readonly options: ParkedOptions;
  /** Somebody has told of one while we tried. */
  private isToldAgain = false;
  private timer: NodeJS.Timeout | undefined;
  private timerEndsAt = Number.POSITIVE_INFINITY;
  /** After a batch of them has failed, so many are tried one by one. */
  private single = 0;

  constructor(options: ParkedOptions) {
    this.options = options;
  }

  /** One of them is due then. */
  expect(inMs: number): void {
    if (this.isDue) this.isToldAgain = true;
    const endsAt = performance.now() + Math.max(0, inMs);
    if (endsAt >= this.timerEndsAt || this.isDue) return;
    clearTimeout(this.timer);
    this.timerEndsAt = endsAt;
    this.timer = setTimeout(
      () => {
        this.timerEndsAt = Number.POSITIVE_INFINITY;
        this.isDue = true;
        this.options.onDue();
      },
      Math.min(longestTimerMs, Math.max(0, inMs)),
    ).unref();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  /** They wait for an earlier event of their key. */
  putBehind(tx: Transaction, events: readonly BusEvent[]): void {
    if (events.length === 0) return;
    this.insert(tx, events, "waiting", "waits for an earlier event of its key", 0, undefined);
  }

  /** It has failed, alone and again and again. */
  park(tx: Transaction, event: BusEvent, error: unknown): void {
    const [delayMs] = this.options.retryDelaysMs;
    this.log(event, error, 1, delayMs);
    this.insert(tx, [event], delayMs === undefined ? "dead" : "retrying", wordsOf(error), 1, delayMs);
    if (delayMs !== undefined) this.expect(delayMs);
  }

  private insert(
    tx: Transaction,
    events: readonly BusEvent[],
    status: string,
    error: string,
    attempts: number,
    delayMs: number | undefined,
  ): void {
    tx.write(this.options.statements.park, [
      events.map(({ id }) => id),
      events.map(({ topic }) => topic),
      events.map(({ key }) => key),
      events.map((event) => JSON.stringify(event)),
      status,
      error,
      attempts,
      delayMs ?? null,
    ]);
  }

  /** Tries those again that are due. True when there may be more of them. */
  async retry(): Promise<boolean> {
    const round: Round = { isOurs: false, rows: [], nextDueInMs: null };
    this.isToldAgain = false;
    try {
      await transact(this.options.pool, (tx) => this.deliver(tx, round));
    } catch (error) {
      if (round.rows.length === 1) round.trace?.end(error);
      if (round.rows.length === 0) throw error;
      return this.failed(round.rows, error);
    }
    round.trace?.end();
    this.isDue = false;
    if (!round.isOurs) {
      // Whoever has the cursors sees to it, unless it was he who told, and does no more.
      if (this.isToldAgain) this.expect(tellAgainMs);
      return false;
    }
    this.single = Math.max(0, this.single - round.rows.length);
    if (round.nextDueInMs !== null) this.expect(round.nextDueInMs);
    runAfterCommit(round.afterCommit, this.options.logger);
    return false;
  }

  private async deliver(tx: Transaction, round: Round): Promise<void> {
    const { statements, subscription, tracer } = this.options;
    round.isOurs = await this.options.lock(tx);
    if (!round.isOurs) return;
    const limit = this.single > 0 ? 1 : eventsAtOnce;
    round.rows = (await tx.read<ParkedRow>(statements.due, [limit])).map(revive);
    if (round.rows.length > 0) {
      const events = round.rows.map(({ event }) => event);
      const trace = tracer.begin(events, (event) => describe(subscription.group, event));
      round.trace = trace;
      round.afterCommit = await subscription.handle(tx, trace.items);
      tx.write(statements.settle, [round.rows.map(({ id }) => id)]);
      tx.write(statements.proceed, [events.map(({ key }) => key)]);
    }
    const [next] = await tx.read<{ due_in_ms: number | null }>(statements.nextDue);
    round.nextDueInMs = next!.due_in_ms;
  }

  private async failed(rows: readonly ParkedRow[], error: unknown): Promise<boolean> {
    if (mayPass(error)) {
      this.isDue = false;
      this.expect(pauseMs);
      return false;
    }
    if (rows.length > 1) {
      this.single = rows.length;
      return true;
    }
    const [{ id, event, attempts }] = rows as [ParkedRow];
    const delayMs = this.options.retryDelaysMs[attempts];
    await transact(this.options.pool, async (tx) => {
      if (!(await this.options.lock(tx))) return;
      tx.write(this.options.statements.failedAgain, [id, attempts + 1, wordsOf(error), delayMs ?? null]);
    });
    this.single = Math.max(0, this.single - 1);
    this.log(event, error, attempts + 1, delayMs);
    return true;
  }

  private log(event: BusEvent, error: unknown, attempts: number, delayMs: number | undefined): void {
    const { logger, subscription } = this.options;
    const { id, type, key } = event;
    const { group } = subscription;
    const context = { err: error, group, event_id: id, type, key, ...about(event), attempts };
    if (delayMs === undefined) logger.error(context, "an event could not be handled and was given up on");
    else
      logger.error(
        { ...context, next_try_in_ms: delayMs },
        "an event could not be handled and was set aside",
      );
  }
}

function revive(row: ParkedRow): ParkedRow {
  return { ...row, event: { ...row.event, at: new Date(row.event.at) } };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
