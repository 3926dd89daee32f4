import { migrationsBeside } from "../../service.ts";
import { type BusOptions, createBus, relayGroup } from "../bus.ts";
import type { InboundTopic, PublicTopic } from "../channels.ts";
import type { Bus } from "../port.ts";
import type { Broker } from "./broker.ts";
import { BrokerCarrier } from "./carrier.ts";
import { heartbeatOf, heartbeats } from "./heartbeat.ts";
import { Inbound } from "./inbound.ts";
import { createBrokerMetrics } from "./metrics.ts";
import { relaySubscription } from "./relay.ts";
import { Topics } from "./topics.ts";

export interface BrokerBusOptions extends BusOptions {
  readonly broker: Broker;
  /** Those of the services that write of their own accord: their logs are published. */
  readonly logs: readonly string[];
  /** Before the names of all topics, so that several shops can share a broker. */
  readonly prefix: string;
}

/** A bus that leaves the database: to services that have their own, and to systems outside. */
export interface BrokerBus extends Bus {
  /** Before `start`: what the world outside is told of this service's events. */
  announce(service: string, topic: PublicTopic): void;
  /** Before `start`: what the world outside tells this service. */
  accept(service: string, topic: InboundTopic): void;
  /**
   * How long ago, at most, the group had handled everything that the service, wherever it is, had written by then;
   * undefined while it has not, or while that cannot be told.
   */
  ageMs(group: string, service: string): Promise<number | undefined>;
}

export const relayMigrations = migrationsBeside(import.meta.url, relayGroup, "relay");

/** The services' logs go to the broker by the relay, and come from there to the groups of all processes. */
export function createBrokerBus(options: BrokerBusOptions): BrokerBus {
  const { broker, logs, prefix, registry, pool, logger } = options;
  const topics = new Topics({ broker, prefix, logs, pool, logger });
  const state = () => (topics.trouble === undefined ? broker.state() : { isUp: false, ...topics.trouble });
  const metrics = createBrokerMetrics(registry, { name: broker.name, state });
  const publicTopics = new Map<string, PublicTopic[]>();
  const inbound = new Inbound(broker, topics);
  const about = {
    kind: broker.name,
    abilities: { orders: broker.assigns ? ("key" as const) : ("topic" as const), leavesTheDatabase: true },
    broker: state,
  };
  let carrier!: BrokerCarrier;
  const bus = createBus(options, about, (parts) => {
    carrier = new BrokerCarrier({ ...parts, broker, topics, inbound, pool, logger, metrics });
    return carrier;
  });
  const beats = heartbeats(logs, { broker, topics, pool, logger });
  for (const service of logs) topics.add(topics.nameOf(heartbeatOf(service)));

  return {
    ...bus,

    subscribe(subscription) {
      for (const topic of Object.keys(subscription.topics)) topics.add(topics.nameOf(topic));
      bus.subscribe(subscription);
    },

    announce(service, topic) {
      const named = { ...topic, topic: topics.publicNameOf(topic.topic) };
      publicTopics.set(service, [...(publicTopics.get(service) ?? []), named]);
      topics.add(named.topic);
    },

    accept: (service, topic) => inbound.accept(service, topic),

    ageMs: (group, service) => carrier.ageMs(group, service),

    start() {
      bus.subscribe(relaySubscription({ broker, topics, services: logs, publicTopics, metrics }));
      bus.start();
      beats.start();
      inbound.start();
    },

    async stop() {
      await Promise.all([beats.stop(), inbound.close()]);
      await bus.stop();
      await broker.close();
    },
  };
}
