import { placeOf } from "../../../kernel/place.ts";
import type { BusEvent } from "../port.ts";
import { nameOf, type Place, type Tail } from "./tail.ts";

/** How far the cursors have been, as far as this process has seen: what a replay brings again lies before that. */
export class Reached {
  private readonly places = new Map<string, Place>();

  note(tails: readonly Tail[]): void {
    for (const tail of tails) {
      if (this.isAtTheEnd(tail)) this.places.set(nameOf(tail), tail.place);
    }
  }

  /** Which of the events that the tail brings now have been handled before. */
  repeated(tail: Tail, events: readonly BusEvent[]): readonly BusEvent[] {
    const reached = this.places.get(nameOf(tail));
    if (reached === undefined || this.isAtTheEnd(tail)) return [];
    return events.filter(({ id }) => isDone(id, reached));
  }

  private isAtTheEnd(tail: Tail): boolean {
    const { position = 0, index = 0 } = this.places.get(nameOf(tail)) ?? {};
    return tail.place.position > position || (tail.place.position === position && tail.place.index >= index);
  }
}

function isDone(id: string, { position, index }: Place): boolean {
  const [itsPosition, itsIndex] = placeOf(id)!;
  return itsPosition <= position || (itsPosition === position + 1 && itsIndex < index);
}
