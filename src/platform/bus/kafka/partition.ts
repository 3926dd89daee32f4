import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { pauseAfter } from "./patience.ts";
import type { Haul, StoredRecord } from "./record-reader.ts";

export interface PartitionOptions {
  readonly topic: string;
  readonly partition: number;
  readonly logger: Logger;
  /** Where to begin. */
  begin(): Promise<number | undefined>;
  oldest(): Promise<number>;
  deliver(records: readonly StoredRecord[]): Promise<void>;
  /** It may be fetched from again. */
  ready(): void;
  /** It may be that somebody else leads it now. Never throws. */
  moved(): Promise<void>;
}

/** The code that the broker gave, or what is wrong with what it gave. */
export type Trouble = number | string;

const longestPauseMs = 5_000;
const worthTelling = 4;

/**
 * One partition that is ours: what is fetched waits here until what came before it has been taken. That is one batch
 * at most, so that memory is bounded and there is something at hand when the one before is done.
 */
export class Partition {
  readonly topic: string;
  readonly partition: number;
  readonly name: string;
  private readonly options: PartitionOptions;
  /** Grows whenever we go on from somewhere else; what was under way under an older one no longer counts. */
  private turn = 0;
  private position: number | undefined;
  private waiting: readonly StoredRecord[] = [];
  private isDelivering = false;
  private hasEnded = false;
  /** How often in a row the broker has not given it to us, and that we do not ask just now for that reason. */
  private refusals = 0;
  private isResting = false;
  /** Since when it cannot be fetched from. */
  private blockedSince: number | undefined = Date.now();

  constructor(options: PartitionOptions) {
    this.options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.name = keyOf(options.topic, options.partition);
    void this.place(() => options.begin());
  }

  /** The offset to fetch from. */
  get offset(): number | undefined {
    return this.position;
  }

  /** Unless there is enough at hand. */
  get isWanted(): boolean {
    return this.position !== undefined && this.waiting.length === 0 && !this.isResting;
  }

  blockedMs(now: number): number {
    return this.blockedSince === undefined ? 0 : now - this.blockedSince;
  }

  /** From the offset on that was wanted. */
  take(haul: Haul): void {
    this.refusals = 0;
    this.position = haul.next;
    if (haul.records.length === 0) return;
    this.waiting = haul.records;
    if (this.isDelivering) this.blockedSince = Date.now();
    else void this.deliverAll(this.turn);
  }

  /** Asked for again a little later, elsewhere if it is somewhere else. */
  async refused(error: Trouble): Promise<void> {
    const { topic, partition, turn } = this;
    const { logger } = this.options;
    this.isResting = true;
    this.blockedSince = Date.now();
    this.refusals++;
    if (this.refusals === 1) logger.warn({ topic, partition, error }, "kafka: fetching fails");
    await this.moved();
    await sleep(pauseAfter(this.refusals));
    if (turn !== this.turn) return;
    this.isResting = false;
    this.blockedSince = undefined;
    this.options.ready();
  }

  moved(): Promise<void> {
    return this.options.moved();
  }

  seek(offset: number | undefined): void {
    void this.place(async () => offset);
  }

  end(): void {
    this.hasEnded = true;
    this.reset();
  }

  private reset(): number {
    this.position = undefined;
    this.waiting = [];
    this.isDelivering = false;
    this.isResting = false;
    this.blockedSince = Date.now();
    return ++this.turn;
  }

  private async place(find: () => Promise<number | undefined>): Promise<void> {
    const turn = this.reset();
    // Once it is known, it is not asked again because the broker could not answer.
    let found: { readonly offset: number | undefined } | undefined;
    await this.untilItWorks(turn, "cannot tell where to go on", async () => {
      found ??= { offset: await find() };
      const position = found.offset ?? (await this.options.oldest());
      if (turn !== this.turn) return;
      this.position = position;
      this.blockedSince = undefined;
      this.options.ready();
    });
  }

  private async deliverAll(turn: number): Promise<void> {
    this.isDelivering = true;
    while (turn === this.turn && this.waiting.length > 0) {
      const records = this.waiting;
      this.waiting = [];
      this.blockedSince = undefined;
      this.options.ready();
      await this.untilItWorks(turn, "messages were not taken", () => this.options.deliver(records));
    }
    if (turn === this.turn) this.isDelivering = false;
  }

  private async untilItWorks(turn: number, trouble: string, work: () => Promise<void>): Promise<void> {
    for (let failures = 1; turn === this.turn && !this.hasEnded; failures++) {
      try {
        return await work();
      } catch (error) {
        const { topic, partition } = this;
        const context = { err: error, topic, partition };
        // Of a partition that has just been made the broker knows nothing for a moment.
        const level = failures < worthTelling ? "debug" : "warn";
        this.options.logger[level](context, `kafka: ${trouble}, and it is tried again`);
        await sleep(pauseAfter(failures, longestPauseMs));
      }
    }
  }
}

export function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
