import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Follower as BrokerFollower } from "../broker/broker.ts";
import type { TopicPartition } from "./assignment.ts";
import type { Cluster } from "./cluster.ts";
import { Commits } from "./commits.ts";
import type { Fetcher } from "./fetcher.ts";
import type { Fetchers } from "./fetchers.ts";
import { GroupMember } from "./membership.ts";
import { offsetOf, oldest } from "./offsets.ts";
import { keyOf, Partition } from "./partition.ts";
import { pauseAfter } from "./patience.ts";
import type { StoredRecord } from "./record-reader.ts";

export interface FollowerOptions {
  readonly cluster: Cluster;
  readonly fetchers: Fetchers;
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly timeoutMs: number;
  readonly logger: Logger;
  begin(topic: string, partition: number): Promise<number | undefined>;
  deliver(topic: string, partition: number, records: readonly StoredRecord[]): Promise<void>;
  end(topic: string, partition: number): void;
  closed(): void;
}

/** A process's part of a group: the partitions that it is given, fetched from whoever leads them. */
export class Follower implements BrokerFollower {
  private readonly options: FollowerOptions;
  private readonly partitions = new Map<
    string,
    { readonly partition: Partition; node: number | undefined }
  >();
  private readonly commits: Commits;
  private readonly member: GroupMember;
  private isClosed = false;

  constructor(options: FollowerOptions) {
    this.options = options;
    this.member = new GroupMember({
      ...options,
      given: (some) => this.given(some),
      taken: (some) => this.taken(some),
    });
    this.commits = new Commits(options, this.member);
  }

  seek(topic: string, partition: number, offset: number | undefined): void {
    const entry = this.partitions.get(keyOf(topic, partition));
    if (!entry) return;
    entry.partition.seek(offset);
    this.fetcherOf(entry.node)?.interrupt();
  }

  done(topic: string, partition: number, offset: number): void {
    if (this.partitions.has(keyOf(topic, partition))) this.commits.add(topic, partition, offset);
  }

  /** What the group has committed; undefined when it has not. */
  committed(topic: string, partition: number): Promise<number | undefined> {
    return this.commits.committed(topic, partition);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.commits.close();
    for (const { partition, node } of this.partitions.values()) {
      this.fetcherOf(node)?.remove(partition);
      this.end(partition);
    }
    this.partitions.clear();
    // From now on they are somebody else's.
    await this.member.close();
    this.options.closed();
  }

  private given(some: readonly TopicPartition[]): void {
    if (this.isClosed) return;
    for (const { topic, partition: index } of some) {
      const { cluster, logger, begin, deliver } = this.options;
      const key = keyOf(topic, index);
      const partition: Partition = new Partition({
        topic,
        partition: index,
        logger,
        begin: () => begin(topic, index),
        oldest: () => offsetOf(cluster, topic, index, oldest),
        deliver: (records) => deliver(topic, index, records),
        ready: () => this.fetcherOf(this.partitions.get(key)?.node)?.wake(),
        moved: async () => {
          cluster.forget(topic);
          await this.locate(partition);
        },
      });
      this.partitions.set(key, { partition, node: undefined });
      void this.untilLed(partition);
    }
  }

  /** What is done is committed before the others begin, so that what they see is not overwritten by it later. */
  private async taken(some: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition: index } of some) {
      const key = keyOf(topic, index);
      const entry = this.partitions.get(key);
      if (!entry) continue;
      this.partitions.delete(key);
      this.fetcherOf(entry.node)?.remove(entry.partition);
      this.end(entry.partition);
    }
    await this.commits.flush();
    this.commits.forget(some);
  }

  private end(partition: Partition): void {
    partition.end();
    this.options.end(partition.topic, partition.partition);
  }

  private async untilLed(partition: Partition): Promise<void> {
    for (let failures = 1; this.isOurs(partition); failures++) {
      if (await this.locate(partition)) return;
      await sleep(pauseAfter(failures));
    }
  }

  /** Puts it with the fetcher of the broker that leads it now; false when that cannot be told. */
  private async locate(partition: Partition): Promise<boolean> {
    const { cluster } = this.options;
    let node: number;
    try {
      node = await cluster.leader(partition.topic, partition.partition);
      if (node < 0) throw new Error("There is no leader.");
    } catch {
      cluster.forget(partition.topic);
      return false;
    }
    const entry = this.partitions.get(keyOf(partition.topic, partition.partition));
    if (this.isClosed || entry?.partition !== partition || entry.node === node) return true;
    this.fetcherOf(entry.node)?.remove(partition);
    entry.node = node;
    this.options.fetchers.of(node).add(partition);
    return true;
  }

  private fetcherOf(node: number | undefined): Fetcher | undefined {
    return node === undefined ? undefined : this.options.fetchers.of(node);
  }

  private isOurs(partition: Partition): boolean {
    const entry = this.partitions.get(keyOf(partition.topic, partition.partition));
    return !this.isClosed && entry?.partition === partition;
  }
}
