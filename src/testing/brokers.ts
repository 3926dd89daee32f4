import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, inject } from "vitest";
import {
  type BrokerName,
  type BrokerProcess,
  type BrokerSettings,
  freePort,
  startBroker,
} from "./broker-process.ts";
import { describeWith } from "./tools.ts";

export const describeKafka = describeWith("kafka");
export const describeRabbitmq = describeWith("rabbitmq");

/** The Kafka that the test files of this run share: each takes topics and groups with names of its own. */
export function useKafka(): { readonly brokers: string } {
  const kafka = { brokers: "" };
  beforeAll(async () => {
    kafka.brokers = await sharedBroker("kafka");
  });
  return kafka;
}

/** The RabbitMQ that the test files of this run share. */
export function useRabbitmq(): { readonly url: string } {
  const rabbitmq = { url: "" };
  beforeAll(async () => {
    rabbitmq.url = await sharedBroker("rabbitmq");
  });
  return rabbitmq;
}

export async function sharedBroker(name: BrokerName): Promise<string> {
  const answer = await fetch(`${inject("brokersUrl")}/${name}`);
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}

/** A broker that the test may do with as it likes; it runs when the tests begin. */
export class OwnBroker {
  /** The same from start to start. */
  address = "";
  private readonly name: BrokerName;
  private readonly settings: BrokerSettings;
  private directory = "";
  private port = 0;
  private running: BrokerProcess | undefined;

  constructor(name: BrokerName, settings: BrokerSettings) {
    this.name = name;
    this.settings = settings;
    beforeAll(async () => {
      this.directory = await mkdtemp(join(inject("brokersDirectory"), `own-${name}-`));
      this.port = await freePort();
      await this.start();
    });
    afterAll(async () => {
      await this.kill();
      await rm(this.directory, { recursive: true, force: true });
    });
  }

  /** With the data that it had. */
  async start(): Promise<void> {
    this.running = await startBroker(this.name, this.directory, { ...this.settings, port: this.port });
    this.address = this.running.address;
  }

  async kill(): Promise<void> {
    await this.running?.kill();
    this.running = undefined;
  }

  async stop(): Promise<void> {
    await this.running?.stop();
    this.running = undefined;
  }
}

export function ownKafka(settings: BrokerSettings = {}): OwnBroker {
  return new OwnBroker("kafka", settings);
}

export function ownRabbitmq(): OwnBroker {
  return new OwnBroker("rabbitmq", {});
}
