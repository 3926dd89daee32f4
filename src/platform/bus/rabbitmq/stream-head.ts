import type { Logger } from "../../telemetry/logger.ts";
import type { ReceivedMessage } from "../broker/broker.ts";
import { consumeStream } from "./channel.ts";
import type { Connection } from "./connection.ts";
import { batchSize, credit, Deliveries } from "./deliveries.ts";
import { unreachable } from "./errors.ts";
import { receivedMessage } from "./messages.ts";
import { persist, unlessAborted } from "./turns.ts";

export interface StreamHeadOptions {
  readonly topic: string;
  /** Under which the broker lists the consumer. */
  readonly name: string;
  readonly connection: Connection;
  readonly logger: Logger;
}

/** Without a gap. When it is lost, the next one may be of another stream, which was made anew under the same name. */
export type Reading = symbol;

const messagesKept = 10_000;
const charactersKept = 4_000_000;

/**
 * The newest messages of a stream, read once for all groups of the process that have come so far: each takes them from
 * its own place. Whoever is further behind reads for himself.
 */
export class StreamHead {
  private readonly options: StreamHeadOptions;
  private messages: ReceivedMessage[] = [];
  private characters = 0;
  private current: Reading = Symbol("reading");
  private readonly waiting = new Set<() => void>();
  private readers = 0;
  private stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(options: StreamHeadOptions) {
    this.options = options;
  }

  enter(): void {
    if (this.readers++ > 0) return;
    this.stopping = new AbortController();
    const { signal } = this.stopping;
    this.running = this.running.then(() => this.run(signal));
  }

  /** Resolves once nothing is read for nobody any more. */
  async leave(): Promise<void> {
    if (--this.readers > 0) return;
    this.stopping.abort();
    await this.running;
  }

  /** Everything from this offset on is here, or comes here. */
  holds(offset: number): boolean {
    return this.messages.length > 0 && offset >= this.messages[0]!.offset && offset <= this.end;
  }

  get reading(): Reading {
    return this.current;
  }

  /** The next messages once there are some; undefined when they are no longer here. Throws when the reading is lost. */
  async next(offset: number, reading: Reading): Promise<readonly ReceivedMessage[] | undefined> {
    for (;;) {
      if (reading !== this.current) throw unreachable(`reading ${this.options.topic}`);
      if (!this.holds(offset)) return undefined;
      const from = this.messages.findLastIndex((message) => message.offset < offset) + 1;
      if (from < this.messages.length) return this.messages.slice(from, from + batchSize);
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
  }

  private get end(): number {
    return this.messages.at(-1)!.offset + 1;
  }

  private run(signal: AbortSignal): Promise<void> {
    const { topic, name, connection, logger } = this.options;
    const onFailure = (error: Error) => {
      if (connection.state.isUp)
        logger.debug({ err: error, topic, consumer: name }, "a stream's head is lost");
    };
    return persist(signal, (onProgress) => this.readUntilLost(signal, onProgress), onFailure);
  }

  private async readUntilLost(signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { topic, name, connection } = this.options;
    const open = await connection.channelUnlessAborted(signal);
    const deliveries = new Deliveries(open, async (messages) => {
      if (signal.aborted) return;
      this.append(messages.map(receivedMessage));
      onProgress();
    });
    try {
      const consuming = { from: "next", tag: name } as const;
      await unlessAborted(signal, open.channel.prefetch(credit));
      await unlessAborted(signal, consumeStream(open.channel, topic, deliveries.take, consuming));
      throw unreachable(`reading ${topic}`, await unlessAborted(signal, open.closed));
    } finally {
      open.close();
      this.messages = [];
      this.characters = 0;
      this.current = Symbol("reading");
      this.wake();
    }
  }

  private append(messages: readonly ReceivedMessage[]): void {
    for (const message of messages) {
      this.messages.push(message);
      this.characters += message.body.length;
    }
    let dropped = 0;
    while (this.messages.length - dropped > messagesKept || this.characters > charactersKept) {
      // The last one stays, however large it is: it says where the end is.
      if (dropped === this.messages.length - 1) break;
      this.characters -= this.messages[dropped++]!.body.length;
    }
    if (dropped > 0) this.messages = this.messages.slice(dropped);
    this.wake();
  }

  private wake(): void {
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
