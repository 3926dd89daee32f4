import type { Channel, ConsumeMessage } from "amqplib";
import type { ReceivedMessage } from "../broker/broker.ts";
import { consumeStream, type StreamOffset } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { orUnreachable, within } from "./errors.ts";
import { offsetOf, receivedMessage, timeOf } from "./messages.ts";

const creditForEnd = 10_000;
const searchCredit = 2_000;
// Long enough for a hundred thousand messages, short of what a call may take.
const searchMs = 3_000;
// The broker's clock gave a chunk its time, the writer's clock asks.
const clocksDifferMs = 10_000;

/** Questions about a stream, which AMQP has no words for: answered by reading a little of it. */
export class Glance {
  private readonly connection: Connection;
  private readonly timeoutMs: number;

  constructor(connection: Connection, timeoutMs: number) {
    this.connection = connection;
    this.timeoutMs = timeoutMs;
  }

  /** The offset behind the last message. */
  end(topic: string): Promise<number> {
    return this.on(topic, (channel) => readEnd(channel, topic));
  }

  /** The first message that is not older, as far as it is found soon; otherwise an earlier one. */
  async offsetAt(topic: string, time: Date): Promise<number> {
    const seconds = Math.floor((time.getTime() - clocksDifferMs) / 1_000);
    const from = { "!": "timestamp", value: Math.max(0, seconds) } as const;
    const offset = await this.on(topic, (channel) => readTo(channel, topic, from, time));
    return offset ?? this.end(topic);
  }

  /** The message there, or the next one that is still there. */
  async at(topic: string, offset: number): Promise<ReceivedMessage | undefined> {
    const message = await this.on(topic, (channel) => firstFrom(channel, topic, offset));
    return message && receivedMessage(message);
  }

  private on<T>(topic: string, ask: (channel: Channel) => Promise<T>): Promise<T> {
    const what = `looking into ${topic}`;
    return orUnreachable(what, async () => {
      const open = await this.connection.channel();
      try {
        return await within(this.timeoutMs, what, ask(open.channel));
      } catch (error) {
        throw open.reason() ?? error;
      } finally {
        open.close();
      }
    });
  }
}

async function firstFrom(
  channel: Channel,
  topic: string,
  from: StreamOffset,
): Promise<ConsumeMessage | undefined> {
  return (await read(channel, topic, from, 1)).found;
}

async function readEnd(channel: Channel, topic: string): Promise<number> {
  for (;;) {
    // A reader gets whole chunks for as long as it has credit, so what used all of it up may not have been the end.
    const seen = await read(channel, topic, "last", creditForEnd);
    for (let credited = 0; seen.count - credited >= creditForEnd; await fence(channel, topic)) {
      credited = seen.count;
      channel.ack(seen.last!, true);
    }
    if (seen.last !== undefined) return offsetOf(seen.last) + 1;
    // In a cluster the newest chunk may not be confirmed yet, and is not shown; only an empty stream shows nothing.
    if ((await read(channel, topic, "first", 1)).count === 0) return 0;
  }
}

/** A chunk has one time, that of its writing, so messages that are older come along. */
async function readTo(
  channel: Channel,
  topic: string,
  from: StreamOffset,
  time: Date,
): Promise<number | undefined> {
  const until = performance.now() + searchMs;
  const isFound = (message: ConsumeMessage) => !(timeOf(message) < time.getTime());
  const seen = await read(channel, topic, from, searchCredit, isFound);
  let count = 0;
  while (seen.found === undefined && seen.count > count && performance.now() < until) {
    count = seen.count;
    channel.ack(seen.last!, true);
    await fence(channel, topic);
  }
  if (seen.found !== undefined) return offsetOf(seen.found);
  return seen.last && offsetOf(seen.last) + 1;
}

interface Seen {
  count: number;
  found?: ConsumeMessage;
  last?: ConsumeMessage;
}

/** Everything that the stream has from there on, as far as the credit goes. */
async function read(
  channel: Channel,
  topic: string,
  from: StreamOffset,
  credit: number,
  isFound: (message: ConsumeMessage) => boolean = () => true,
): Promise<Seen> {
  const seen: Seen = { count: 0 };
  const see = (message: ConsumeMessage | null) => {
    if (message === null) return;
    seen.count++;
    if (seen.found === undefined && isFound(message)) seen.found = message;
    seen.last = message;
  };
  await channel.prefetch(credit);
  await consumeStream(channel, topic, see, { from });
  await fence(channel, topic);
  return seen;
}

/**
 * Returns once everything has arrived that was due before. A new reader is woken by the stream's process; another
 * consumer has the channel ask that same process for something and wait, so the waking is in the channel's mailbox by
 * then, before the second request.
 */
async function fence(channel: Channel, topic: string): Promise<void> {
  await consumeStream(channel, topic, () => {}, { from: "next" });
  await channel.prefetch(1);
}
