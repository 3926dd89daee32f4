import type { Channel } from "amqplib";
import { InfrastructureError } from "../../errors.ts";
import { unreachable } from "./errors.ts";

const dayMs = 86_400_000;
// Old messages go by whole segments and never the newest one: with the usual 500 MB a quiet topic would keep years.
const segmentBytes = 100_000_000;
/** How often a message is given to consumers that die of it. */
export const deliveryLimit = 20;

/** A stream, and an exchange of the same name for whoever outside wants a part of it in a queue of his own. */
export async function declareStream(channel: Channel, topic: string, retentionMs: number): Promise<void> {
  await orDiffers(topic, async () => {
    await channel.assertExchange(topic, "topic", { durable: true });
    await channel.assertQueue(topic, {
      durable: true,
      arguments: {
        "x-queue-type": "stream",
        "x-max-age": maxAge(retentionMs),
        "x-stream-max-segment-size-bytes": segmentBytes,
      },
    });
    await channel.bindQueue(topic, topic, "#");
  });
}

export function deadOf(topic: string): string {
  return `${topic}.dead`;
}

/** A queue for what others send, and one for what nobody can take. */
export async function declareInbound(channel: Channel, topic: string): Promise<void> {
  const dead = deadOf(topic);
  await orDiffers(topic, async () => {
    await channel.assertExchange(dead, "fanout", { durable: true });
    await channel.assertQueue(dead, { durable: true, arguments: { "x-queue-type": "quorum" } });
    await channel.bindQueue(dead, dead, "");
    await channel.assertExchange(topic, "topic", { durable: true });
    await channel.assertQueue(topic, {
      durable: true,
      arguments: {
        "x-queue-type": "quorum",
        // One process takes it all, so that the order holds; another one goes on when it ends.
        "x-single-active-consumer": true,
        "x-delivery-limit": deliveryLimit,
        "x-dead-letter-exchange": dead,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
      },
    });
    await channel.bindQueue(topic, topic, "#");
  });
}

function maxAge(ms: number): string {
  return ms % dayMs === 0 ? `${ms / dayMs}D` : `${Math.ceil(ms / 1_000)}s`;
}

const preconditionFailed = 406;

async function orDiffers(topic: string, declare: () => Promise<void>): Promise<void> {
  try {
    await declare();
  } catch (error) {
    if ((error as { code?: unknown }).code !== preconditionFailed)
      throw unreachable(`declaring ${topic}`, error);
    const message =
      `RabbitMQ has "${topic}" with other properties than ours (${(error as Error).message}). ` +
      "Set the retention back to what it was and change it with a policy (max-age), or delete the queue and the " +
      "exchange of that name once everybody has read them, and start again.";
    throw new InfrastructureError("bus.topic_differs", message, { retryable: false, cause: error });
  }
}
