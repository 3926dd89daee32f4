import { randomUUID } from "node:crypto";
import type { Channel } from "amqplib";
import { InfrastructureError } from "../../errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Registry } from "../../telemetry/metrics.ts";
import type {
  Broker,
  BrokerState,
  Follower,
  FollowOptions,
  OutgoingMessage,
  ReceivedMessage,
  ReceiveOptions,
  WatchedReceiver,
} from "../broker/broker.ts";
import { Connection, type TlsOptions } from "./connection.ts";
import { orUnreachable, within } from "./errors.ts";
import { Glance } from "./glance.ts";
import { InboundQueue } from "./inbound-queue.ts";
import { deadInboundMessages, type PublishDuration, publishDuration } from "./metrics.ts";
import { Publisher } from "./publisher.ts";
import { QueueReceiver } from "./receiver.ts";
import { StreamHead } from "./stream-head.ts";
import { StreamReader } from "./stream-reader.ts";
import { declareStream } from "./topics.ts";

export interface RabbitBrokerOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps:` with TLS. */
  readonly url: string;
  /** Before the names of groups where the broker lists its consumers. */
  readonly groupPrefix: string;
  /** How long streams keep their messages; 7 days when absent. */
  readonly retentionMs?: number;
  readonly tls?: TlsOptions;
  readonly logger: Logger;
  readonly registry: Registry;
  /** After which a call gives up; 10 s when absent. */
  readonly requestTimeoutMs?: number;
}

const weekMs = 7 * 86_400_000;

/** Connects in the background, and goes on trying until it is closed. */
export function createRabbitBroker(options: RabbitBrokerOptions): Broker {
  const protocol = URL.canParse(options.url) ? new URL(options.url).protocol : "";
  if (protocol !== "amqp:" && protocol !== "amqps:") {
    const message = "The URL of RabbitMQ must be like amqp://user:password@host:5672 (or amqps:).";
    throw new InfrastructureError("bus.url_invalid", message, { retryable: false });
  }
  return new RabbitBroker(options);
}

class RabbitBroker implements Broker {
  readonly name = "rabbitmq";
  readonly assigns = false;
  private readonly options: RabbitBrokerOptions;
  private readonly timeoutMs: number;
  // The broker stops reading from those who publish when it is short of memory; acknowledgements shall still get through.
  private readonly outward: Connection;
  private readonly inward: Connection;
  private readonly publisher: Publisher;
  private readonly glance: Glance;
  private readonly publishDuration: PublishDuration;
  private readonly topics = new Set<string>();
  private readonly heads = new Map<string, StreamHead>();
  private readonly inbound: InboundQueue[] = [];
  private readonly open = new Set<{ close(): Promise<void> }>();

  constructor(options: RabbitBrokerOptions) {
    this.options = options;
    this.timeoutMs = options.requestTimeoutMs ?? 10_000;
    this.publishDuration = publishDuration(options.registry);
    deadInboundMessages(options.registry, options.logger, () => this.deadInbound());
    this.outward = this.connection("publishing");
    this.inward = this.connection("consuming");
    this.glance = new Glance(this.inward, this.timeoutMs);
    this.publisher = new Publisher(this.outward, this.timeoutMs, (channel) => this.declare(channel));
  }

  state(): BrokerState {
    const { state: outward } = this.outward;
    const { state: inward } = this.inward;
    if (outward.isUp !== inward.isUp) return outward.isUp ? inward : outward;
    return outward.since > inward.since ? outward : inward;
  }

  async createTopics(topics: readonly string[]): Promise<void> {
    const what = "making the topics";
    await orUnreachable(what, async () => {
      const open = await this.outward.channel();
      try {
        await within(this.timeoutMs, what, this.declare(open.channel, topics));
      } finally {
        open.close();
      }
    });
    for (const topic of topics) this.topics.add(topic);
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    const end = this.publishDuration.startTimer();
    let outcome = "failed";
    try {
      await this.publisher.publish(topic, messages);
      outcome = "confirmed";
    } finally {
      end({ outcome });
    }
  }

  follow(options: FollowOptions): Follower {
    const readers = new Map(options.topics.map((topic) => [topic, this.reader(topic, options)]));
    return this.opened({
      seek(topic, _partition, offset) {
        readers.get(topic)?.seek(offset);
      },
      // Streams keep no offsets for those who read with AMQP: the group's own are the only ones.
      done() {},
      async close() {
        await Promise.all([...readers.values()].map((reader) => reader.close()));
      },
    });
  }

  async ends(topic: string): Promise<number[]> {
    return [await this.glance.end(topic)];
  }

  async offsetsAt(topic: string, time: Date): Promise<number[]> {
    return [await this.glance.offsetAt(topic, time)];
  }

  peek(topic: string, _partition: number, offset: number): Promise<ReceivedMessage | undefined> {
    return this.glance.at(topic, offset);
  }

  receive(options: ReceiveOptions): WatchedReceiver {
    const { inward: connection } = this;
    const { logger } = this.options;
    const queue = new InboundQueue(options.topic, connection, this.timeoutMs);
    this.inbound.push(queue);
    const receive = { ...options, handle: queue.counted(options.handle) };
    const name = this.consumerName(options.group);
    const receiver = this.opened(new QueueReceiver({ receive, name, connection, logger }));
    return { waiting: () => queue.waiting(), close: () => receiver.close() };
  }

  async close(): Promise<void> {
    await Promise.all([...this.open].map((part) => part.close()));
    await Promise.all([this.outward.close(), this.inward.close()]);
  }

  /** By queue; nothing while the broker is away. */
  private async deadInbound(): Promise<ReadonlyMap<string, number>> {
    if (!this.inward.state.isUp) return new Map();
    const counts = this.inbound.map(async (queue) => [queue.deadLetters, await queue.dead()] as const);
    return new Map(await Promise.all(counts));
  }

  private connection(use: string): Connection {
    const { url, tls, logger } = this.options;
    return new Connection({ url, tls, logger, name: `holdfast ${use}`, timeoutMs: this.timeoutMs });
  }

  private async declare(channel: Channel, topics: Iterable<string> = this.topics): Promise<void> {
    for (const topic of topics) await declareStream(channel, topic, this.options.retentionMs ?? weekMs);
  }

  private reader(topic: string, follow: FollowOptions): StreamReader {
    const { inward: connection, glance } = this;
    const { logger } = this.options;
    return new StreamReader({
      topic,
      follow,
      connection,
      glance,
      head: this.head(topic),
      logger,
      name: this.consumerName(follow.group),
    });
  }

  private head(topic: string): StreamHead {
    const { inward: connection, heads } = this;
    const { logger } = this.options;
    const name = this.consumerName("head");
    const head = heads.get(topic) ?? new StreamHead({ topic, name, connection, logger });
    heads.set(topic, head);
    return head;
  }

  /** There are several of a group, one in each process. */
  private consumerName(group: string): string {
    return `${this.options.groupPrefix}${group}-${randomUUID().slice(0, 8)}`;
  }

  private opened<Part extends { close(): Promise<void> }>(part: Part): Part {
    this.open.add(part);
    return part;
  }
}
