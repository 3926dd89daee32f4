import { setTimeout as sleep } from "node:timers/promises";
import {
  findCoordinatorV4,
  heartbeatV4,
  joinGroupV7,
  leaveGroupV4,
  type ResponseError,
  syncGroupV5,
} from "@platformatic/kafka";
import type { Logger } from "pino";
import { assign, type TopicPartition } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import type { Connections } from "./connections.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "./consumer-protocol.ts";
import { codes, hasCode, reasonOf } from "./errors.ts";
import { pauseAfter } from "./patience.ts";

export interface MembershipOptions {
  readonly cluster: Cluster;
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly timeoutMs: number;
  readonly logger: Logger;
  given(partitions: readonly TopicPartition[]): void;
  /** They are somebody else's as soon as this resolves. */
  taken(partitions: readonly TopicPartition[]): Promise<void>;
}

/** What the coordinator knows us by; requests that carry an old one are turned down. */
export interface Membership {
  readonly memberId: string;
  readonly generation: number;
}

const protocolName = "cooperative-sticky";
const countPartitionsEveryMs = 30_000;

/** This process's place in a consumer group: it shares out the partitions of the topics among the members. */
export class GroupMember {
  private readonly options: MembershipOptions;
  /** The answer to a join comes when all the others have joined, or had their time to. */
  private readonly joining: Connections;
  private readonly closing = new AbortController();
  private readonly running: Promise<void>;
  private coordinator: number | undefined;
  private memberId = "";
  private generation = -1;
  private owned: readonly TopicPartition[] = [];
  /** How many partitions we shared out, when it fell to us. */
  private shared: ReadonlyMap<string, number> | undefined;
  private lastHeard = Date.now();
  private failures = 0;

  constructor(options: MembershipOptions) {
    this.options = options;
    this.joining = options.cluster.connectionsFor(options.sessionTimeoutMs + options.timeoutMs);
    this.running = this.run();
  }

  current(): Membership | undefined {
    return this.generation < 0 ? undefined : { memberId: this.memberId, generation: this.generation };
  }

  async findCoordinator(): Promise<number> {
    if (this.coordinator === undefined) {
      const { cluster, group } = this.options;
      const { coordinators } = await cluster.requestAny(findCoordinatorV4.api, 0, [group]);
      this.coordinator = coordinators[0]!.nodeId;
    }
    return this.coordinator;
  }

  forgetCoordinator(): void {
    this.coordinator = undefined;
  }

  /** Leaves, so that the others need not wait until we count as dead. */
  async close(): Promise<void> {
    this.closing.abort();
    this.joining.close();
    await Promise.race([this.running, sleep(1_000)]);
    if (this.memberId === "" || this.coordinator === undefined) return;
    const { cluster, group } = this.options;
    const leaving = cluster.request(this.coordinator, leaveGroupV4.api, group, [{ memberId: this.memberId }]);
    await Promise.race([leaving.catch(() => undefined), sleep(1_000)]);
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      try {
        if (await this.join()) await this.stay();
      } catch (error) {
        if (!this.closing.signal.aborted) await this.recover(error);
      }
    }
  }

  /** False when it gave something away: then the group is shared out once more. */
  private async join(): Promise<boolean> {
    const { cluster, group, topics, sessionTimeoutMs } = this.options;
    const address = await cluster.address(await this.findCoordinator());
    const metadata = encodeSubscription(topics, this.owned, this.generation);
    const protocols = [{ name: protocolName, metadata }];
    const joined = await this.joining.request(
      address,
      joinGroupV7.api,
      group,
      sessionTimeoutMs,
      sessionTimeoutMs,
      this.memberId,
      null,
      "consumer",
      protocols,
    );
    this.memberId = joined.memberId!;
    const isLeader = joined.leader === this.memberId;
    const synced = await this.joining.request(
      address,
      syncGroupV5.api,
      group,
      joined.generationId,
      this.memberId,
      null,
      "consumer",
      protocolName,
      isLeader ? await this.share(joined.members) : [],
    );
    if (!isLeader) this.shared = undefined;
    this.heard();
    this.generation = joined.generationId;
    return this.take(decodeAssignment(synced.assignment));
  }

  private async share(members: { memberId: string; metadata: Buffer | null }[]) {
    const subscribed = members.map(({ memberId, metadata }) => decodeSubscription(memberId, metadata!));
    this.shared = await this.countPartitions(subscribed.flatMap(({ topics }) => topics));
    const shares = assign(subscribed, this.shared);
    return [...shares].map(([memberId, given]) => ({ memberId, assignment: encodeAssignment(given) }));
  }

  /** Of topics that are there. */
  private async countPartitions(topics: readonly string[]): Promise<Map<string, number>> {
    const { topics: found } = await this.options.cluster.look(topics);
    const wanted = found.filter(({ name, errorCode }) => errorCode === 0 && topics.includes(name!));
    return new Map(wanted.map(({ name, partitions }) => [name!, partitions.length]));
  }

  private async take(assignment: readonly TopicPartition[]): Promise<boolean> {
    const taken = without(this.owned, assignment);
    const given = without(assignment, this.owned);
    this.owned = assignment;
    if (taken.length > 0) await this.options.taken(taken);
    if (given.length > 0) this.options.given(given);
    return taken.length === 0;
  }

  /** Resolves when the group is to be shared out anew. */
  private async stay(): Promise<void> {
    const { cluster, group, sessionTimeoutMs } = this.options;
    const every = Math.min(1_000, sessionTimeoutMs / 8);
    for (let nextCount = this.countAgainAt(); ; ) {
      await sleep(every, undefined, { signal: this.closing.signal });
      await cluster.request(
        await this.findCoordinator(),
        heartbeatV4.api,
        group,
        this.generation,
        this.memberId,
        null,
      );
      this.heard();
      if (!this.shared || Date.now() < nextCount) continue;
      if (await this.hasMorePartitions(this.shared)) return;
      nextCount = this.countAgainAt();
    }
  }

  private countAgainAt(): number {
    const isComplete = this.options.topics.every((topic) => this.shared?.has(topic));
    return Date.now() + (isComplete ? countPartitionsEveryMs : 1_000);
  }

  private async hasMorePartitions(before: ReadonlyMap<string, number>): Promise<boolean> {
    const now = await this.countPartitions([...new Set([...before.keys(), ...this.options.topics])]);
    return [...now].some(([topic, count]) => count > (before.get(topic) ?? 0));
  }

  private heard(): void {
    this.lastHeard = Date.now();
    this.failures = 0;
  }

  private async recover(error: unknown): Promise<void> {
    if (hasCode(error, codes.rebalanceInProgress)) return;
    if (hasCode(error, codes.memberIdRequired)) {
      this.memberId = ((error as ResponseError).response as { memberId: string }).memberId;
      return;
    }
    if (hasCode(error, codes.unknownMember, codes.illegalGeneration)) {
      // The group has gone on without us, and may have given away what we had.
      if (hasCode(error, codes.unknownMember)) this.memberId = "";
      return this.lose(error);
    }
    this.forgetCoordinator();
    const isForgotten = Date.now() - this.lastHeard > this.options.sessionTimeoutMs;
    if (isForgotten && this.owned.length > 0) await this.lose(error);
    this.failures++;
    if (this.failures === 4) this.say("kafka: the group's coordinator does not answer as it should", error);
    await sleep(pauseAfter(this.failures), undefined, { signal: this.closing.signal }).catch(() => undefined);
  }

  private async lose(error: unknown): Promise<void> {
    this.generation = -1;
    if (this.owned.length === 0) return;
    this.say("kafka: the group has given our partitions away", error);
    const lost = this.owned;
    this.owned = [];
    await this.options.taken(lost);
  }

  private say(message: string, error: unknown): void {
    this.options.logger.warn({ group: this.options.group, reason: reasonOf(error) }, message);
  }
}

function without(all: readonly TopicPartition[], some: readonly TopicPartition[]): TopicPartition[] {
  return all.filter(
    (one) => !some.some(({ topic, partition }) => topic === one.topic && partition === one.partition),
  );
}
