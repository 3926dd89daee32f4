import { isSame, type Place, start, type Tail, type Wish } from "../group/tail.ts";
import type { BusEvent } from "../port.ts";
import type { ReceivedMessage } from "./broker.ts";
import { eventOf, standsAt } from "./event.ts";

export interface BrokerTailOptions {
  readonly topic: string;
  readonly partition: number;
  readonly wish: Wish;
  /** The topic's log; undefined where that is in another database. */
  readonly logid: string | undefined;
  /** Where the broker begins; null for the oldest message that it has. */
  readonly begun: number | null;
  /** Has the broker go on from another place. */
  readonly seek: (offset: number | undefined) => void;
  /** Everything before this offset is done, durably. */
  readonly onDone: (offset: number) => void;
  readonly onDuplicates: (count: number) => void;
  /** The message at this offset is not handled by anybody. */
  readonly onStray: (offset: number, why: string) => void;
}

/** An event that is wanted, and the place of the cursor once it is done. */
interface Entry {
  readonly event: BusEvent;
  readonly after: Place;
  readonly characters: number;
}

const eventsWaiting = 1_000;
const charactersWaiting = 1_000_000;

/**
 * A partition as a broker brings it. Within one, the events of a topic come in the order of its log, save that what was
 * published again, after a relay could not save how far it had come, comes again: whatever does not stand behind
 * everything that was there before is known already. What is not ours, or cannot be read, says nothing of where we are.
 */
export class BrokerTail implements Tail<never> {
  readonly topic: string;
  readonly partition: number;
  private readonly options: BrokerTailOptions;
  place: Place = start;
  private isResumed = false;
  /** What the last message that was looked at leaves to be done: everything behind it. */
  private read: Place;
  /** The furthest event that came since the broker has begun. */
  private seen: Place = start;
  /** The first message that `entries` could hold. */
  private from: number | null;
  private entries: Entry[] = [];
  private characters = 0;
  private isClosed = false;
  private room: (() => void)[] = [];

  constructor(options: BrokerTailOptions) {
    this.options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.from = options.begun;
    this.read = { ...start, offset: options.begun };
  }

  get waiting(): number {
    return this.entries.length;
  }

  get isBehind(): boolean {
    return this.entries.length > 0 || !this.isResumed;
  }

  get isAhead(): boolean {
    return this.isResumed && this.entries.length === 0 && this.read.offset !== this.place.offset;
  }

  /** Every message before this one is done, or was passed over. */
  get doneTo(): number {
    return (this.entries.length > 0 ? this.place.offset : this.read.offset) ?? 0;
  }

  /** Resolves once there is room for more. */
  async offer(messages: readonly ReceivedMessage[], onWanted: () => void): Promise<void> {
    if (this.isClosed) return;
    const before = this.entries.length;
    const duplicates = messages.filter((message) => this.take(message) === "duplicate").length;
    if (duplicates > 0) this.options.onDuplicates(duplicates);
    if (this.entries.length > before) onWanted();
    if (this.hasRoom || this.isClosed) return;
    await new Promise<void>((resolve) => this.room.push(resolve));
  }

  private take(message: ReceivedMessage): "taken" | "passed over" | "duplicate" {
    const offset = message.offset + 1;
    const stands = standsAt(message, this.options.logid);
    if (stands === undefined) return this.stray(message, "it is no event of the topic's log");
    if (!isBehindPlace(stands, this.seen)) {
      this.read = { ...this.read, offset };
      return "duplicate";
    }
    // What we are led past on the way to our place is no duplicate.
    const isDone = !isBehindPlace(stands, this.read);
    const { types, isWanted } = this.options.wish;
    const isAsked = !isDone && (types === undefined || types.includes(message.attributes.type ?? ""));
    const event = isAsked ? eventOf(this.topic, message) : undefined;
    if (isAsked && event === undefined) return this.stray(message, "it cannot be read");
    const isTaken = event !== undefined && isWanted(event);

    const after = { position: stands.position - 1, index: stands.index + 1, offset };
    this.seen = after;
    this.read = isDone ? { ...this.read, offset } : after;
    if (!isTaken) return "passed over";
    this.entries.push({ event, after, characters: message.body.length });
    this.characters += message.body.length;
    return "taken";
  }

  private stray({ offset }: ReceivedMessage, why: string): "passed over" {
    this.read = { ...this.read, offset: offset + 1 };
    this.options.onStray(offset, why);
    return "passed over";
  }

  private get hasRoom(): boolean {
    return this.entries.length < eventsWaiting && this.characters < charactersWaiting;
  }

  skim(): void {}

  resume(place: Place): boolean {
    const isFirst = !this.isResumed;
    if (!isFirst && isSame(place, this.place)) return true;
    this.isResumed = true;
    this.place = place;
    const isWithin = place.offset !== null && this.read.offset !== null;
    const from = this.from ?? 0;
    if (isFirst && place.offset === this.from) {
      // The broker has begun where the cursor stands; of what has come since, some may be known.
      this.keep((entry) => isBehind(entry.after, place));
    } else if (isWithin && place.offset! >= from && place.offset! <= this.read.offset!) {
      this.keep(({ after }) => after.offset! > place.offset!);
    } else {
      this.seek(place.offset);
    }
    if (!isBehind(this.read, place)) this.read = { ...place, offset: this.read.offset };
    return false;
  }

  private seek(offset: number | null): void {
    this.from = offset;
    this.read = { ...this.place, offset };
    this.seen = start;
    this.keep(() => false);
    this.options.seek(offset ?? undefined);
  }

  private keep(isKept: (entry: Entry) => boolean): void {
    this.entries = this.entries.filter(isKept);
    this.characters = this.entries.reduce((sum, { characters }) => sum + characters, 0);
    this.makeRoom();
  }

  private makeRoom(): void {
    if (this.hasRoom) for (const resolve of this.room.splice(0)) resolve();
  }

  /** Takes nothing any more, and waits for nothing. */
  close(): void {
    this.isClosed = true;
    for (const resolve of this.room.splice(0)) resolve();
  }

  fetch(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  accept(): void {}

  events(count: number): BusEvent[] {
    return this.entries.slice(0, count).map(({ event }) => event);
  }

  placeAfter(count: number): Place {
    if (count === this.entries.length) return this.read;
    return count === 0 ? this.place : this.entries[count - 1]!.after;
  }

  advance(count: number): void {
    this.place = this.placeAfter(count);
    this.from = this.place.offset;
    if (this.place.offset !== null) this.options.onDone(this.place.offset);
    for (const { characters } of this.entries.splice(0, count)) this.characters -= characters;
    this.makeRoom();
  }
}

/** Whether the event stands behind everything that is done at this place. */
export function isBehindPlace(
  { position, index }: { position: number; index: number },
  done: Place,
): boolean {
  return position > done.position + 1 || (position === done.position + 1 && index >= done.index);
}

function isBehind(one: Place, other: Place): boolean {
  return one.position > other.position || (one.position === other.position && one.index > other.index);
}
