import { relayGroup } from "../bus.ts";
import type { Broker } from "./broker.ts";

/** The broker's topics: what they are called, and that they are there. */
export class Topics {
  private readonly broker: Broker;
  private readonly prefix: string;
  private readonly names: Set<string>;
  private making: Promise<void> | undefined;

  constructor(broker: Broker, prefix: string, services: readonly string[]) {
    this.broker = broker;
    this.prefix = prefix;
    this.names = new Set(services.map((service) => this.nameOf(service)));
  }

  /** A service's log as the broker calls it. */
  nameOf(service: string): string {
    return this.publicNameOf(`holdfast.${service}`);
  }

  publicNameOf(topic: string): string {
    return `${this.prefix}${topic}`;
  }

  /** Whether this cursor of a group is one in a topic of the broker; others are in a log of the database. */
  isCarried(group: string, topic: string): boolean {
    return group !== relayGroup && group !== topic;
  }

  /** Before the first `made`. */
  add(name: string): void {
    this.names.add(name);
  }

  /** Resolves once they are all there. */
  made(): Promise<void> {
    this.making ??= this.broker.createTopics([...this.names]).catch((error) => {
      this.making = undefined;
      throw error;
    });
    return this.making;
  }
}
