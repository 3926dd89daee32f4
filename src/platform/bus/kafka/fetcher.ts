import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type FetchedPartition, fetchRecords } from "./apis.ts";
import type { Cluster } from "./cluster.ts";
import type { Connections } from "./connections.ts";
import { codes, reasonOf } from "./errors.ts";
import type { Partition } from "./partition.ts";
import { pauseAfter } from "./patience.ts";
import { decodeBatches } from "./record-reader.ts";

export interface FetcherOptions {
  readonly node: number;
  readonly cluster: Cluster;
  readonly timeoutMs: number;
  readonly logger: Logger;
  /** It may be that somebody else leads it now. Never throws. */
  moved(partition: Partition): Promise<void>;
}

const partitionMaxBytes = 2 ** 18;
const maxBytes = 2 ** 22;
const readCommitted = 1;

/** Fetches from one broker, for all partitions that it leads together: the broker holds the request until something comes. */
export class Fetcher {
  private readonly options: FetcherOptions;
  private readonly connections: Connections;
  private readonly longestWaitMs: number;
  private partitions: Partition[] = [];
  private isClosed = false;
  private isInterrupted = false;
  private wakeUp: () => void = () => undefined;

  constructor(options: FetcherOptions) {
    this.options = options;
    this.longestWaitMs = Math.min(5_000, options.timeoutMs);
    this.connections = options.cluster.connectionsFor(options.timeoutMs + this.longestWaitMs);
    void this.run();
  }

  add(partition: Partition): void {
    this.partitions.push(partition);
    this.interrupt();
  }

  remove(partition: Partition): void {
    this.partitions = this.partitions.filter((one) => one !== partition);
  }

  /** A partition can be fetched from again. */
  wake(): void {
    this.wakeUp();
  }

  /** The request that the broker holds asks for the wrong thing, so it is given up. */
  interrupt(): void {
    this.isInterrupted = true;
    this.connections.interrupt();
    this.wake();
  }

  close(): void {
    this.isClosed = true;
    this.connections.close();
    this.wake();
  }

  private async run(): Promise<void> {
    for (let failures = 0; !this.isClosed; ) {
      const asleep = new Promise<void>((resolve) => {
        this.wakeUp = resolve;
      });
      if (this.wanted().length === 0) {
        await asleep;
        continue;
      }
      this.isInterrupted = false;
      try {
        await this.fetch();
        failures = 0;
      } catch (error) {
        if (this.isInterrupted || this.isClosed) continue;
        failures++;
        if (failures === 1) this.options.logger.warn({ reason: reasonOf(error) }, "kafka: fetching fails");
        await Promise.all(this.partitions.map((partition) => this.options.moved(partition)));
        await sleep(pauseAfter(failures));
      }
    }
  }

  private wanted() {
    return this.partitions.flatMap((partition) => {
      const place = partition.wanted();
      return place ? [{ partition, ...place }] : [];
    });
  }

  private async fetch(): Promise<void> {
    const { cluster, node } = this.options;
    const address = await cluster.address(node);
    const wanted = this.wanted();
    const topics = new Map<string, ReturnType<typeof fetchOf>[]>();
    for (const { partition, offset } of wanted) {
      const some = topics.get(partition.topic) ?? [];
      topics.set(partition.topic, some);
      some.push(fetchOf(partition.partition, offset));
    }
    const fetched = await this.connections.request(
      address,
      fetchRecords,
      this.waitMs(),
      1,
      maxBytes,
      readCommitted,
      0,
      0,
      [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      [],
      "",
    );
    this.hand(fetched, wanted);
  }

  /**
   * How long the broker may hold the request when there is nothing. One that cannot be fetched from now, because there
   * is enough of it at hand, may be empty at any moment and is not part of the request; so the wait is short, and
   * longer the longer that lasts, since it matters less then.
   */
  private waitMs(): number {
    const now = Date.now();
    const blockedMs = Math.max(0, ...this.partitions.filter((p) => !p.wanted()).map((p) => p.blockedMs(now)));
    const isWhole = this.partitions.every((partition) => partition.wanted());
    return isWhole ? this.longestWaitMs : Math.round(Math.min(500, Math.max(5, blockedMs / 10)));
  }

  private hand(fetched: readonly FetchedPartition[], wanted: ReturnType<Fetcher["wanted"]>): void {
    const served = new Set<Partition>();
    let failed: FetchedPartition | undefined;
    for (const answer of fetched) {
      const { partition, turn, offset } = wanted.find((one) => isOf(answer, one.partition))!;
      if (answer.errorCode === codes.offsetOutOfRange) partition.goToOldest(turn);
      else if (answer.errorCode !== 0) failed = answer;
      else if (answer.bytes.length > 0) {
        const haul = decodeBatches(answer.bytes, offset, answer.aborted);
        if (haul.next > offset) served.add(partition);
        partition.take(turn, haul);
      }
    }
    // The broker fills its answer in the order of the request, so what had its turn goes to the end.
    const isServed = (partition: Partition) => served.has(partition);
    this.partitions = [
      ...this.partitions.filter((one) => !isServed(one)),
      ...this.partitions.filter(isServed),
    ];
    if (failed) {
      throw new Error(
        `Partition ${failed.partition} of ${failed.topic} answers with error ${failed.errorCode}.`,
      );
    }
  }
}

function isOf(answer: FetchedPartition, { topic, partition }: Partition): boolean {
  return answer.topic === topic && answer.partition === partition;
}

function fetchOf(partition: number, offset: number) {
  return {
    partition,
    currentLeaderEpoch: -1,
    fetchOffset: BigInt(offset),
    lastFetchedEpoch: -1,
    partitionMaxBytes,
  };
}
