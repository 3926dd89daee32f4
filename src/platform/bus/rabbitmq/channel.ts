import { randomUUID } from "node:crypto";
import type { Channel, ConsumeMessage } from "amqplib";

/** A channel whose end can be waited for, whichever side it came from. */
export interface OpenChannel<Kind extends Channel = Channel> {
  readonly channel: Kind;
  /** Resolves with the reason. For what lives as long as the channel: whatever waits here is kept until then. */
  readonly closed: Promise<Error>;
  /** Undefined as long as it is open. */
  reason(): Error | undefined;
  close(reason?: Error): void;
}

export function watched<Kind extends Channel>(channel: Kind): OpenChannel<Kind> {
  let reason: Error | undefined;
  let end: (reason: Error) => void;
  const closed = new Promise<Error>((resolve) => {
    end = resolve;
  });
  const closedFor = (why: Error) => {
    reason ??= why;
    end(reason);
  };
  channel.on("error", closedFor);
  channel.on("close", () => closedFor(new Error("the connection is lost")));
  return {
    channel,
    closed,
    reason: () => reason,
    close(why = new Error("the channel was closed")) {
      if (reason !== undefined) return;
      closedFor(why);
      // Not waited for: when the connection is lost meanwhile, the driver never answers.
      channel.close().catch(() => {});
    },
  };
}

/** Where to begin to read a stream. */
export type StreamOffset =
  | number
  | "first"
  | "last"
  | "next"
  | { readonly "!": "timestamp"; readonly value: number };

type OnMessage = (message: ConsumeMessage | null) => void;

/** What the driver's channels have, and its types do not tell of. */
interface Registering {
  registerConsumer(tag: string, onMessage: OnMessage): void;
}

/**
 * A stream that is written to may deliver before the broker has said that there is a consumer. The driver takes the
 * channel away for that, unless it knows the consumer beforehand.
 */
export async function consumeStream(
  channel: Channel,
  topic: string,
  onMessage: OnMessage,
  { from, tag = randomUUID() }: { readonly from: StreamOffset; readonly tag?: string },
): Promise<void> {
  (channel as Channel & Registering).registerConsumer(tag, onMessage);
  await channel.consume(topic, onMessage, { consumerTag: tag, arguments: { "x-stream-offset": from } });
}
