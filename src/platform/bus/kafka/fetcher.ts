import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type FetchedPartition, fetchRecords } from "./apis.ts";
import type { Cluster } from "./cluster.ts";
import type { Connections } from "./connections.ts";
import { codes, reasonOf } from "./errors.ts";
import { keyOf, type Partition, type Trouble } from "./partition.ts";
import { pauseAfter } from "./patience.ts";
import { decodeBatches, type Haul } from "./record-reader.ts";

export interface FetcherOptions {
  readonly node: number;
  readonly cluster: Cluster;
  readonly timeoutMs: number;
  readonly logger: Logger;
}

const partitionMaxBytes = 2 ** 18;
const maxBytes = 2 ** 22;
const readCommitted = 1;
const apartMs = 5;

/** A partition of one group, and the request that has asked for it last. */
interface Entry {
  readonly partition: Partition;
  askedIn: number;
}

/**
 * Fetches from one broker, for all partitions that it leads together: the broker holds the request until something
 * comes. Groups that stand at the same place of a partition are given the same records; whoever stands elsewhere takes
 * turns with the others, until one fetch reaches them all.
 */
export class Fetcher {
  private readonly options: FetcherOptions;
  private readonly connections: Connections;
  private readonly longestWaitMs: number;
  private entries: Entry[] = [];
  private requests = 0;
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
    this.entries.push({ partition, askedIn: 0 });
    this.interrupt();
  }

  remove(partition: Partition): void {
    this.entries = this.entries.filter((entry) => entry.partition !== partition);
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
      if (!this.entries.some(({ partition }) => partition.isWanted)) {
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
        await Promise.all(this.entries.map(({ partition }) => partition.moved()));
        await sleep(pauseAfter(failures));
      }
    }
  }

  private async fetch(): Promise<void> {
    const { cluster, node } = this.options;
    const address = await cluster.address(node);
    const { offsets, request, isApart } = this.ask();
    const waitMs = isApart ? apartMs : this.waitMs();
    const fetched = await this.connections.request(
      address,
      fetchRecords,
      waitMs,
      1,
      maxBytes,
      readCommitted,
      0,
      0,
      request,
      [],
      "",
    );
    this.hand(fetched, offsets);
  }

  /** A request can name a partition once: of groups that stand apart, it is for those who have waited longest. */
  private ask() {
    this.requests++;
    const chosen = new Map<string, Entry>();
    let isApart = false;
    for (const entry of this.entries) {
      const { partition } = entry;
      if (!partition.isWanted) continue;
      const other = chosen.get(partition.name);
      if (other === undefined || entry.askedIn < other.askedIn) chosen.set(partition.name, entry);
      if (other !== undefined && other.partition.offset !== partition.offset) isApart = true;
    }
    const offsets = new Map<string, number>();
    const topics = new Map<string, ReturnType<typeof fetchOf>[]>();
    for (const [name, entry] of chosen) {
      const { topic, partition, offset } = entry.partition;
      entry.askedIn = this.requests;
      offsets.set(name, offset!);
      const some = topics.get(topic);
      if (some === undefined) topics.set(topic, [fetchOf(partition, offset!)]);
      else some.push(fetchOf(partition, offset!));
    }
    return {
      offsets,
      request: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
      isApart,
    };
  }

  /**
   * How long the broker may hold the request when there is nothing. One that cannot be fetched from now, because there
   * is enough of it at hand, may be empty at any moment and is not part of the request; so the wait is short, and
   * longer the longer that lasts, since it matters less then.
   */
  private waitMs(): number {
    const blocked = this.entries.filter(({ partition }) => !partition.isWanted);
    if (blocked.length === 0) return this.longestWaitMs;
    const now = Date.now();
    const blockedMs = Math.max(...blocked.map(({ partition }) => partition.blockedMs(now)));
    return Math.round(Math.min(500, Math.max(5, blockedMs / 10)));
  }

  private hand(fetched: readonly FetchedPartition[], offsets: ReadonlyMap<string, number>): void {
    const served = new Set<string>();
    const byName = new Map<string, Partition[]>();
    for (const { partition } of this.entries) {
      const some = byName.get(partition.name);
      if (some === undefined) byName.set(partition.name, [partition]);
      else some.push(partition);
    }
    for (const answer of fetched) {
      const name = keyOf(answer.topic, answer.partition);
      const offset = offsets.get(name)!;
      const readers = (byName.get(name) ?? []).filter(({ isWanted }) => isWanted);
      const haul = this.read(answer, offset);
      if (typeof haul !== "object") {
        for (const reader of readers) if (reader.offset === offset) refuse(reader, haul);
      } else {
        if (haul.next > offset) served.add(name);
        for (const reader of readers) share(haul, offset, reader);
      }
    }
    // The broker fills its answer in the order of the request, so what had its turn goes to the end.
    const isServed = ({ partition }: Entry) => served.has(partition.name);
    if (served.size > 0) {
      this.entries = [
        ...this.entries.filter((one) => !isServed(one)),
        ...this.entries.filter((one) => isServed(one)),
      ];
    }
  }

  /** What is wrong with one partition is its own trouble, and what is wrong with one batch that batch's. */
  private read({ topic, partition, errorCode, bytes, aborted }: FetchedPartition, offset: number) {
    if (errorCode !== 0) return errorCode;
    let haul: Haul;
    try {
      haul = decodeBatches(bytes, offset, aborted);
    } catch (error) {
      return reasonOf(error);
    }
    for (const { offset: last, unreadable } of haul.records) {
      if (unreadable === undefined) continue;
      const context = { topic, partition, ...unreadable, last };
      this.options.logger.error(context, "kafka: messages cannot be read and are passed over");
    }
    return haul;
  }
}

function refuse(reader: Partition, trouble: Trouble): void {
  if (trouble === codes.offsetOutOfRange) reader.seek(undefined);
  else void reader.refused(trouble);
}

/** Everybody whose place lies within what has come gets it from there on. */
function share(haul: Haul, begin: number, reader: Partition): void {
  const { next } = haul;
  const offset = reader.offset!;
  if (offset < begin || offset >= next) return;
  const records = offset === begin ? haul.records : haul.records.filter((record) => record.offset >= offset);
  reader.take({ records, next });
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
