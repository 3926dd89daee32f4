import type { EventEmitter } from "node:events";
import { type Appended, appendedEvent } from "../../batch/transaction.ts";
import type { Pool } from "../../postgres/pool.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Carrier } from "../carrier.ts";
import type { Consumer } from "../group/consumer.ts";
import type { Progress } from "../group/progress.ts";
import { type CursorState, readCursors } from "../group/state.ts";
import { wishOf } from "../group/tail.ts";
import type { ConsumerState, ReplayStart } from "../port.ts";
import { Horizons } from "./horizons.ts";
import { isHandled, lagOf } from "./lag.ts";
import { LogTail } from "./log-tail.ts";
import { moveCursors } from "./replay.ts";

export interface LogCarrierOptions {
  /** The services write through it. */
  readonly pool: Pool;
  /** For questions, which must not queue behind the writes that they follow. */
  readonly ownPool: Pool;
  readonly logger: Logger;
  readonly progress: Progress;
  /** The log of this database is what the group follows, not what a broker has of it. */
  readonly isFollowed: (group: string, topic: string) => boolean;
  /** This process has appended. */
  readonly onAppended: (appended: Appended) => void;
}

const askAgainMs = 25;

/** Reads the topics where they are written: in the services' logs. */
export class LogCarrier implements Carrier {
  readonly divides = false;
  private readonly options: LogCarrierOptions;
  readonly consumers: Consumer[] = [];
  private readonly watchers = new Map<string, Set<() => void>>();
  private horizons: Horizons | undefined;
  private isStopped = false;

  constructor(options: LogCarrierOptions) {
    this.options = options;
  }

  attach(consumer: Consumer): void {
    this.consumers.push(consumer);
    const { topics, concerns } = consumer.subscription;
    const view = (topic: string) => ({
      horizon: () => this.horizons?.of(topic) ?? 0,
      recent: () => this.horizons?.recentOf(topic),
    });
    consumer.assign(
      Object.entries(topics).map(
        ([topic, types]) => new LogTail(topic, wishOf(types, concerns), view(topic)),
      ),
    );
  }

  watch(topic: string, onGrown: () => void): void {
    const others = this.watchers.get(topic) ?? new Set();
    this.watchers.set(topic, others.add(onGrown));
  }

  start(): void {
    const { ownPool, pool, logger } = this.options;
    const topics = new Set([
      ...this.consumers.flatMap((consumer) => consumer.topics),
      ...this.watchers.keys(),
    ]);
    const onError = (error: unknown) =>
      logger.warn({ err: error }, "the bus could not see how far the logs reach; trying again");
    this.horizons = new Horizons(ownPool, topics, (topic) => this.grown(topic), onError);
    (pool as EventEmitter).on(appendedEvent, this.appended);
    this.look();
  }

  /** Another process has appended. */
  tell(appended: Appended): void {
    this.horizons?.tell(appended);
  }

  look(): void {
    this.horizons?.look();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    (this.options.pool as EventEmitter).off(appendedEvent, this.appended);
    await this.horizons?.stop();
  }

  async reached(
    consumers: readonly Consumer[],
    topic: string,
    position: number,
    timeoutMs: number,
  ): Promise<boolean> {
    const { progress, ownPool } = this.options;
    const giveUpAt = performance.now() + timeoutMs;
    const isLate = (consumer: Consumer) =>
      consumer.tails.some(
        (tail) => tail instanceof LogTail && tail.topic === topic && tail.doneTo < position,
      );
    for (;;) {
      const late = consumers.filter(isLate);
      if (late.length === 0) return true;
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0 || this.isStopped) return false;
      const askAt = performance.now() + askAgainMs;
      await progress.next(Math.min(leftMs, askAgainMs));
      // Nothing has come of waiting: perhaps another process has done it.
      if (performance.now() < askAt || this.isStopped) continue;
      const groups = late.map(({ subscription }) => subscription.group);
      if (await isHandled(ownPool, groups, topic, position)) return true;
    }
  }

  async states(groups: readonly string[]): Promise<ConsumerState[]> {
    const { ownPool, isFollowed } = this.options;
    const isOurs = ({ group, topic }: CursorState) => isFollowed(group, topic);
    return lagOf(ownPool, (await readCursors(ownPool, groups)).filter(isOurs));
  }

  rewind(group: string, from: ReplayStart): Promise<number> {
    return moveCursors(this.options.pool, group, from, (topic) => this.options.isFollowed(group, topic));
  }

  private readonly appended = (appended: Appended) => {
    this.tell(appended);
    this.options.onAppended(appended);
  };

  private grown(topic: string): void {
    for (const consumer of this.consumers) if (consumer.topics.includes(topic)) consumer.wake();
    for (const tell of this.watchers.get(topic) ?? []) tell();
  }
}
