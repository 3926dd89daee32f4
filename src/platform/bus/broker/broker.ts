import type { BrokerState } from "../port.ts";

export type { BrokerState };

/**
 * What the bus needs of a message broker. A topic consists of partitions; each of them is a log of messages in a fixed
 * order, with offsets that only grow. Whatever cannot reach the broker throws a retryable `InfrastructureError`.
 */
export interface Broker {
  readonly name: "kafka" | "rabbitmq";
  /**
   * True when the processes of a group have partitions of their own (one process for each, at one moment); false when
   * each process is given everything, and they have to agree among themselves on who works.
   */
  readonly assigns: boolean;
  state(): BrokerState;
  /** Makes what is missing of these topics. Those that are there stay as they are. */
  createTopics(topics: readonly string[]): Promise<void>;
  /**
   * Resolves once the broker has them all, durably. Messages of one key stay in their order: when it throws, none, some
   * or all of them may be there, but never a later one of a key without the earlier ones.
   */
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void>;
  follow(options: FollowOptions): Follower;
  /** The offset behind the last message of each partition, by partition. */
  ends(topic: string): Promise<number[]>;
  /** The first offset of which the message is not older than this, by partition; the end if all are. */
  offsetsAt(topic: string, time: Date): Promise<number[]>;
  /** The message at this offset, or the next one that is still there; undefined behind the end. */
  peek(topic: string, partition: number, offset: number): Promise<ReceivedMessage | undefined>;
  /** Takes what systems outside send to this topic. */
  receive(options: ReceiveOptions): WatchedReceiver;
  close(): Promise<void>;
}

/** Attributes of CloudEvents 1.0, without the prefix that a protocol's binding puts before their names. */
export type Attributes = Readonly<Record<string, string>>;

export interface OutgoingMessage {
  readonly key: string;
  readonly attributes: Attributes;
  /** JSON. */
  readonly body: string;
}

export interface ReceivedMessage {
  readonly offset: number;
  readonly key: string;
  readonly attributes: Attributes;
  readonly body: string;
}

export interface FollowOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** This process is given the partition; answers the offset to begin at, undefined for the oldest message there is. */
  begin(topic: string, partition: number): Promise<number | undefined>;
  /** In the order of the partition. What follows is given once this resolves, so that nobody is given too much. */
  deliver(topic: string, partition: number, messages: readonly ReceivedMessage[]): Promise<void>;
  /** The partition is somebody else's from now on. */
  end(topic: string, partition: number): void;
}

export interface Follower {
  /** Goes on from there, also when a delivery has not resolved yet; undefined is the oldest message there is. */
  seek(topic: string, partition: number, offset: number | undefined): void;
  /** Everything before the offset is done and durable: for whoever watches the group from outside. Never throws. */
  done(topic: string, partition: number, offset: number): void;
  close(): Promise<void>;
}

export interface InboundMessage {
  readonly attributes: Attributes;
  readonly body: string;
  /** Where it was found, for people: `inventory.inbound/2@1044`. */
  readonly place: string;
  /** Why nobody can tell what is in it: it is handed on for that to be known, and to be set aside. */
  readonly unreadable?: string;
}

export interface ReceiveOptions {
  readonly topic: string;
  readonly group: string;
  /**
   * Resolves once each of them is durable: carried out, or set aside with the reason. When it throws they are given
   * again, and none that came behind them before that.
   */
  handle(messages: readonly InboundMessage[]): Promise<void>;
}

export interface Receiver {
  close(): Promise<void>;
}

export interface WatchedReceiver extends Receiver {
  /** What is not durable here yet of what was sent; undefined when that cannot be told from here. */
  waiting(): Promise<Waiting | undefined>;
}

export interface Waiting {
  /** At least so many; 0 only when there is none. */
  readonly count: number;
  /** When the oldest of them was written; undefined when there is none, or the broker does not say. */
  readonly since?: Date | undefined;
}
