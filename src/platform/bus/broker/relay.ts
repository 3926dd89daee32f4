import { InfrastructureError } from "../../errors.ts";
import { relayGroup } from "../bus.ts";
import type { PublicTopic } from "../channels.ts";
import { commitWithoutWaiting } from "../group/statements.ts";
import type { BusEvent, Subscription } from "../port.ts";
import type { Broker, OutgoingMessage } from "./broker.ts";
import { cloudEvent, messageOf } from "./event.ts";
import type { BrokerMetrics } from "./metrics.ts";
import type { Topics } from "./topics.ts";

export interface RelayOptions {
  readonly broker: Broker;
  readonly topics: Topics;
  /** The services whose logs are in this database. */
  readonly services: readonly string[];
  /** By service. */
  readonly publicTopics: ReadonlyMap<string, readonly PublicTopic[]>;
  readonly metrics: BrokerMetrics;
}

/**
 * Brings the logs to the broker. It is a consumer group like any other: one process at a time has its cursors, another
 * one takes them as soon as it is gone, and they are moved once the broker has confirmed. What was sent before a crash
 * in between is sent again, and known again by its id.
 */
export function relaySubscription(options: RelayOptions): Subscription {
  const { services } = options;
  return {
    group: relayGroup,
    topics: Object.fromEntries(services.map((service) => [service, "all" as const])),
    afterFailure: "follow",
    async handle(tx, events) {
      // A crash that takes the cursor back has no more to it than that events are sent again.
      tx.write(commitWithoutWaiting, []);
      try {
        await options.topics.made();
        await Promise.all([...messagesFor(events, options)].map((batch) => options.broker.publish(...batch)));
      } catch (error) {
        options.metrics.publishFailed();
        options.topics.doubt();
        throw events.length > 1 ? error : waitedFor(error as Error, events[0]!);
      }
      return undefined;
    },
  };
}

/**
 * Of many events the one to blame is looked for. That one is stepped over by nobody, whatever the broker says of it:
 * consumers take what comes behind later events for a repetition, so it would be lost.
 */
function waitedFor(error: Error, { id }: BusEvent): InfrastructureError {
  const code = error instanceof InfrastructureError ? error.code : "bus.refused";
  const message = `${error.message} (event ${id}; everything behind it waits until the broker takes it)`;
  return new InfrastructureError(code, message, { retryable: true, cause: error.cause ?? error });
}

function messagesFor(
  events: readonly BusEvent[],
  { topics, publicTopics }: RelayOptions,
): Map<string, OutgoingMessage[]> {
  const batches = new Map<string, OutgoingMessage[]>();
  const add = (topic: string, message: OutgoingMessage) => {
    const batch = batches.get(topic);
    if (batch === undefined) batches.set(topic, [message]);
    else batch.push(message);
  };
  for (const event of events) {
    add(topics.nameOf(event.topic), messageOf(event, topics.identityOf(event.topic)!));
    for (const { topic, messagesOf } of publicTopics.get(event.topic) ?? []) {
      for (const { id, key, type, subject, data } of messagesOf(event)) {
        const about = {
          id,
          source: `/holdfast/${event.topic}`,
          type,
          subject,
          time: event.at,
          partitionkey: key,
        };
        const attributes = cloudEvent(about);
        attributes.logid = topics.identityOf(event.topic)!;
        attributes.causationid = event.id;
        if (event.traceparent !== undefined) attributes.traceparent = event.traceparent;
        add(topic, { key, attributes, body: JSON.stringify(data) });
      }
    }
  }
  return batches;
}
