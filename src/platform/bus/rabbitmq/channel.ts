import type { Channel } from "amqplib";

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
