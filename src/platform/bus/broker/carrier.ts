import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "../../postgres/pool.ts";
import { Complaint } from "../../telemetry/complaint.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { BusParts } from "../bus.ts";
import type { Carrier } from "../carrier.ts";
import type { Consumer } from "../group/consumer.ts";
import { type CursorState, readCursors } from "../group/state.ts";
import { nameOf, wishOf } from "../group/tail.ts";
import type { ConsumerState, ReplayStart } from "../port.ts";
import type { Broker, Follower } from "./broker.ts";
import { BrokerTail, isBehindPlace } from "./broker-tail.ts";
import { standsAt } from "./event.ts";
import { lastHeartbeat } from "./heartbeat.ts";
import type { Inbound } from "./inbound.ts";
import { BrokerLag } from "./lag.ts";
import type { BrokerMetrics } from "./metrics.ts";
import { openPlaces, readPlace, rewindCursors } from "./places.ts";
import type { Topics } from "./topics.ts";

export interface BrokerCarrierOptions extends BusParts {
  readonly broker: Broker;
  readonly topics: Topics;
  readonly inbound: Inbound;
  readonly pool: Pool;
  readonly logger: Logger;
  readonly metrics: BrokerMetrics;
}

const askAgainMs = 25;
const longMs = 5_000;
const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** Reads the topics from a broker. The database says where each group goes on. */
export class BrokerCarrier implements Carrier {
  readonly divides: boolean;
  private readonly options: BrokerCarrierOptions;
  private readonly parts: GroupPart[] = [];
  private readonly lag: BrokerLag;
  private readonly stopping = new AbortController();

  constructor(options: BrokerCarrierOptions) {
    this.options = options;
    this.divides = options.broker.assigns;
    this.lag = new BrokerLag(options.broker, options.topics);
  }

  attach(consumer: Consumer): void {
    this.parts.push(new GroupPart(consumer, this.options, this.stopping.signal));
  }

  start(): void {
    for (const part of this.parts) void part.follow();
  }

  look(): void {}

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.parts.map((part) => part.close()));
  }

  async reached(
    consumers: readonly Consumer[],
    topic: string,
    position: number,
    timeoutMs: number,
  ): Promise<boolean> {
    const { broker, topics, logs, progress, ownPool } = this.options;
    const giveUpAt = performance.now() + timeoutMs;
    if (this.isLongAway) return false;
    if (!(await logs.reached(logs.consumers, topic, position, timeoutMs))) return false;
    const ends = await broker.ends(topics.nameOf(topic)).catch(() => undefined);
    if (ends === undefined) return false;
    const groups = consumers.map(({ subscription }) => subscription.group);
    const parts = this.parts.filter(({ group }) => groups.includes(group));
    for (;;) {
      if (parts.every((part) => part.hasReached(topic, ends))) return true;
      const leftMs = giveUpAt - performance.now();
      if (leftMs <= 0 || this.stopping.signal.aborted) return false;
      const askAt = performance.now() + askAgainMs;
      await progress.next(Math.min(leftMs, askAgainMs));
      if (performance.now() < askAt) continue;
      // Nothing has come of waiting: perhaps other processes have done it.
      const cursors = (await readCursors(ownPool, groups)).filter((cursor) => cursor.topic === topic);
      const isDone = (group: string) => {
        const own = cursors.filter((cursor) => cursor.group === group);
        return ends.every((end, partition) => end === 0 || isPast(own, topic, partition, end));
      };
      if (groups.every(isDone)) return true;
    }
  }

  /** Nobody should wait for what is not to be expected. */
  private get isLongAway(): boolean {
    const { isUp, since } = this.options.broker.state();
    return !isUp && Date.now() - since.getTime() > longMs;
  }

  /** How long ago, at most, the group had handled everything that the service had written. */
  async ageMs(group: string, service: string): Promise<number | undefined> {
    const { broker, logger } = this.options;
    if (!broker.state().isUp) return undefined;
    try {
      return await this.askAge(group, service);
    } catch (error) {
      logger.debug({ err: error, group }, "how old a copy is cannot be told at the moment");
      return undefined;
    }
  }

  private async askAge(group: string, service: string): Promise<number | undefined> {
    const { broker, topics, ownPool } = this.options;
    // In this order: what was published by the heartbeat is before the ends that are asked for after it.
    const published = await lastHeartbeat(broker, topics, service);
    const ends = await broker.ends(topics.nameOf(service));
    const cursors = await readCursors(ownPool, [group]);
    const isDone = ends.every((end, partition) => end === 0 || isPast(cursors, service, partition, end));
    return published === undefined || !isDone ? undefined : Math.max(0, Date.now() - published.getTime());
  }

  async states(groups: readonly string[]): Promise<ConsumerState[]> {
    const { ownPool, isCarried, inbound } = this.options;
    const cursors = await readCursors(ownPool, groups);
    const carried = this.lag.of(cursors.filter(({ group, topic }) => isCarried(group, topic)));
    return (await Promise.all([carried, inbound.states()])).flat();
  }

  rewind(group: string, from: ReplayStart): Promise<number> {
    return rewindCursors(this.options, group, from);
  }
}

function isPast(cursors: readonly CursorState[], topic: string, partition: number, end: number): boolean {
  return cursors.some((c) => c.topic === topic && c.partition === partition && (c.offset ?? 0) >= end);
}

/** One group's part in this process. */
class GroupPart {
  readonly group: string;
  private readonly consumer: Consumer;
  private readonly options: BrokerCarrierOptions;
  private readonly stopping: AbortSignal;
  private readonly tails = new Map<string, BrokerTail>();
  private readonly strays: Complaint;
  private follower: Follower | undefined;

  constructor(consumer: Consumer, options: BrokerCarrierOptions, stopping: AbortSignal) {
    this.consumer = consumer;
    this.group = consumer.subscription.group;
    this.options = options;
    this.stopping = stopping;
    this.strays = new Complaint(options.logger);
  }

  async follow(): Promise<void> {
    const { broker, topics, logger } = this.options;
    // What is wrong is told by the topics themselves, once for all groups.
    await this.persist(() => topics.made());
    if (this.stopping.aborted) return;
    const names = new Map(this.consumer.topics.map((topic) => [topics.nameOf(topic), topic]));
    logger.debug({ group: this.group, broker: broker.name }, "follows the broker");
    this.follower = broker.follow({
      group: this.group,
      topics: [...names.keys()],
      begin: (name, partition) => this.begin(names.get(name)!, partition),
      deliver: async (name, partition, messages) => {
        const tail = this.tails.get(nameOf({ topic: names.get(name)!, partition }));
        await tail?.offer(messages, () => this.consumer.wake());
        this.options.progress.made();
      },
      end: (name, partition) => this.end(names.get(name)!, partition),
    });
  }

  async close(): Promise<void> {
    for (const tail of this.tails.values()) tail.close();
    await this.follower?.close();
  }

  hasReached(topic: string, ends: readonly number[]): boolean {
    return ends.every((end, partition) => {
      const tail = this.tails.get(nameOf({ topic, partition }));
      return end === 0 || (tail !== undefined && tail.doneTo >= end);
    });
  }

  private async begin(topic: string, partition: number): Promise<number | undefined> {
    const { metrics, logger } = this.options;
    const complaint = new Complaint(logger);
    const begun = await this.persist(
      () => this.placeOf(topic, partition),
      (err) =>
        complaint.warn({ err, group: this.group }, "where a group goes on could not be read; trying again"),
    );
    this.end(topic, partition);
    const { topics, concerns } = this.consumer.subscription;
    const name = this.options.topics.nameOf(topic);
    const tail = new BrokerTail({
      topic,
      partition,
      wish: wishOf(topics[topic]!, concerns),
      logid: this.options.topics.identityOf(topic),
      begun: begun ?? null,
      seek: (offset) => this.follower?.seek(name, partition, offset),
      onDone: (offset) => this.follower?.done(name, partition, offset),
      onDuplicates: (count) => metrics.duplicates(this.group, count),
      onStray: (offset, err) =>
        this.strays.warn(
          { err, group: this.group, topic: name, partition, offset },
          "a message on a topic of ours was passed over",
        ),
    });
    this.tails.set(nameOf(tail), tail);
    this.assign();
    return begun;
  }

  /**
   * An offset is worth as much as the topic that it was written for. When the topic was made anew, or is another
   * broker's, what stands before the offset is not what we have done: then we begin with the oldest message, and pass
   * over what we know.
   */
  private async placeOf(topic: string, partition: number): Promise<number | undefined> {
    const { broker, topics, ownPool } = this.options;
    const name = topics.nameOf(topic);
    const place = await readPlace(ownPool, this.group, topic, partition);
    if (place === undefined) {
      await openPlaces(ownPool, this.group, topic, (await broker.ends(name)).length);
      return undefined;
    }
    if (place.offset === null || place.offset === 0) return undefined;
    const end = (await broker.ends(name))[partition] ?? 0;
    if (place.offset > end) return undefined;
    const last = await broker.peek(name, partition, place.offset - 1);
    const stands = last && standsAt(last, topics.identityOf(topic));
    return stands !== undefined && isBehindPlace(stands, place) ? undefined : place.offset;
  }

  private end(topic: string, partition: number): void {
    const name = nameOf({ topic, partition });
    const tail = this.tails.get(name);
    if (tail === undefined) return;
    tail.close();
    this.tails.delete(name);
    this.assign();
  }

  private assign(): void {
    // In one order, so that processes lock their cursors in one order.
    const inOrder = (a: BrokerTail, b: BrokerTail) =>
      Number(a.topic > b.topic) - Number(a.topic < b.topic) || a.partition - b.partition;
    this.consumer.assign([...this.tails.values()].sort(inOrder));
  }

  /** Again and again until it succeeds, or we stop. */
  private async persist<Result>(
    work: () => Promise<Result>,
    onFailure: (error: unknown) => void = () => {},
  ): Promise<Result | undefined> {
    for (let failures = 0; !this.stopping.aborted; failures++) {
      try {
        return await work();
      } catch (error) {
        onFailure(error);
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
        await sleep(pauseMs, undefined, { signal: this.stopping, ref: false }).catch(() => {});
      }
    }
    return undefined;
  }
}
