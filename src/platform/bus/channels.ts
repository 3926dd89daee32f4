import type { InboundMessage } from "./broker/broker.ts";
import type { BusEvent } from "./port.ts";

/** A topic for the world outside, derived from a service's events as they are published. */
export interface PublicTopic {
  readonly topic: string;
  messagesOf(event: BusEvent): readonly PublicMessage[];
}

export interface PublicMessage {
  /** The same message always has the same id. */
  readonly id: string;
  readonly key: string;
  readonly type: string;
  readonly subject: string;
  readonly data: object;
}

/** A topic on which systems outside tell a service what has happened there. */
export interface InboundTopic {
  readonly topic: string;
  /** Resolves once each of them is durable: carried out, or set aside with the reason. Throws when that has to wait. */
  receive(messages: readonly InboundMessage[]): Promise<void>;
}
