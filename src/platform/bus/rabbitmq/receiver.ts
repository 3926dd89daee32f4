import type { ConsumeMessage } from "amqplib";
import type { Logger } from "../../telemetry/logger.ts";
import type { ReceiveOptions, Receiver } from "../broker/broker.ts";
import type { Connection } from "./connection.ts";
import { credit, Deliveries } from "./deliveries.ts";
import { unreachable } from "./errors.ts";
import { inboundMessage } from "./messages.ts";
import { declareInbound } from "./topics.ts";
import { pauseAfter, persist, rest, unlessAborted } from "./turns.ts";

export interface QueueReceiverOptions {
  readonly receive: ReceiveOptions;
  /** Under which the broker lists the consumer. */
  readonly name: string;
  readonly connection: Connection;
  readonly logger: Logger;
}

/**
 * Takes what comes into a queue. What cannot be handled now is kept and tried again here: giving it back would count as
 * one of its deliveries, of which each message has a limited number, for those that kill their consumer.
 */
export class QueueReceiver implements Receiver {
  private readonly options: QueueReceiverOptions;
  private readonly closing = new AbortController();
  private readonly ended: Promise<void>;

  constructor(options: QueueReceiverOptions) {
    this.options = options;
    this.ended = persist(
      this.closing.signal,
      (onProgress) => this.receiveUntilLost(onProgress),
      (error) => this.warn(error),
    );
  }

  /** What is under way is finished first. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.ended;
  }

  private async receiveUntilLost(onProgress: () => void): Promise<void> {
    const { signal } = this.closing;
    const { receive, connection, name } = this.options;
    const open = await connection.channelUnlessAborted(signal);
    const deliveries = new Deliveries(open, async (messages) => {
      await this.handle(messages);
      onProgress();
    });
    try {
      await declareInbound(open.channel, receive.topic);
      await open.channel.prefetch(credit);
      if (!signal.aborted) await open.channel.consume(receive.topic, deliveries.take, { consumerTag: name });
      const reason = await unlessAborted(signal, open.closed);
      throw unreachable(`receiving from ${receive.topic}`, reason);
    } finally {
      // Also when the channel is lost: the queue would give the same messages once more, and count it.
      await deliveries.settled();
      open.close();
    }
  }

  private async handle(messages: readonly ConsumeMessage[]): Promise<void> {
    const { signal } = this.closing;
    const { topic, handle } = this.options.receive;
    const inbound = messages.map((message) => inboundMessage(topic, message));
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted();
      try {
        return await handle(inbound);
      } catch (error) {
        this.options.logger.warn(
          { err: error, topic },
          "what was received could not be handled; trying again",
        );
        await rest(pauseAfter(failures), signal);
      }
    }
  }

  private warn(error: Error): void {
    if (!this.options.connection.state.isUp) return; // which is told already
    const { topic } = this.options.receive;
    this.options.logger.warn({ err: error, topic }, "receiving from a queue was broken off; going on");
  }
}
