import { randomUUID } from "node:crypto";
import pg from "pg";
import type { Appended } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import type { Logger } from "../../telemetry/logger.ts";

const channel = "holdfast_log";
// NOTIFY takes a lock on the whole database at its commit, so what comes close together travels together.
const gatherMs = 5;
const longestPauseMs = 5_000;

interface Signal {
  readonly from: string;
  readonly appended: readonly (readonly [topic: string, position: number])[];
  /** Groups whose cursors or dead letters were changed by hand. */
  readonly groups: readonly string[];
}

export interface SignalOptions {
  readonly url: string;
  /** For sending; never the connection of a write, whose commit would queue for the lock. */
  readonly pool: Pool;
  readonly logger: Logger;
  readonly onAppended: (appended: Appended) => void;
  readonly onGroups: (groups: readonly string[]) => void;
  /** Listens again after a gap, in which anything may have happened. */
  readonly onGap: () => void;
}

/** Tells the other processes on this database what has happened, and hears it from them. */
export class Signals {
  private readonly options: SignalOptions;
  private readonly ownId = randomUUID();
  private readonly appended = new Map<string, number>();
  private readonly groups = new Set<string>();
  private sending: NodeJS.Timeout | undefined;
  private listener: pg.Client | undefined;
  private reconnecting: NodeJS.Timeout | undefined;
  private failures = 0;
  private stopped = false;

  constructor(options: SignalOptions) {
    this.options = options;
  }

  async start(): Promise<void> {
    const { url, logger } = this.options;
    const client = new pg.Client({
      connectionString: url,
      application_name: "holdfast bus listener",
      keepAlive: true,
    });
    this.listener = client;
    client.on("error", () => {}); // "end" follows
    client.on("end", () => this.listenAgain());
    client.on("notification", ({ payload }) => this.hear(payload ?? ""));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      this.failures = 0;
      this.options.onGap();
    } catch (error) {
      if (!this.stopped)
        logger.warn({ err: error }, "the bus cannot listen to other processes; trying again");
      await client.end().catch(() => {});
      this.listenAgain();
    }
  }

  tellAppended(appended: Appended): void {
    for (const [topic, position] of appended) this.appended.set(topic, position);
    this.gather();
  }

  tellGroups(groups: readonly string[]): void {
    for (const group of groups) this.groups.add(group);
    this.gather();
  }

  async stop(): Promise<void> {
    clearTimeout(this.sending);
    await this.send();
    this.stopped = true;
    clearTimeout(this.reconnecting);
    await this.listener?.end().catch(() => {});
  }

  private gather(): void {
    this.sending ??= setTimeout(() => void this.send(), gatherMs).unref();
  }

  private async send(): Promise<void> {
    this.sending = undefined;
    if (this.appended.size + this.groups.size === 0 || this.stopped) return;
    const signal: Signal = { from: this.ownId, appended: [...this.appended], groups: [...this.groups] };
    this.appended.clear();
    this.groups.clear();
    try {
      await this.options.pool.query({ ...notify, values: [channel, JSON.stringify(signal)] });
    } catch (error) {
      this.options.logger.warn(
        { err: error },
        "other processes could not be woken; they will look by themselves",
      );
    }
  }

  private hear(payload: string): void {
    const signal = signalIn(payload);
    if (signal === undefined) {
      this.options.onGap();
      return;
    }
    const { from, appended, groups } = signal;
    if (from === this.ownId) return;
    if (appended.length > 0) this.options.onAppended(new Map(appended));
    if (groups.length > 0) this.options.onGroups(groups);
  }

  private listenAgain(): void {
    if (this.stopped || this.reconnecting !== undefined) return;
    const pauseMs = Math.min(longestPauseMs, 50 * 2 ** this.failures++);
    this.reconnecting = setTimeout(() => {
      this.reconnecting = undefined;
      void this.start();
    }, pauseMs).unref();
  }
}

/** Undefined when it is none of ours: whoever may connect may notify, with whatever he likes. */
function signalIn(payload: string): Signal | undefined {
  try {
    const { from, appended, groups } = JSON.parse(payload);
    if (appended.every(Array.isArray) && Array.isArray(groups)) return { from, appended, groups };
  } catch {}
  return undefined;
}

// Nothing is lost for good when a crash swallows it, so its commit does not wait for the disk.
const notify = {
  name: "bus_notify",
  text: "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
};
