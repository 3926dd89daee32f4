import { InfrastructureError } from "../../platform/errors.ts";
import { Degraded } from "../../platform/http/health.ts";
import type { Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { Logger } from "../../platform/telemetry/logger.ts";
import type { Registry } from "../../platform/telemetry/metrics.ts";
import { Availability, openJson, type Place, type Sellable } from "./availability.ts";
import type { StorefrontSettings } from "./contract.ts";
import { LogTail, type LogTailOptions } from "./handle.ts";
import { type StorefrontMetrics, storefrontMetrics } from "./metrics.ts";
import { type Stream, type StreamFilter, Streams } from "./stream.ts";

export interface StorefrontOptions {
  /** For saving. */
  readonly pool: Pool;
  /** For following the log. */
  readonly reads: Pool;
  readonly settings: StorefrontSettings;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly follows: LogTailOptions["follows"];
  readonly watch: LogTailOptions["watch"];
  readonly copyAgeMs?: LogTailOptions["copyAgeMs"];
}

/** Streams are written to so often at most, however fast the stock moves. */
const notifyEveryMs = 50;
const beatEveryMs = 15_000;
/**
 * What is promised; an answer that is older is still given, but the process says that it is not well. Where a broker
 * brings the events another process could do no better, so nobody is sent away for that.
 */
const oldestMs = 30_000;

/** What can be sold, from memory. Each process follows the inventory's log by itself. */
export class Storefront {
  private readonly availability = new Availability();
  private readonly streams: Streams;
  private readonly tail: LogTail;
  private readonly metrics: StorefrontMetrics;
  private readonly maxStreams: number;
  private readonly isCopy: boolean;
  private beats: NodeJS.Timeout | undefined;
  private notifying: NodeJS.Timeout | undefined;
  private ending = "";
  private endingOf = -1;

  constructor({ settings, registry, ...rest }: StorefrontOptions) {
    this.maxStreams = settings.max_streams;
    this.isCopy = rest.copyAgeMs !== undefined;
    this.streams = new Streams(this.availability, () => this.jsonEnding());
    this.metrics = storefrontMetrics(registry, {
      records: () => this.availability.size,
      streams: () => this.streams.size,
      ageSeconds: () => (this.isReady ? this.tail.ageMs / 1_000 : undefined),
    });
    this.tail = new LogTail({
      ...rest,
      database: readerOf(rest.reads),
      availability: this.availability,
      metrics: this.metrics,
      onChange: (records) => this.changed(records),
    });
  }

  start(): void {
    this.tail.start();
    this.beats = setInterval(() => this.streams.beat(), beatEveryMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.beats);
    this.endStreams();
    await this.tail.stop();
    clearTimeout(this.notifying);
  }

  /** What was written at that time is known here now; the clocks of two machines may differ. */
  synced(at: Date): void {
    this.metrics.synced(Math.max(0, Date.now() - at.getTime()) / 1_000);
  }

  /** False while the log is read for the first time: until then what would be answered is not whole. */
  get isReady(): boolean {
    return this.tail.isReady;
  }

  /** The answer as JSON, made by hand: this is asked more often than anything else. No database is touched. */
  answer(skus: Iterable<string>, store_id: string | undefined): string {
    const ending = this.jsonEnding();
    let items = "";
    for (const sku of skus) {
      for (let record = this.availability.find(sku); record !== undefined; record = record.next) {
        if (store_id !== undefined && record.store_id !== store_id) continue;
        items += items === "" ? openJson(record) : `,${openJson(record)}`;
        items += ending;
      }
    }
    return `{"age_ms":${this.tail.ageMs},"items":[${items}]}`;
  }

  /** Undefined when there are too many. */
  watch(filter: StreamFilter, since: Place | undefined, on: Stream["on"]): Stream | undefined {
    return this.streams.size >= this.maxStreams ? undefined : this.streams.watch(filter, since, on);
  }

  endStreams(): void {
    this.streams.end();
  }

  /** Resolves once the log has been followed up to this position, in this process. */
  reached(position: number, timeoutMs?: number): Promise<boolean> {
    return this.tail.reached(position, timeoutMs);
  }

  /** How the service is, for whoever asks for its health. */
  health(): { as_of: string; age_ms: number; position: number } | Degraded {
    if (!this.isReady) {
      throw new InfrastructureError("storefront.not_ready", "the log is still being read", {
        retryable: true,
      });
    }
    const { ageMs: age_ms, asOfMs, position } = this.tail;
    const health = { as_of: new Date(asOfMs).toISOString(), age_ms, position };
    if (age_ms > oldestMs && this.isCopy) return new Degraded(health);
    if (age_ms > oldestMs) {
      throw new InfrastructureError("storefront.stale", `the availability is ${age_ms} ms old`, {
        retryable: true,
      });
    }
    return health;
  }

  /** Made anew when the time has moved on, not for each record. */
  private jsonEnding(): string {
    const { asOfMs } = this.tail;
    if (asOfMs !== this.endingOf) {
      this.endingOf = asOfMs;
      this.ending = `,"as_of":"${new Date(asOfMs).toISOString()}"}`;
    }
    return this.ending;
  }

  private changed(records: Iterable<Sellable>): void {
    if (this.streams.size === 0) return;
    this.streams.changed(records);
    this.notifying ??= setTimeout(() => {
      this.notifying = undefined;
      this.streams.notify();
    }, notifyEveryMs).unref();
  }
}
