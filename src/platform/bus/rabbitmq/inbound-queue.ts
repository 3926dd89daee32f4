import type { InboundMessage, Waiting } from "../broker/broker.ts";
import type { Connection } from "./connection.ts";
import { orUnreachable, within } from "./errors.ts";
import { deadOf } from "./topics.ts";

type Handle = (messages: readonly InboundMessage[]) => Promise<void>;

/** How much lies in a queue of what comes in. AMQP tells of what was given to nobody yet; what we have in hand we know. */
export class InboundQueue {
  private readonly connection: Connection;
  private readonly timeoutMs: number;
  private readonly topic: string;
  private inHand = 0;
  /** Since when the connection is up on which we were given something: of several processes one is given everything. */
  private givenSince: Date | undefined;

  constructor(topic: string, connection: Connection, timeoutMs: number) {
    this.topic = topic;
    this.connection = connection;
    this.timeoutMs = timeoutMs;
  }

  get deadLetters(): string {
    return deadOf(this.topic);
  }

  /** What fails stays in hand until it is tried again. */
  counted(handle: Handle): Handle {
    return async (messages) => {
      this.inHand = messages.length;
      this.givenSince = this.connection.state.since;
      await handle(messages);
      this.inHand = 0;
    };
  }

  /** At least so much: what was sent ahead while a batch is in hand is in neither count. Since when, AMQP does not tell. */
  async waiting(): Promise<Waiting | undefined> {
    const count = (await this.look(this.topic)).messageCount + this.inHand;
    const isGivenAll = this.givenSince === this.connection.state.since;
    // What another process may have in hand we do not know.
    return count === 0 && !isGivenAll ? undefined : { count };
  }

  /** What nobody could take. */
  async dead(): Promise<number> {
    return (await this.look(this.deadLetters)).messageCount;
  }

  private look(queue: string) {
    const what = `looking at ${queue}`;
    return orUnreachable(what, async () => {
      const open = await this.connection.channel();
      try {
        return await within(this.timeoutMs, what, open.channel.checkQueue(queue));
      } finally {
        open.close();
      }
    });
  }
}
