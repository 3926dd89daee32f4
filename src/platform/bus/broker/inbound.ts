import { within } from "../../deadline.ts";
import type { InboundTopic } from "../channels.ts";
import type { ConsumerState } from "../port.ts";
import type { Broker, WatchedReceiver } from "./broker.ts";
import type { Topics } from "./topics.ts";

// A broker that does not answer must not take the other figures along.
const answerWithinMs = 1_000;

interface Accepted extends InboundTopic {
  /** The service that it is for. */
  readonly service: string;
}

/** What systems outside send. Nobody keeps a place in it but the broker. */
export class Inbound {
  private readonly broker: Broker;
  private readonly topics: Topics;
  private readonly accepted: Accepted[] = [];
  private readonly receivers = new Map<Accepted, WatchedReceiver>();

  constructor(broker: Broker, topics: Topics) {
    this.broker = broker;
    this.topics = topics;
  }

  /** Before `start`. */
  accept(service: string, topic: InboundTopic): void {
    this.accepted.push({ ...topic, service });
  }

  start(): void {
    for (const accepted of this.accepted) {
      const { topic, receive } = accepted;
      const name = this.topics.publicNameOf(topic);
      this.receivers.set(accepted, this.broker.receive({ topic: name, group: topic, handle: receive }));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.receivers.values()].map((receiver) => receiver.close()));
  }

  /** How much is before each. */
  states(): Promise<ConsumerState[]> {
    const states = [...this.receivers].map(async ([{ service, topic }, receiver]) => {
      return { group: service, topic, ...(await this.lagOf(receiver)), retrying: 0, dead: 0 };
    });
    return Promise.all(states);
  }

  private async lagOf(receiver: WatchedReceiver): Promise<Pick<ConsumerState, "lag" | "lag_seconds">> {
    if (!this.broker.state().isUp) return {};
    const asked = within(answerWithinMs, "what is waiting", receiver.waiting());
    const waiting = await asked.catch(() => undefined);
    if (waiting === undefined) return {};
    const { count, since } = waiting;
    if (count === 0) return { lag: 0, lag_seconds: 0 };
    if (since === undefined) return { lag: count };
    return { lag: count, lag_seconds: Math.max(0, Date.now() - since.getTime()) / 1_000 };
  }
}
