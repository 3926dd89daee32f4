import type { BusEvent } from "../port.ts";

/** Tries at once before a single event is given the blame. */
const triesAlone = 3;
/** What fails for no reason of its own gets a second chance before it is taken apart. */
const triesTogether = 2;

/**
 * Looks for the event that a batch fails for. The batch is halved until an event stands alone; what succeeds on the way
 * is done for good. Holds the sizes of the parts that are still to be tried, the next one last.
 */
export class Suspicion {
  private readonly parts: number[] = [];
  private tries = 0;
  private alone: string | undefined;
  private verdict: { readonly id: string; readonly error: unknown } | undefined;

  /** How many events the next batch may hold; undefined when nothing is suspected. */
  get limit(): number | undefined {
    return this.parts.at(-1);
  }

  failed(events: readonly BusEvent[], error: unknown): void {
    const size = events.length;
    this.parts.splice(-1, 1, size);
    this.tries++;
    if (size === 1) {
      this.failedAlone(events[0]!, error);
    } else if (this.tries >= (this.parts.length === 1 ? triesTogether : 1)) {
      this.parts.splice(-1, 1, size - (size >> 1), size >> 1);
      this.tries = 0;
    }
  }

  private failedAlone({ id }: BusEvent, error: unknown): void {
    if (id !== this.alone) this.tries = 1;
    this.alone = id;
    if (this.tries >= triesAlone) this.verdict = { id, error };
  }

  /** Whether it is known that these are one event that cannot be handled. */
  condemns(events: readonly BusEvent[]): { readonly error: unknown } | undefined {
    return events.length === 1 && events[0]!.id === this.verdict?.id ? this.verdict : undefined;
  }

  /** The part that was tried is dealt with. */
  settled(): void {
    this.parts.pop();
    this.tries = 0;
    this.alone = undefined;
    this.verdict = undefined;
  }

  /** The batches to come are others. */
  clear(): void {
    this.parts.length = 0;
    this.settled();
  }
}
