import { type ConfirmChannel, IllegalOperationError } from "amqplib";
import type { OutgoingMessage } from "../broker/broker.ts";
import type { OpenChannel } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { unreachable, within } from "./errors.ts";
import { propertiesOf, routingKeyOf } from "./messages.ts";

/** What must be there before the first message on a channel: the broker may have come back without its data. */
export type Prepare = (channel: ConfirmChannel) => Promise<void>;

/**
 * Publishes on one channel, on which order holds. The first message that is refused ends the channel, and with it every
 * call that is under way: what is tried again goes on a new one, whole, so nothing overtakes what failed.
 */
export class Publisher {
  private readonly connection: Connection;
  private readonly timeoutMs: number;
  private readonly prepare: Prepare;
  private opening: Promise<OpenChannel<ConfirmChannel>> | undefined;

  constructor(connection: Connection, timeoutMs: number, prepare: Prepare) {
    this.connection = connection;
    this.timeoutMs = timeoutMs;
    this.prepare = prepare;
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const what = `publishing to ${topic}`;
    const until = performance.now() + this.timeoutMs;
    const open = await within(this.timeoutMs, what, this.channel());
    try {
      await within(until - performance.now(), what, confirmed(open.channel, topic, messages));
    } catch (error) {
      open.close(error as Error);
      throw error instanceof LostMessage || error instanceof IllegalOperationError
        ? unreachable(what, open.reason())
        : error;
    }
  }

  private channel(): Promise<OpenChannel<ConfirmChannel>> {
    if (this.opening !== undefined) return this.opening;
    const opening = this.open();
    this.opening = opening;
    const forget = () => {
      if (this.opening === opening) this.opening = undefined;
    };
    opening.then(({ closed }) => closed).then(forget, forget);
    return opening;
  }

  private async open(): Promise<OpenChannel<ConfirmChannel>> {
    const open = await this.connection.confirmChannel();
    open.channel.on("return", ({ fields }) =>
      open.close(new Error(`no queue takes the messages of ${fields.exchange}`)),
    );
    try {
      await this.prepare(open.channel);
    } catch (error) {
      open.close();
      throw error;
    }
    return open;
  }
}

class LostMessage extends Error {}

function confirmed(
  channel: ConfirmChannel,
  topic: string,
  messages: readonly OutgoingMessage[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    let open = messages.length;
    // Also called, with an error, for each message that has no answer when the channel ends.
    const onAnswer = (error: Error | null) => {
      if (error) reject(new LostMessage(error.message));
      else if (--open === 0) resolve();
    };
    for (const message of messages) {
      const body = Buffer.from(message.body);
      channel.publish(topic, routingKeyOf(message), body, propertiesOf(message), onAnswer);
    }
  });
}
