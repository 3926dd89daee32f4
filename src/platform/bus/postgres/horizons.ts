import type { Appended } from "../../batch/transaction.ts";
import { completeUpTo } from "../../log/horizon.ts";
import type { Pool } from "../../postgres/pool.ts";
import { type Reader, readerOf } from "../../postgres/statement.ts";
import { type LogRow, lastRow, rowsBehind } from "./log-row.ts";
import { RecentRows } from "./recent.ts";

const firstLookAgainMs = 2;
const lastLookAgainMs = 100;
const rowsAtOnce = 200;

/**
 * How far each topic is complete, and its newest rows: asked and read once for all groups of the process. It only ever
 * grows, so a group may read up to here without asking again.
 */
export class Horizons {
  private readonly pool: Pool;
  private readonly onGrown: (topic: string) => void;
  private readonly onError: (error: unknown) => void;
  private readonly complete = new Map<string, number>();
  private readonly recent = new Map<string, RecentRows>();
  private readonly appended = new Map<string, number>();
  private readonly doubtful = new Set<string>();
  private asking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = firstLookAgainMs;
  private stopped = false;

  constructor(
    pool: Pool,
    topics: Iterable<string>,
    onGrown: (topic: string) => void,
    onError: (error: unknown) => void,
  ) {
    this.pool = pool;
    this.onGrown = onGrown;
    this.onError = onError;
    for (const topic of topics) {
      this.complete.set(topic, 0);
      this.recent.set(topic, new RecentRows(topic));
    }
  }

  of(topic: string): number {
    return this.complete.get(topic) ?? 0;
  }

  recentOf(topic: string): RecentRows | undefined {
    return this.recent.get(topic);
  }

  /** These topics have grown; others are none of our business. */
  tell(appended: Appended): void {
    for (const [topic, position] of appended) {
      if (!this.complete.has(topic)) continue;
      this.appended.set(topic, Math.max(position, this.appended.get(topic) ?? 0));
      this.doubtful.add(topic);
    }
    this.pauseMs = firstLookAgainMs;
    this.ask();
  }

  /** Looks at all topics, in case that something was not told. */
  look(): void {
    for (const topic of this.complete.keys()) this.doubtful.add(topic);
    this.ask();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.asking;
  }

  private ask(): void {
    if (this.stopped || this.doubtful.size === 0) return;
    this.asking ??= this.answer();
  }

  private async answer(): Promise<void> {
    clearTimeout(this.timer);
    try {
      const client = await this.pool.connect();
      try {
        while (this.doubtful.size > 0) await this.askFor([...this.doubtful], readerOf(client));
      } finally {
        client.release();
      }
    } catch (error) {
      this.onError(error);
    }
    this.asking = undefined;
    this.lookAgain();
  }

  private async askFor(topics: string[], reader: Reader): Promise<void> {
    this.doubtful.clear();
    await Promise.all(topics.map((topic) => this.askForOne(topic, reader)));
  }

  private async askForOne(topic: string, reader: Reader): Promise<void> {
    const before = this.of(topic);
    const end = await completeUpTo(reader, topic);
    if (end <= before) return;
    await this.readOn(topic, end, reader);
    const { end: last } = this.recent.get(topic)!;
    if (last <= before) return;
    this.complete.set(topic, last);
    this.onGrown(topic);
  }

  /**
   * As far as there are rows. A place behind the last one was taken by a transaction that came to nothing, and when the
   * database crashes before it has written that down, it gives the place out again.
   */
  private async readOn(topic: string, end: number, reader: Reader): Promise<void> {
    const recent = this.recent.get(topic)!;
    // What was there before this process, or came while it was cut off, is for each group to read as fast as it can.
    const rows =
      recent.end === 0 ? [] : await reader.read<LogRow>(rowsBehind(topic), [recent.end, end, rowsAtOnce]);
    const isCutOff = recent.end === 0 || rows.length === rowsAtOnce;
    if (isCutOff) recent.skipTo(await lastRowUpTo(reader, topic, end));
    else if (rows.length > 0) recent.append(rows, rows.at(-1)!.position);
  }

  /**
   * What was committed may stand behind a transaction that still runs. If that one writes nothing in the end, nobody
   * tells of it, so we look again by ourselves.
   */
  private lookAgain(): void {
    const held = [...this.appended].filter(([topic, position]) => position > this.of(topic));
    if (held.length === 0 || this.stopped) return;
    this.timer = setTimeout(() => {
      for (const [topic] of held) this.doubtful.add(topic);
      this.ask();
    }, this.pauseMs).unref();
    this.pauseMs = Math.min(lastLookAgainMs, this.pauseMs * 2);
  }
}

async function lastRowUpTo(reader: Reader, topic: string, end: number): Promise<number> {
  const [row] = await reader.read<{ position: number }>(lastRow(topic), [end]);
  return row?.position ?? 0;
}
