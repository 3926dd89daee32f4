import type { Appended } from "../batch/transaction.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { repeat } from "../repeat.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { Tracer } from "../telemetry/tracer.ts";
import type { Carrier } from "./carrier.ts";
import { Consumer } from "./group/consumer.ts";
import { discardLetter, letters, retryLetter } from "./group/dead-letters.ts";
import { createBusMetrics } from "./group/metrics.ts";
import { Progress } from "./group/progress.ts";
import { Signals } from "./group/signals.ts";
import { groupStates, readLettersAside, withLetters } from "./group/state.ts";
import type { Bus, ConsumerState } from "./port.ts";
import { LogCarrier } from "./postgres/carrier.ts";

export interface BusOptions {
  /** The services write through it, and the groups work through it, with one connection each. */
  readonly pool: Pool;
  /** For connections of its own. */
  readonly url: string;
  /** All services that have a log, cursors and dead letters in this database, whether they run here or not. */
  readonly schemas: readonly string[];
  /** Groups that follow another's log in this database by themselves, whoever carries the events of the others. */
  readonly followers?: readonly LogFollower[];
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly registry: Registry;
  /** Pauses before an event that failed is tried again; after the last one it is given up on. */
  readonly retryDelaysMs?: readonly number[];
  /** How often to look for what nobody has told of. */
  readonly pollMs?: number;
}

export interface LogFollower {
  readonly group: string;
  readonly topic: string;
}

/** What a bus is put together from. */
export interface BusParts {
  readonly ownPool: Pool;
  /** The group follows what a broker has of the topic, and no log of this database. */
  readonly isCarried: (group: string, topic: string) => boolean;
  readonly logs: LogCarrier;
  readonly progress: Progress;
}

const defaultRetryDelaysMs = [1_000, 5_000, 30_000, 120_000, 600_000];
const defaultPollMs = 500;

/** Follows the services' logs itself, under this name, to hand them on to a broker. */
export const relayGroup = "relay";

/**
 * The consumer groups of a process, whoever carries the events to them: their cursors and dead letters stand in their
 * schemas. `broker` is given where events come from a broker; the group `relay` then brings them there.
 */
export function createBus(
  options: BusOptions,
  about: Pick<Bus, "kind" | "abilities" | "broker">,
  broker?: (parts: BusParts) => Carrier,
): Bus {
  const { pool, url, schemas, logger, followers = [] } = options;
  // What wakes the groups must not queue behind the writes that it tells of.
  const ownPool = createPool(url, { max: 2, name: "holdfast bus" });
  const consumers = new Map<string, Consumer>();
  const progress = new Progress();
  const groups = broker === undefined ? schemas : [...schemas, relayGroup];
  const isCarried = (group: string, topic: string) =>
    broker !== undefined &&
    group !== relayGroup &&
    group !== topic &&
    !followers.some((follower) => follower.group === group && follower.topic === topic);
  const isFollowed = (group: string, topic: string) => schemas.includes(topic) && !isCarried(group, topic);
  const onAppended = (appended: Appended) => signals.tellAppended(appended);
  const logs = new LogCarrier({ pool, ownPool, logger, progress, isFollowed, onAppended });
  const remote = broker?.({ ownPool, logs, progress, isCarried });
  const carriers: readonly Carrier[] = remote === undefined ? [logs] : [logs, remote];
  const metrics = createBusMetrics(options.registry, logger, states);
  let isStopped = false;

  const signals = new Signals({
    url,
    pool: ownPool,
    logger,
    onAppended: (appended) => logs.tell(appended),
    onGroups: (changed) => recheck(changed),
    onGap: () => void look(),
  });

  function carrierOf(group: string): Carrier {
    return remote === undefined || group === relayGroup ? logs : remote;
  }

  /** Their cursors or dead letters were changed by hand. */
  function recheck(changed: readonly string[]): void {
    for (const group of changed) consumers.get(group)?.doubt();
    void look();
  }

  function changed(group: string): void {
    signals.tellGroups([group]);
    recheck([group]);
  }

  /** In case that something was not told. */
  async function look(): Promise<void> {
    for (const carrier of carriers) carrier.look();
    try {
      const states = await groupStates(ownPool, [...consumers.keys()]);
      for (const [group, { places, dueInMs }] of states) consumers.get(group)?.compare(places, dueInMs);
    } catch (error) {
      logger.warn({ err: error }, "the bus could not look after its groups; trying again");
    }
  }

  async function states(): Promise<ConsumerState[]> {
    const [letters, ...carried] = await Promise.all([
      readLettersAside(ownPool, groups),
      ...carriers.map((carrier) => carrier.states(groups)),
    ]);
    const all = withLetters(carried.flat(), letters);
    const inOrder = (a: string, b: string) => Number(a > b) - Number(a < b);
    return all.sort((a, b) => inOrder(a.group, b.group) || inOrder(a.topic, b.topic));
  }

  const poll = repeat(options.pollMs ?? defaultPollMs, look);

  return {
    ...about,

    subscribe(subscription) {
      const carrier = carrierOf(subscription.group);
      const consumer = new Consumer(subscription, {
        ...options,
        metrics,
        divides: carrier.divides,
        onProgress: () => progress.made(),
        retryDelaysMs: options.retryDelaysMs ?? defaultRetryDelaysMs,
      });
      consumers.set(subscription.group, consumer);
      carrier.attach(consumer);
    },

    watch: (topic, onGrown) => logs.watch(topic, onGrown),

    start() {
      for (const consumer of consumers.values()) consumer.start();
      for (const carrier of carriers) carrier.start();
      void signals.start();
      void look();
      poll.start();
    },

    async stop() {
      isStopped = true;
      progress.made();
      await poll.stop();
      await Promise.all([...consumers.values()].map((consumer) => consumer.stop()));
      await remote?.stop();
      await signals.stop();
      await logs.stop();
      await ownPool.end();
    },

    async reached(topic, position, timeoutMs = 2_000) {
      const here = [...consumers.values()].filter(
        (consumer) => consumer.subscription.group !== relayGroup && consumer.topics.includes(topic),
      );
      if (here.length === 0) return true;
      return !isStopped && (remote ?? logs).reached(here, topic, position, timeoutMs);
    },

    consumers: states,

    async replay(group, from) {
      if (!groups.includes(group)) return 0;
      const moved = await Promise.all(carriers.map((carrier) => carrier.rewind(group, from)));
      changed(group);
      return moved.reduce((sum, count) => sum + count, 0);
    },

    deadLetters: (filter, after, limit) => letters(ownPool, groups, filter, after, limit),

    async retry(id) {
      const answer = await retryLetter(pool, groups, id);
      if (answer.group !== undefined) changed(answer.group);
      return answer.outcome;
    },

    async discard(id) {
      const group = await discardLetter(pool, groups, id);
      if (group === undefined) return false;
      logger.warn({ dead_letter: id }, "a dead letter was discarded");
      changed(group);
      return true;
    },
  };
}
