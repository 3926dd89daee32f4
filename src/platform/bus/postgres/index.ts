import type { EventEmitter } from "node:events";
import { type Appended, appendedEvent } from "../../batch/transaction.ts";
import { createPool, type Pool } from "../../postgres/pool.ts";
import { repeat } from "../../repeat.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Registry } from "../../telemetry/metrics.ts";
import type { Tracer } from "../../telemetry/tracer.ts";
import type { Bus } from "../port.ts";
import { Consumer } from "./consumer.ts";
import { discardLetter, letters, retryLetter } from "./dead-letters.ts";
import { Horizons } from "./horizons.ts";
import { createBusMetrics } from "./metrics.ts";
import { Progress } from "./progress.ts";
import { Signals } from "./signals.ts";
import { consumerStates, groupStates, isHandled, moveCursors } from "./state.ts";

export interface PostgresBusOptions {
  /** The services write through it, and the groups work through it, with one connection each. */
  readonly pool: Pool;
  /** For connections of its own. */
  readonly url: string;
  /** All services that have a log, cursors and dead letters in this database, whether they run here or not. */
  readonly schemas: readonly string[];
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly registry: Registry;
  /** Pauses before an event that failed is tried again; after the last one it is given up on. */
  readonly retryDelaysMs?: readonly number[];
  /** How often to look for what nobody has told of. */
  readonly pollMs?: number;
}

const defaultRetryDelaysMs = [1_000, 5_000, 30_000, 120_000, 600_000];
const defaultPollMs = 500;
const askAgainMs = 25;

/** The bus on PostgreSQL alone: the topics are the services' logs, and each group's cursors stand in its schema. */
export function createPostgresBus(options: PostgresBusOptions): Bus {
  const { pool, url, schemas, logger } = options;
  const commits: EventEmitter = pool;
  // What wakes the groups must not queue behind the writes that it tells of.
  const ownPool = createPool(url, { max: 2, name: "holdfast bus" });
  const consumers = new Map<string, Consumer>();
  const watchers = new Map<string, Set<() => void>>();
  const progress = new Progress();
  const metrics = createBusMetrics(options.registry, logger, () => consumerStates(ownPool, schemas));
  let horizons: Horizons | undefined;
  let isStopped = false;

  const signals = new Signals({
    url,
    pool: ownPool,
    logger,
    onAppended: (appended) => horizons?.tell(appended),
    onGroups: (groups) => recheck(groups),
    onGap: () => void look(),
  });

  const onAppended = (appended: Appended) => {
    horizons?.tell(appended);
    signals.tellAppended(appended);
  };

  /** Their cursors or dead letters were changed by hand. */
  function recheck(groups: readonly string[]): void {
    for (const group of groups) consumers.get(group)?.doubt();
    void look();
  }

  function changed(group: string): void {
    signals.tellGroups([group]);
    recheck([group]);
  }

  /** In case that something was not told. */
  async function look(): Promise<void> {
    horizons?.look();
    try {
      const states = await groupStates(ownPool, [...consumers.keys()]);
      for (const [group, { places, dueInMs }] of states) consumers.get(group)?.compare(places, dueInMs);
    } catch (error) {
      logger.warn({ err: error }, "the bus could not look after its groups; trying again");
    }
  }

  const poll = repeat(options.pollMs ?? defaultPollMs, look);

  return {
    subscribe(subscription) {
      const consumer = new Consumer(subscription, {
        ...options,
        metrics,
        horizonOf: (topic) => horizons?.of(topic) ?? 0,
        recentOf: (topic) => horizons?.recentOf(topic),
        onProgress: () => progress.made(),
        retryDelaysMs: options.retryDelaysMs ?? defaultRetryDelaysMs,
      });
      consumers.set(subscription.group, consumer);
    },

    watch(topic, onGrown) {
      const others = watchers.get(topic) ?? new Set();
      watchers.set(topic, others.add(onGrown));
    },

    start() {
      const followed = [...consumers.values()].flatMap((consumer) => consumer.topics);
      const topics = new Set([...followed, ...watchers.keys()]);
      const onGrown = (topic: string) => {
        for (const consumer of consumers.values()) if (consumer.topics.includes(topic)) consumer.wake();
        for (const tell of watchers.get(topic) ?? []) tell();
      };
      const onError = (error: unknown) =>
        logger.warn({ err: error }, "the bus could not see how far the logs reach; trying again");
      horizons = new Horizons(ownPool, topics, onGrown, onError);
      commits.on(appendedEvent, onAppended);
      void signals.start();
      void look();
      poll.start();
    },

    async stop() {
      isStopped = true;
      progress.made();
      commits.off(appendedEvent, onAppended);
      await poll.stop();
      await Promise.all([...consumers.values()].map((consumer) => consumer.stop()));
      await signals.stop();
      await horizons?.stop();
      await ownPool.end();
    },

    async reached(topic, position, timeoutMs = 2_000) {
      const giveUpAt = performance.now() + timeoutMs;
      for (;;) {
        const late = [...consumers.values()].filter((consumer) => !consumer.hasReached(topic, position));
        if (late.length === 0) return true;
        const leftMs = giveUpAt - performance.now();
        if (leftMs <= 0 || isStopped) return false;
        const askAt = performance.now() + askAgainMs;
        await progress.next(Math.min(leftMs, askAgainMs));
        // Nothing has come of waiting: perhaps another process has done it.
        if (performance.now() < askAt || isStopped) continue;
        const groups = late.map(({ subscription }) => subscription.group);
        if (await isHandled(ownPool, groups, topic, position)) return true;
      }
    },

    consumers: () => consumerStates(ownPool, schemas),

    async replay(group, from) {
      if (!schemas.includes(group)) return 0;
      const moved = await moveCursors(pool, group, from, schemas);
      changed(group);
      return moved;
    },

    deadLetters: (filter, after, limit) => letters(ownPool, schemas, filter, after, limit),

    async retry(id) {
      const answer = await retryLetter(pool, schemas, id);
      if (answer.group !== undefined) changed(answer.group);
      return answer.outcome;
    },

    async discard(id) {
      const group = await discardLetter(pool, schemas, id);
      if (group === undefined) return false;
      logger.warn({ dead_letter: id }, "a dead letter was discarded");
      changed(group);
      return true;
    },
  };
}
