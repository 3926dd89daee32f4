import type { Consumer } from "./group/consumer.ts";
import type { ConsumerState, ReplayStart } from "./port.ts";

/** What brings events to the consumer groups, and knows how much there is of them. */
export interface Carrier {
  /** Whether the processes of a group are given work of their own each, or agree on who does it all. */
  readonly divides: boolean;
  /** Before `start`. Assigns the tails to the consumer. */
  attach(consumer: Consumer): void;
  start(): void;
  /** Brings nothing more. */
  stop(): Promise<void>;
  /** In case that something was not told. */
  look(): void;
  /** What `attach`ed consumers of this process have done, and are known to have done elsewhere. */
  reached(
    consumers: readonly Consumer[],
    topic: string,
    position: number,
    timeoutMs: number,
  ): Promise<boolean>;
  states(groups: readonly string[]): Promise<ConsumerState[]>;
  /** Moves the group's cursors back; answers how many there are. */
  rewind(group: string, from: ReplayStart): Promise<number>;
}
