import { initProducerIdV4, type ResponseError } from "@platformatic/kafka";
import type { Logger } from "pino";
import type { Histogram } from "prom-client";
import type { OutgoingMessage } from "../broker/broker.ts";
import type { ProduceResponse } from "./apis.ts";
import { byLeader, type Cluster } from "./cluster.ts";
import { codes, codesOf, hasCode } from "./errors.ts";
import { partitionOf } from "./murmur2.ts";
import { Outbox } from "./outbox.ts";
import { patiently } from "./patience.ts";
import { encodeBatch, roomFor } from "./record-writer.ts";

// A broker takes 1 MiB by default, its own additions included.
const largestBatchBytes = 1_000_000;

export interface ProducerOptions {
  readonly cluster: Cluster;
  readonly timeoutMs: number;
  readonly latency: Histogram;
  readonly logger: Logger;
}

/** An identity that the broker gave us, and how many messages each partition has under it. */
interface Session {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequences: Map<string, number>;
}

/** What is still to be sent to a partition, in its order; the first batch is under way. */
interface Lane {
  readonly partition: number;
  readonly batches: (readonly OutgoingMessage[])[];
}

/**
 * One call at a time for each topic, and one request at a time for each partition: what comes later in a partition is
 * sent only when everything before it is there.
 */
export class Producer {
  private readonly options: ProducerOptions;
  private readonly outbox: Outbox;
  private session: Session | undefined;
  private readonly tails = new Map<string, Promise<void>>();

  constructor(options: ProducerOptions) {
    this.options = options;
    this.outbox = new Outbox(options.cluster, options.timeoutMs);
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const deadline = Date.now() + this.options.timeoutMs;
    const before = this.tails.get(topic) ?? Promise.resolve();
    const mine = before.then(() => this.send(topic, messages, deadline));
    const tail = mine.catch(() => undefined);
    this.tails.set(topic, tail);
    return mine;
  }

  private async send(topic: string, messages: readonly OutgoingMessage[], deadline: number): Promise<void> {
    const start = performance.now();
    let lanes: Lane[] | undefined;
    try {
      await patiently(deadline, async () => {
        const leaders = await this.options.cluster.leaders(topic);
        lanes ??= lanesOf(messages, leaders.length);
        await this.sendAll(topic, lanes, leaders, deadline);
      });
    } catch (error) {
      // Whether the last request came through is not known, and the next call must not continue its sequence.
      this.session = undefined;
      throw error;
    } finally {
      this.options.latency.observe(performance.now() - start);
    }
  }

  private async sendAll(topic: string, lanes: Lane[], leaders: readonly number[], deadline: number) {
    const session = await this.ensureSession();
    while (Date.now() < deadline) {
      const rest = lanes.filter((lane) => lane.batches.length > 0);
      if (rest.length === 0) return;
      const sent = [...byLeader(rest, leaders)].map(([leader, some]) =>
        this.sendRound(topic, leader, some, session),
      );
      const outcomes = await Promise.allSettled(sent);
      const failure = outcomes.find((outcome) => outcome.status === "rejected");
      if (failure) throw this.prepareNextTry(topic, failure.reason);
    }
    throw new Error("no answer in time");
  }

  /** The first batch of each of these partitions. */
  private async sendRound(topic: string, leader: number, lanes: readonly Lane[], session: Session) {
    const now = Date.now();
    const batches = lanes.map(({ partition, batches }) => {
      const sequence = session.sequences.get(`${topic}-${partition}`) ?? 0;
      return { partition, batch: encodeBatch(batches[0]!, { ...session, sequence }, now) };
    });
    try {
      await this.outbox.send(leader, topic, batches);
      for (const lane of lanes) advance(topic, lane, session);
    } catch (error) {
      const arrived = arrivedIn(error);
      for (const lane of lanes) if (arrived.has(lane.partition)) advance(topic, lane, session);
      if (lanes.some((lane) => !arrived.has(lane.partition))) throw error;
    }
  }

  private prepareNextTry(topic: string, error: unknown): unknown {
    this.options.cluster.forget(topic);
    if (!hasCode(error, ...lostIdentity)) return error;
    this.options.logger.info({ codes: codesOf(error), topic }, "kafka: producer begins a new sequence");
    this.session = undefined;
    return new Error("The broker has lost the producer's sequence.", { cause: error });
  }

  private async ensureSession(): Promise<Session> {
    if (!this.session) {
      const answer = await this.options.cluster.requestAny(initProducerIdV4.api, null, 0, -1n, -1);
      this.session = { producerId: answer.producerId, epoch: answer.producerEpoch, sequences: new Map() };
    }
    return this.session;
  }
}

const lostIdentity = [
  codes.outOfOrderSequence,
  codes.unknownProducer,
  codes.invalidProducerEpoch,
  codes.invalidProducerMapping,
];

/** Their batch is durable. */
function advance(topic: string, lane: Lane, session: Session): void {
  const key = `${topic}-${lane.partition}`;
  const count = lane.batches.shift()!.length;
  // It begins anew behind the largest 32-bit number.
  session.sequences.set(key, ((session.sequences.get(key) ?? 0) + count) % 2 ** 31);
}

/** The partitions of a request that failed whose batch is there all the same, be it from an earlier try. */
function arrivedIn(error: unknown): Set<number> {
  const arrived = new Set<number>();
  if (codesOf(error).length === 0) return arrived;
  const { responses } = (error as ResponseError).response as ProduceResponse;
  for (const { index, errorCode } of responses.flatMap((topic) => topic.partitionResponses)) {
    if (errorCode === 0 || errorCode === codes.duplicateSequence) arrived.add(index);
  }
  return arrived;
}

/** Each partition's messages, in batches that a broker takes. */
function lanesOf(messages: readonly OutgoingMessage[], partitions: number): Lane[] {
  const lanes = new Map<number, { batches: OutgoingMessage[][]; room: number }>();
  for (const message of messages) {
    const partition = partitionOf(Buffer.from(message.key), partitions);
    const lane = lanes.get(partition) ?? { batches: [], room: 0 };
    lanes.set(partition, lane);
    const room = roomFor(message);
    if (lane.batches.length === 0 || room > lane.room) {
      lane.batches.push([]);
      lane.room = largestBatchBytes;
    }
    lane.batches.at(-1)!.push(message);
    lane.room -= room;
  }
  return [...lanes].map(([partition, { batches }]) => ({ partition, batches }));
}
