import type { CursorState } from "../group/state.ts";
import type { ConsumerState } from "../port.ts";
import type { Broker } from "./broker.ts";
import type { Topics } from "./topics.ts";

const freshForMs = 1_000;

interface Behind {
  readonly partition: number;
  readonly offset: number;
  readonly count: number;
}

interface Ends {
  readonly offsets: readonly number[];
  readonly at: number;
}

/** How much of the broker's topics lies before the groups' cursors. While the broker is away, as it was last known. */
export class BrokerLag {
  private readonly broker: Broker;
  private readonly topics: Topics;
  private readonly ends = new Map<string, Ends>();
  /** When the message was written that a cursor stands before. */
  private readonly times = new Map<string, Date>();

  constructor(broker: Broker, topics: Topics) {
    this.broker = broker;
    this.topics = topics;
  }

  async of(cursors: readonly CursorState[]): Promise<ConsumerState[]> {
    const followed = new Map<string, CursorState[]>();
    for (const cursor of cursors) {
      const key = `${cursor.group} ${cursor.topic}`;
      followed.set(key, [...(followed.get(key) ?? []), cursor]);
    }
    return Promise.all([...followed.values()].map((ofTopic) => this.state(ofTopic)));
  }

  private async state(cursors: readonly CursorState[]): Promise<ConsumerState> {
    const [{ group, topic, retrying, dead }] = cursors as [CursorState];
    const behind = await this.behind(topic, cursors);
    const times = await Promise.all(
      behind.map(({ partition, offset }) => this.timeOf(topic, partition, offset)),
    );
    const oldest = Math.min(...times.flatMap((time) => (time === undefined ? [] : [time.getTime()])));
    const lagMs = Number.isFinite(oldest) ? Math.max(0, Date.now() - oldest) : 0;
    return {
      group,
      topic,
      position: Math.max(...cursors.map(({ position, index }) => position + Number(index > 0))),
      lag: behind.reduce((sum, { count }) => sum + count, 0),
      lag_seconds: lagMs / 1_000,
      retrying,
      dead,
    };
  }

  /** What has been asked a moment ago is good enough to tell that there is something, but not that there is nothing. */
  private async behind(topic: string, cursors: readonly CursorState[]): Promise<Behind[]> {
    const known = this.ends.get(topic);
    if (known !== undefined && performance.now() - known.at < freshForMs) {
      const behind = beforeEnds(known.offsets, cursors);
      if (behind.length > 0) return behind;
    }
    return beforeEnds(await this.endsOf(topic, known), cursors);
  }

  private async endsOf(topic: string, known: Ends | undefined): Promise<readonly number[]> {
    if (!this.broker.state().isUp) return known?.offsets ?? [];
    try {
      const offsets = await this.broker.ends(this.topics.nameOf(topic));
      this.ends.set(topic, { offsets, at: performance.now() });
      return offsets;
    } catch {
      return known?.offsets ?? [];
    }
  }

  private async timeOf(topic: string, partition: number, offset: number): Promise<Date | undefined> {
    const key = `${topic}/${partition}@${offset}`;
    const known = this.times.get(key);
    if (known !== undefined || !this.broker.state().isUp) return known;
    if (this.times.size > 1_000) this.times.clear();
    const message = await this.broker
      .peek(this.topics.nameOf(topic), partition, offset)
      .catch(() => undefined);
    const time = message?.attributes.time;
    if (time === undefined) return undefined;
    this.times.set(key, new Date(time));
    return new Date(time);
  }
}

function beforeEnds(ends: readonly number[], cursors: readonly CursorState[]): Behind[] {
  const partitions = ends.map((end, partition) => {
    const offset = cursors.find((cursor) => cursor.partition === partition)?.offset ?? 0;
    return { partition, offset, count: Math.max(0, end - offset) };
  });
  return partitions.filter(({ count }) => count > 0);
}
