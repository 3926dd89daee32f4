import type { Pool } from "../../postgres/pool.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Broker } from "./broker.ts";
import { assertOurs, identityOf } from "./ownership.ts";

export interface TopicsOptions {
  readonly broker: Broker;
  readonly prefix: string;
  /** The services whose logs are published from this database. */
  readonly logs: readonly string[];
  readonly pool: Pool;
  readonly logger: Logger;
}

/** The broker's topics: what they are called, and that they are there, and ours. */
export class Topics {
  /** Why they cannot be used. */
  trouble: { readonly since: Date; readonly reason: string } | undefined;
  private readonly options: TopicsOptions;
  private readonly names: Set<string>;
  private readonly identities = new Map<string, string>();
  private readonly strays = new Set<string>();
  private making: Promise<void> | undefined;

  constructor(options: TopicsOptions) {
    this.options = options;
    this.names = new Set(options.logs.map((service) => this.nameOf(service)));
  }

  /** A service's log as the broker calls it. */
  nameOf(service: string): string {
    return this.publicNameOf(`holdfast.${service}`);
  }

  publicNameOf(topic: string): string {
    return `${this.options.prefix}${topic}`;
  }

  /** Which log of the service the events come from, if that is in this database; once `made` has resolved. */
  identityOf(service: string): string | undefined {
    return this.identities.get(service);
  }

  /** Before the first `made`. */
  add(name: string): void {
    this.names.add(name);
  }

  /** Resolves once they are all there, and fit to be written to. */
  made(): Promise<void> {
    this.making ??= this.make().catch((error: Error) => {
      this.making = undefined;
      this.note(error.message);
      throw error;
    });
    return this.making;
  }

  /** They may be there no more. */
  doubt(): void {
    this.making = undefined;
  }

  private note(reason: string): void {
    const { logger } = this.options;
    if (reason !== this.trouble?.reason)
      logger.warn({ reason }, "the broker's topics cannot be used; trying again");
    this.trouble = { since: this.trouble?.since ?? new Date(), reason };
  }

  private noteStray(topic: string, partition: number, offset: number): void {
    const place = `${topic}/${partition}@${offset}`;
    if (this.strays.has(place)) return;
    this.strays.add(place);
    this.options.logger.warn(
      { topic, partition, offset },
      "a topic of ours ends with a message that is not ours",
    );
  }

  private async make(): Promise<void> {
    const { broker, logs, pool } = this.options;
    await broker.createTopics([...this.names]);
    for (const service of logs) {
      const log = await identityOf(pool, service);
      await assertOurs(broker, this.nameOf(service), log, (...stray) => this.noteStray(...stray));
      this.identities.set(service, log.id);
    }
    this.trouble = undefined;
  }
}
