import { setImmediate as nextRound } from "node:timers/promises";
import type { ConsumeMessage } from "amqplib";
import type { OpenChannel } from "./channel.ts";

export const batchSize = 1_000;
/** While one batch is worked on, the next one is here already; the broker sends no more than that ahead. */
export const credit = 2 * batchSize;

/** Hands on what a channel is given, batch after batch, and acknowledges each when it is done. */
export class Deliveries {
  private readonly open: OpenChannel;
  private readonly deliver: (messages: readonly ConsumeMessage[]) => Promise<void>;
  private waiting: ConsumeMessage[] = [];
  private delivering: Promise<void> | undefined;

  /** When `deliver` throws, the channel ends with that. */
  constructor(open: OpenChannel, deliver: (messages: readonly ConsumeMessage[]) => Promise<void>) {
    this.open = open;
    this.deliver = deliver;
  }

  /** For the driver, which says with null that the broker has taken the queue away. */
  readonly take = (message: ConsumeMessage | null): void => {
    if (message === null) {
      this.open.close(new Error("the queue is gone"));
      return;
    }
    this.waiting.push(message);
    this.delivering ??= this.run();
  };

  /** Resolves when nothing is under way. What has not been begun is dropped once the channel has ended. */
  async settled(): Promise<void> {
    await this.delivering;
  }

  private async run(): Promise<void> {
    const { open } = this;
    try {
      await nextRound(); // What has come in one packet shall go on as one batch.
      while (this.waiting.length > 0 && open.reason() === undefined) {
        const batch = this.waiting.splice(0, batchSize);
        await this.deliver(batch);
        if (open.reason() === undefined) open.channel.ack(batch.at(-1)!, true);
      }
    } catch (error) {
      open.close(error as Error);
    }
    this.delivering = undefined;
  }
}
