import { produceV9, ResponseError } from "@platformatic/kafka";
import { type ProduceBatches, type ProduceResponse, produce } from "./apis.ts";
import type { Cluster } from "./cluster.ts";

interface Sending {
  readonly batches: ProduceBatches;
  settle(error: unknown, answer?: ProduceResponse): void;
}

/** By topic. */
type Envelope = Map<string, Sending>;

/** What is sent to a broker within a moment goes in one request, and is answered topic by topic. */
export class Outbox {
  private readonly cluster: Cluster;
  private readonly timeoutMs: number;
  private readonly open = new Map<number, Envelope>();

  constructor(cluster: Cluster, timeoutMs: number) {
    this.cluster = cluster;
    this.timeoutMs = timeoutMs;
  }

  /** Resolves once the batches of all these partitions are durable; else throws what the broker says of this topic. */
  send(node: number, topic: string, batches: ProduceBatches): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: unknown, answer?: ProduceResponse) => {
        const trouble = answer === undefined ? error : troubleOf(topic, answer);
        if (trouble === undefined) resolve();
        else reject(trouble);
      };
      this.envelopeFor(node, topic).set(topic, { batches, settle });
    });
  }

  /** A request names a topic once. */
  private envelopeFor(node: number, topic: string): Envelope {
    const existing = this.open.get(node);
    if (existing !== undefined && !existing.has(topic)) return existing;
    const envelope: Envelope = new Map();
    this.open.set(node, envelope);
    setImmediate(() => void this.post(node, envelope));
    return envelope;
  }

  private async post(node: number, envelope: Envelope): Promise<void> {
    if (this.open.get(node) === envelope) this.open.delete(node);
    const topics = [...envelope].map(([topic, { batches }]) => ({ topic, batches }));
    let error: unknown;
    let answer: ProduceResponse | undefined;
    try {
      answer = await this.cluster.request(node, produce, this.timeoutMs, topics);
    } catch (reason) {
      error = reason;
    }
    for (const { settle } of envelope.values()) settle(error, answer);
  }
}

function troubleOf(topic: string, { responses, throttleTimeMs }: ProduceResponse): ResponseError | undefined {
  const ours = responses.filter(({ name }) => name === topic);
  const refused = ours.flatMap((one) => one.partitionResponses).filter(({ errorCode }) => errorCode !== 0);
  if (refused.length === 0) return undefined;
  const errors = refused.map(({ index, errorCode, errorMessage }): [string, [number, string | null]] => {
    return [`/${topic}/${index}`, [errorCode, errorMessage ?? null]];
  });
  const { key, version } = produceV9.api;
  return new ResponseError(key, version, Object.fromEntries(errors), { responses: ours, throttleTimeMs });
}
