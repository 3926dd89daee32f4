import type { BusEvent } from "../../platform/bus/port.ts";
import { busEventsOf } from "../../platform/bus/postgres/log-row.ts";
import { readLog } from "../../platform/log/read.ts";
import type { Reader } from "../../platform/postgres/statement.ts";

type Topics = Readonly<Record<string, readonly string[] | "all">>;

interface Queue {
  readonly topic: string;
  /** Where the events stand in their topic, in its order. */
  waiting: number[];
}

const batchesAtOnce = 10_000;

/** A bus by hand: what each group has still to hear of each topic. */
export class Deliveries {
  /** Everything that was ever written. */
  readonly events = new Map<string, BusEvent[]>();
  private readonly database: Reader;
  private readonly groups: ReadonlyMap<string, Topics>;
  private readonly queues = new Map<string, Queue[]>();
  private readonly readTo = new Map<string, number>();

  constructor(database: Reader, groups: ReadonlyMap<string, Topics>) {
    this.database = database;
    this.groups = groups;
    for (const [group, topics] of groups) {
      const followed = Object.keys(topics);
      this.queues.set(
        group,
        followed.map((topic) => ({ topic, waiting: [] })),
      );
      for (const topic of followed) this.events.set(topic, []);
    }
  }

  get all(): BusEvent[] {
    return [...this.events.values()].flat();
  }

  /** Takes in what was written since. */
  async look(): Promise<void> {
    for (const [topic, events] of this.events) {
      const batches = await readLog(this.database, topic, this.readTo.get(topic) ?? 0, batchesAtOnce);
      for (const batch of batches) {
        this.readTo.set(topic, batch.position);
        for (const event of busEventsOf(topic, { ...batch, events: JSON.stringify(batch.events) })) {
          this.enqueue(event, events.push(event) - 1);
        }
      }
    }
  }

  private enqueue(event: BusEvent, place: number): void {
    for (const [group, queues] of this.queues) {
      if (!this.isWanted(group, event)) continue;
      queues.find(({ topic }) => topic === event.topic)!.waiting.push(place);
    }
  }

  private isWanted(group: string, { topic, type }: BusEvent): boolean {
    return this.groups.get(group)![topic]?.includes(type) === true;
  }

  waitsFor(group: string): number {
    return this.queues.get(group)!.reduce((sum, { waiting }) => sum + waiting.length, 0);
  }

  /** The next events of some topics, one topic behind the other. */
  next(group: string, counts: readonly number[]): BusEvent[] {
    const queues = this.queues.get(group)!;
    const first = counts.length % queues.length;
    return [...queues.slice(first), ...queues.slice(0, first)].flatMap(({ topic, waiting }, i) =>
      waiting.slice(0, counts[i % counts.length]).map((place) => this.events.get(topic)![place]!),
    );
  }

  /** The next events about one thing, which overtake what is told of others: only what has one key keeps its order. */
  nextOfOneKey(group: string, choice: number, most: number): BusEvent[] {
    const queues = this.queues.get(group)!.filter(({ waiting }) => waiting.length > 0);
    if (queues.length === 0) return [];
    const { topic, waiting } = queues[choice % queues.length]!;
    const events = waiting.map((place) => this.events.get(topic)![place]!);
    const { key } = events[choice % events.length]!;
    return events.filter((event) => event.key === key).slice(0, most);
  }

  done(group: string, events: readonly BusEvent[]): void {
    const ids = new Set(events.map(({ id }) => id));
    for (const queue of this.queues.get(group)!) {
      const all = this.events.get(queue.topic)!;
      queue.waiting = queue.waiting.filter((place) => !ids.has(all[place]!.id));
    }
  }

  /** What it has heard of each topic already, the last so many of it. */
  heard(group: string, most: number): BusEvent[] {
    return this.queues.get(group)!.flatMap(({ topic, waiting }) => {
      const missing = new Set(waiting);
      const all = this.events.get(topic)!;
      return all.filter((event, place) => this.isWanted(group, event) && !missing.has(place)).slice(-most);
    });
  }

  /** The group hears of a topic once more, from a while ago; null is from the beginning. */
  replay(group: string, choice: number, back: number | null): string {
    const queues = this.queues.get(group)!;
    const queue = queues[choice % queues.length]!;
    const all = this.events.get(queue.topic)!;
    const from = back === null ? 0 : Math.max(0, all.length - back);
    const again = all.flatMap((event, place) =>
      place >= from && this.isWanted(group, event) ? [place] : [],
    );
    queue.waiting = [...new Set([...queue.waiting, ...again])].sort((a, b) => a - b);
    return queue.topic;
  }

  replayAll(): void {
    for (const [group, queues] of this.queues) {
      for (const i of queues.keys()) this.replay(group, i, null);
    }
  }
}
