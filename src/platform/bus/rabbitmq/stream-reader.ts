import type { Logger } from "../../telemetry/logger.ts";
import type { FollowOptions, ReceivedMessage } from "../broker/broker.ts";
import { consumeStream, type OpenChannel } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { credit, Deliveries } from "./deliveries.ts";
import { unreachable } from "./errors.ts";
import type { Glance } from "./glance.ts";
import { receivedMessage } from "./messages.ts";
import type { Reading, StreamHead } from "./stream-head.ts";
import { persist, unlessAborted } from "./turns.ts";

/** The one partition of a stream. */
const partition = 0;

export interface StreamReaderOptions {
  readonly topic: string;
  /** Under which the broker lists the consumer. */
  readonly name: string;
  readonly follow: Pick<FollowOptions, "begin" | "deliver">;
  readonly connection: Connection;
  readonly glance: Glance;
  readonly head: StreamHead;
  readonly logger: Logger;
}

interface Place {
  /** Undefined is the oldest message there is. */
  readonly offset: number | undefined;
}

interface PlaceAtHead {
  readonly offset: number;
  readonly reading: Reading;
}

/** Answers where to go on. */
type Deliver = (messages: readonly ReceivedMessage[]) => Promise<number>;

/**
 * Reads one stream for one group: alone until it has come to the stream's head, and there with the others. A *turn*
 * lasts until somebody seeks; its last delivery may then still be under way, and nobody waits for it. Whatever is lost
 * within a turn (the connection, or the channel, which the broker takes away when a delivery takes longer than its
 * consumer_timeout) is found again: the delivery ends, and `begin` is asked anew.
 */
export class StreamReader {
  private readonly options: StreamReaderOptions;
  private readonly ended: Promise<void>;
  private turn = new AbortController();
  private sought: Place | undefined;
  private isClosed = false;

  constructor(options: StreamReaderOptions) {
    this.options = options;
    this.ended = this.takeTurns();
  }

  seek(offset: number | undefined): void {
    this.sought = { offset };
    this.turn.abort();
  }

  /** Does not wait for a delivery that is under way. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.turn.abort();
    await this.ended;
  }

  private async takeTurns(): Promise<void> {
    const { topic, name, connection, head, logger } = this.options;
    head.enter();
    const onFailure = (error: Error) => {
      if (!connection.state.isUp) return; // which is told already
      logger.warn({ err: error, topic, consumer: name }, "reading a stream was broken off; going on");
    };
    while (!this.isClosed) {
      const { signal } = this.turn;
      await persist(signal, (onProgress) => this.readUntilLost(signal, onProgress), onFailure);
      if (!this.isClosed) this.turn = new AbortController();
    }
    await head.leave();
  }

  private async readUntilLost(signal: AbortSignal, onProgress: () => void): Promise<void> {
    const deliver: Deliver = async (messages) => {
      signal.throwIfAborted();
      await this.options.follow.deliver(this.options.topic, partition, messages);
      onProgress();
      return messages.at(-1)!.offset + 1;
    };
    for (let place = this.sought; ; ) {
      const arrived = await this.readAlone(place, deliver, signal);
      place = { offset: await this.readAtHead(arrived, deliver, signal) };
    }
  }

  /** From there, or from where the group begins; answers where it goes on at the head. */
  private async readAlone(
    place: Place | undefined,
    deliver: Deliver,
    signal: AbortSignal,
  ): Promise<PlaceAtHead> {
    const { topic, connection, head } = this.options;
    const open = await connection.channelUnlessAborted(signal);
    let arrived: PlaceAtHead | undefined;
    const deliveries = new Deliveries(open, async (messages) => {
      const offset = await deliver(messages.map(receivedMessage));
      if (!head.holds(offset)) return;
      arrived = { offset, reading: head.reading };
      open.close();
    });
    try {
      await this.consume(open, deliveries, place, signal);
      const reason = await unlessAborted(signal, open.closed);
      await unlessAborted(signal, deliveries.settled());
      if (arrived === undefined) throw unreachable(`reading ${topic}`, reason);
      return arrived;
    } finally {
      open.close();
    }
  }

  /** Answers where it goes on alone, since it has fallen too far behind. */
  private async readAtHead(arrived: PlaceAtHead, deliver: Deliver, signal: AbortSignal): Promise<number> {
    for (let { offset, reading } = arrived; ; ) {
      const messages = await unlessAborted(signal, this.options.head.next(offset, reading));
      if (messages === undefined) return offset;
      offset = await unlessAborted(signal, deliver(messages));
    }
  }

  private async consume(
    open: OpenChannel,
    deliveries: Deliveries,
    given: Place | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { topic, name } = this.options;
    const place = given ?? { offset: await unlessAborted(signal, this.begin()) };
    const from = (await unlessAborted(signal, this.isThere(place))) ? place.offset : undefined;
    const consuming = { from: from ?? "first", tag: name } as const;
    await unlessAborted(signal, open.channel.prefetch(credit));
    await unlessAborted(signal, consumeStream(open.channel, topic, deliveries.take, consuming));
    if (this.sought === given) this.sought = undefined;
  }

  private async begin(): Promise<number | undefined> {
    return this.options.follow.begin(this.options.topic, partition);
  }

  /**
   * The broker takes an offset behind the end for a wish to see nothing until then. Ours never are, unless the stream
   * was made anew: then all of it is new.
   */
  private async isThere({ offset }: Place): Promise<boolean> {
    const { topic, glance, logger } = this.options;
    if (offset === undefined) return true;
    const end = await glance.end(topic);
    if (offset <= end) return true;
    logger.warn({ topic, offset, end }, "the stream ends before the offset to go on from; reading all of it");
    return false;
  }
}
