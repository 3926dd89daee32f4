import { offsetCommitV8, offsetFetchV8 } from "@platformatic/kafka";
import type { Logger } from "pino";
import type { TopicPartition } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import { reasonOf } from "./errors.ts";
import type { GroupMember } from "./membership.ts";

export interface CommitsOptions {
  readonly cluster: Cluster;
  readonly group: string;
  readonly logger: Logger;
}

const everyMs = 1_000;

/** How far the group has come, as the broker is told: gathered, since nobody works by it moment by moment. */
export class Commits {
  private readonly options: CommitsOptions;
  private readonly member: GroupMember;
  private readonly offsets = new Map<string, Map<number, number>>();
  private timer: NodeJS.Timeout | undefined;
  private committing: Promise<void> = Promise.resolve();

  constructor(options: CommitsOptions, member: GroupMember) {
    this.options = options;
    this.member = member;
  }

  add(topic: string, partition: number, offset: number): void {
    const partitions = this.offsets.get(topic) ?? new Map<number, number>();
    this.offsets.set(topic, partitions.set(partition, offset));
    this.timer ??= setTimeout(() => this.flush(), everyMs).unref();
  }

  /** Never throws: what fails is tried again with the next. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.committing = this.committing.then(() => this.commit());
    return this.committing;
  }

  forget(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.offsets.get(topic)?.delete(partition);
  }

  async committed(topic: string, partition: number): Promise<number | undefined> {
    const { cluster, group } = this.options;
    const wanted = [
      { groupId: group, memberEpoch: -1, topics: [{ name: topic, partitionIndexes: [partition] }] },
    ];
    const { groups } = await this.asking((node) => cluster.request(node, offsetFetchV8.api, wanted, true));
    const offset = Number(groups[0]!.topics[0]!.partitions[0]!.committedOffset);
    return offset < 0 ? undefined : offset;
  }

  close(): Promise<void> {
    return this.flush();
  }

  private async commit(): Promise<void> {
    const membership = this.member.current();
    const topics = [...this.offsets].map(([name, partitions]) => ({
      name,
      partitions: [...partitions].map(place),
    }));
    this.offsets.clear();
    if (topics.length === 0) return;
    try {
      if (!membership) throw new Error("We are not in the group.");
      const { cluster, group } = this.options;
      const { generation, memberId } = membership;
      await this.asking((node) =>
        cluster.request(node, offsetCommitV8.api, group, generation, memberId, null, topics),
      );
    } catch (error) {
      this.options.logger.debug(
        { group: this.options.group, reason: reasonOf(error) },
        "kafka: not committed",
      );
      for (const { name, partitions } of topics) {
        for (const { partitionIndex, committedOffset } of partitions) {
          const isNewer = this.offsets.get(name)?.has(partitionIndex);
          if (!isNewer) this.add(name, partitionIndex, Number(committedOffset));
        }
      }
    }
  }

  private async asking<T>(work: (coordinator: number) => Promise<T>): Promise<T> {
    try {
      return await work(await this.member.findCoordinator());
    } catch (error) {
      this.member.forgetCoordinator();
      throw error;
    }
  }
}

function place([partitionIndex, offset]: [number, number]) {
  return {
    partitionIndex,
    committedOffset: BigInt(offset),
    committedLeaderEpoch: -1,
    committedMetadata: null,
  };
}
