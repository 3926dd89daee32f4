import type { Transaction } from "../batch/transaction.ts";

/** An event as a consumer gets it, from whichever bus. */
export interface BusEvent {
  /** The same event always has the same id: topic, place in the topic's log, index in that place's batch. */
  readonly id: string;
  /** The service that wrote it. */
  readonly topic: string;
  readonly type: string;
  readonly subject: string;
  /** Events of one key arrive in the order in which they were written; an order's events have its id as their key. */
  readonly key: string;
  readonly at: Date;
  readonly data: object;
  readonly traceparent?: string;
  /** The id of the event that led to this one. */
  readonly cause?: string;
}

/**
 * Called once the batch is durable, for what need not wait for a sweep. A process that dies in between calls it never,
 * so it must be no more than a shortcut.
 */
export type AfterCommit = () => void;

/** A service's part in the flow: what it listens to, and what it does about it. */
export interface Subscription {
  /** The consumer group, named like the service and kept in its schema. Processes that share it share the work. */
  readonly group: string;
  /** Topic → the types of its events that are handled; all others are passed over. */
  readonly topics: Readonly<Record<string, readonly string[] | "all">>;
  /** Which of these events matter to it; the others are passed over too. Absent: all of them do. */
  readonly concerns?: (event: BusEvent) => boolean;
  /** Whether later events of a key wait while an earlier one is tried again or set aside, or go on without it. */
  readonly afterFailure: "wait" | "follow";
  /**
   * Carries out a batch in the transaction that moves the cursors: done once, or not at all. It may see an event again
   * after a replay, and events of different topics in any order, and must come out right all the same.
   */
  handle(tx: Transaction, events: readonly BusEvent[]): Promise<AfterCommit | undefined>;
}

/** How far a group has come in a topic. */
export interface ConsumerState {
  readonly group: string;
  readonly topic: string;
  /** Absent where nobody keeps one: of what systems outside send. */
  readonly position?: number;
  /** What is not yet handled: batches of a log, events that came through a broker. Absent while that cannot be told. */
  readonly lag?: number;
  /** How long the oldest of them has been waiting; 0 when there is none, absent when it cannot be told. */
  readonly lag_seconds?: number;
  /** Events that failed and are tried again. */
  readonly retrying: number;
  /** Events that were given up on. */
  readonly dead: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly group: string;
  /** `retrying`: tried again by itself; `waiting`: behind an earlier one of its key; `dead`: given up on. */
  readonly status: "retrying" | "waiting" | "dead";
  readonly at: Date;
  /** Null for a command that came over HTTP: its caller was answered 500. */
  readonly event: BusEvent | null;
  readonly command: object | null;
  readonly error: string;
  /** Rounds that failed; the tries at once count as the first one. */
  readonly attempts: number;
  readonly next_try_at: Date | null;
}

export interface DeadLetterFilter {
  readonly group?: string;
  readonly status?: DeadLetter["status"];
}

/**
 * `is_command`: it came over HTTP and its caller was answered, so whether to send it again is for the caller to say.
 * `is_waiting`: an event of the same key stands before it.
 */
export type RetryAnswer = "retrying" | "not_found" | "is_command" | "is_waiting";

export interface ReplayStart {
  readonly position?: number;
  readonly time?: Date;
  /** Absent: every topic of the group. */
  readonly topic?: string;
}

export type BusKind = "postgres" | "kafka" | "rabbitmq";

/** What a bus can do beyond what every bus does. */
export interface BusAbilities {
  /** Events arrive in the order of their topic, or at least in the order of their key. */
  readonly orders: "topic" | "key";
  /** Services may have databases of their own, and systems outside may listen and talk. */
  readonly leavesTheDatabase: boolean;
}

/** The broker as this process sees it. */
export interface BrokerState {
  readonly isUp: boolean;
  /** Since when it is as it is. */
  readonly since: Date;
  /** Why it is not up, in words for the operator. */
  readonly reason?: string;
}

/**
 * Carries the services' logs to whoever follows them. What it delivers is durable, in order for each key, and handled
 * once in effect.
 */
export interface Bus {
  readonly kind: BusKind;
  readonly abilities: BusAbilities;
  /** Undefined where there is none. */
  broker(): BrokerState | undefined;
  subscribe(subscription: Subscription): void;
  /** For those who read a topic by themselves: `onGrown` is called when there is more of it. Before `start`. */
  watch(topic: string, onGrown: () => void): void;
  start(): void;
  /** Finishes what is under way, then ends. */
  stop(): Promise<void>;
  /** Resolves once every group of this process that follows the topic has handled it up to this position. */
  reached(topic: string, position: number, timeoutMs?: number): Promise<boolean>;
  consumers(): Promise<ConsumerState[]>;
  /** From there on once more; in effect nothing happens twice. Answers how many cursors were moved. */
  replay(group: string, from: ReplayStart): Promise<number>;
  /** By id; `after` is the id of the last one of the page before. */
  deadLetters(
    filter: DeadLetterFilter,
    after: string | undefined,
    limit: number,
  ): Promise<{ items: DeadLetter[]; next: string | null }>;
  /** Makes it due now, with all its tries before it. */
  retry(id: string): Promise<RetryAnswer>;
  /** Forgets it, and lets go on what waited behind it. False when there is none with this id. */
  discard(id: string): Promise<boolean>;
}
