import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { SASLOptions } from "@platformatic/kafka";
import type { Logger } from "pino";
import { Histogram, type Registry } from "prom-client";
import type {
  Broker,
  Follower as BrokerFollower,
  FollowOptions,
  InboundMessage,
  OutgoingMessage,
  ReceivedMessage,
  ReceiveOptions,
  WatchedReceiver,
} from "../broker/broker.ts";
import { attributesOf, unfold } from "../broker/cloud-events.ts";
import { Cluster } from "./cluster.ts";
import { Fetchers } from "./fetchers.ts";
import { Follower, type FollowerOptions } from "./follower.ts";
import { Health } from "./health.ts";
import { newest, offsetsOf, recordAt } from "./offsets.ts";
import { patiently, pauseAfter } from "./patience.ts";
import { Producer } from "./producer.ts";
import type { StoredRecord } from "./record-reader.ts";
import { ensureTopics } from "./topics.ts";
import { waitingIn } from "./waiting.ts";

export interface KafkaOptions {
  /** `host:port` of some of the brokers; they name the others. */
  readonly brokers: readonly string[];
  /** Stands before the name of every group. */
  readonly groupPrefix: string;
  /** Of the topics that are made: 6 when absent. */
  readonly partitions?: number;
  /** Of the topics that are made: 7 days when absent. */
  readonly retentionMs?: number;
  /** `true` is TLS with the certificates that Node.js trusts. */
  readonly ssl?: true | Pick<TlsOptions, "ca" | "cert" | "key" | "rejectUnauthorized">;
  readonly sasl?: {
    readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
    readonly username: string;
    readonly password: string;
  };
  readonly logger: Logger;
  readonly registry: Registry;
  /** When a call gives up: 10 s when absent. */
  readonly requestTimeoutMs?: number;
  /** After this silence a process is taken for dead and its partitions go to others: 8 s when absent. */
  readonly sessionTimeoutMs?: number;
}

const week = 7 * 24 * 3_600_000;

export function createKafkaBroker(options: KafkaOptions): Broker {
  return new KafkaBroker(options);
}

class KafkaBroker implements Broker {
  readonly name = "kafka";
  readonly assigns = true;
  private readonly options: KafkaOptions;
  private readonly timeoutMs: number;
  private readonly health = new Health();
  private readonly cluster: Cluster;
  private readonly producer: Producer;
  private readonly fetchers: Fetchers;
  private readonly followers = new Set<Follower>();

  constructor(options: KafkaOptions) {
    this.options = options;
    this.timeoutMs = options.requestTimeoutMs ?? 10_000;
    const settings = {
      clientId: "holdfast",
      timeoutMs: this.timeoutMs,
      tls: options.ssl === true ? {} : options.ssl,
      sasl: options.sasl as SASLOptions | undefined,
      health: this.health,
    };
    this.cluster = new Cluster(settings, options.brokers);
    this.producer = new Producer({
      cluster: this.cluster,
      timeoutMs: this.timeoutMs,
      latency: createLatency(options.registry),
      logger: options.logger,
    });
    this.fetchers = new Fetchers({
      cluster: this.cluster,
      timeoutMs: this.timeoutMs,
      logger: options.logger,
    });
    this.health.watch(() => this.cluster.check());
  }

  state() {
    return this.health.current();
  }

  createTopics(topics: readonly string[]): Promise<void> {
    const settings = {
      partitions: this.options.partitions ?? 6,
      retentionMs: this.options.retentionMs ?? week,
    };
    return this.call(() => ensureTopics(this.cluster, topics, settings, this.timeoutMs));
  }

  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    return this.producer.publish(topic, messages);
  }

  follow(options: FollowOptions): BrokerFollower {
    return this.read({
      ...options,
      deliver: (topic, partition, records) => options.deliver(topic, partition, records.map(messageOf)),
    });
  }

  async ends(topic: string): Promise<number[]> {
    const ends = await this.call(() => offsetsOf(this.cluster, topic, newest));
    return ends.map((end) => end!);
  }

  async offsetsAt(topic: string, time: Date): Promise<number[]> {
    // The ends first: what comes in meanwhile is newer, and thus behind them.
    const ends = await this.ends(topic);
    const offsets = await this.call(() => offsetsOf(this.cluster, topic, time.getTime()));
    return ends.map((end, partition) => offsets[partition] ?? end);
  }

  async peek(topic: string, partition: number, offset: number): Promise<ReceivedMessage | undefined> {
    const record = await this.call(() => recordAt(this.cluster, topic, partition, offset));
    return record && messageOf(record);
  }

  receive(options: ReceiveOptions): WatchedReceiver {
    const { topic, group, handle } = options;
    const reader = this.read({
      group,
      topics: [topic],
      begin: (_, partition) => reader.committed(topic, partition),
      async deliver(_, partition, records) {
        await handle(records.map((record) => inboundOf(topic, partition, record)));
        reader.done(topic, partition, records.at(-1)!.offset + 1);
      },
      end: () => undefined,
    });
    void this.provide(topic, reader);
    return {
      waiting: () => waitingIn(this.cluster, topic, (partition) => reader.committed(topic, partition)),
      close: () => reader.close(),
    };
  }

  async close(): Promise<void> {
    await Promise.all([...this.followers].map((follower) => follower.close()));
    this.fetchers.close();
    this.health.close();
    this.cluster.close();
  }

  /** Makes the topic if it is missing, for those outside who send to it. */
  private async provide(topic: string, reader: Follower): Promise<void> {
    for (let failures = 1; this.followers.has(reader); failures++) {
      try {
        return await this.createTopics([topic]);
      } catch (error) {
        this.options.logger.warn({ err: error, topic }, "kafka: a topic is not there yet; trying again");
        await sleep(pauseAfter(failures), undefined, { ref: false });
      }
    }
  }

  private read(part: Pick<FollowerOptions, "group" | "topics" | "begin" | "deliver" | "end">): Follower {
    const { sessionTimeoutMs = 8_000, groupPrefix, logger } = this.options;
    const follower: Follower = new Follower({
      ...part,
      group: groupPrefix + part.group,
      cluster: this.cluster,
      fetchers: this.fetchers,
      sessionTimeoutMs,
      timeoutMs: this.timeoutMs,
      logger,
      closed: () => this.followers.delete(follower),
    });
    this.followers.add(follower);
    return follower;
  }

  private async call<T>(work: () => Promise<T>): Promise<T> {
    return patiently(Date.now() + this.timeoutMs, work);
  }
}

const messages = new WeakMap<StoredRecord, ReceivedMessage>();

/** The same for all groups that are given the record. */
function messageOf(record: StoredRecord): ReceivedMessage {
  const known = messages.get(record);
  if (known !== undefined) return known;
  const { offset, key, headers, body } = record;
  const message = { offset, key, attributes: attributesOf(headers), body };
  messages.set(record, message);
  return message;
}

function inboundOf(topic: string, partition: number, record: StoredRecord): InboundMessage {
  const { offset, headers, body, unreadable } = record;
  if (unreadable !== undefined) {
    const { first, reason } = unreadable;
    const place = `${topic}/${partition}@${first === offset ? "" : `${first}-`}${offset}`;
    return { attributes: {}, body, place, unreadable: `What stands at ${place} cannot be read: ${reason}.` };
  }
  const place = `${topic}/${partition}@${offset}`;
  return { ...unfold(attributesOf(headers).datacontenttype, headers, body), place };
}

function createLatency(registry: Registry): Histogram {
  return new Histogram({
    name: "kafka_producer_request_latency_ms",
    help: "Time until Kafka has confirmed all messages of a call, tries included.",
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
    registers: [registry],
  });
}
