import type { Reader } from "../../postgres/statement.ts";
import type { BusEvent } from "../port.ts";

/** How far a group has come in a partition of a topic, as its cursor says. */
export interface Place {
  /** The last row of the log that is done. */
  readonly position: number;
  /** Events of the row right behind it that are done too. */
  readonly index: number;
  /** Where the broker is to go on; null for its oldest message, and where there is no broker. */
  readonly offset: number | null;
}

export const start: Place = { position: 0, index: 0, offset: null };

export function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

export function isSame(one: Place | undefined, other: Place): boolean {
  return one?.position === other.position && one.index === other.index && one.offset === other.offset;
}

/** What a group reads of one partition of a topic: in order, and gone on with where the last batch has ended. */
export interface Tail<Fetched = unknown> {
  readonly topic: string;
  readonly partition: number;
  /** Where we think that the cursor stands. */
  readonly place: Place;
  /** Events that were read and wait to be handled. */
  readonly waiting: number;
  /** There are events to handle, or there may be. */
  readonly isBehind: boolean;
  /** Something was passed over that the cursor does not know of yet. */
  readonly isAhead: boolean;
  /** Passes over what holds nothing wanted, without a transaction: the cursor may follow later. */
  skim(): void;
  /** Whether the cursor stands where we left it; if it was moved by somebody else, what was read ahead is void. */
  resume(place: Place): boolean;
  fetch(database: Reader): Promise<Fetched | undefined>;
  accept(fetched: Fetched | undefined): void;
  events(count: number): BusEvent[];
  /** Where the cursor stands once the next `count` events are done. */
  placeAfter(count: number): Place;
  advance(count: number): void;
}

/** Which events a subscription wants of a topic. */
export interface Wish {
  /** Undefined: of all types. */
  readonly types: readonly string[] | undefined;
  readonly isWanted: (event: BusEvent) => boolean;
}

export function wishOf(
  types: readonly string[] | "all",
  concerns: (event: BusEvent) => boolean = () => true,
): Wish {
  if (types === "all") return { types: undefined, isWanted: concerns };
  const named = new Set(types);
  return { types, isWanted: (event) => named.has(event.type) && concerns(event) };
}
