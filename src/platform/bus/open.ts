import { readFileSync } from "node:fs";
import { InfrastructureError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Registry } from "../telemetry/metrics.ts";
import type { Broker } from "./broker/broker.ts";

export interface BrokerSettings {
  readonly bus?: "postgres" | "kafka" | "rabbitmq";
  readonly kafkaBrokers?: readonly string[] | undefined;
  readonly kafkaPartitions?: number;
  readonly kafkaSsl?: boolean;
  readonly kafkaSaslMechanism?: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | undefined;
  readonly kafkaSaslUsername?: string | undefined;
  readonly kafkaSaslPassword?: string | undefined;
  readonly rabbitmqUrl?: string | undefined;
  readonly brokerCaFile?: string | undefined;
  readonly brokerRetentionDays?: number;
  readonly topicPrefix?: string;
}

interface Telemetry {
  readonly logger: Logger;
  readonly registry: Registry;
}

const dayMs = 86_400_000;

/** As the broker calls a group of ours, behind the prefix that stands before all names. */
export function groupNameOf(group: string): string {
  return `holdfast.${group}`;
}

/** The broker that the settings name; undefined where PostgreSQL carries the events. Connects in the background. */
export async function openBroker(
  settings: BrokerSettings,
  telemetry: Telemetry,
): Promise<Broker | undefined> {
  const { bus = "postgres", brokerRetentionDays = 7, topicPrefix = "" } = settings;
  const common = {
    ...telemetry,
    groupPrefix: `${topicPrefix}${groupNameOf("")}`,
    retentionMs: brokerRetentionDays * dayMs,
  };
  // Loaded only here, so that nobody else pays for it.
  switch (bus) {
    case "postgres":
      return undefined;
    case "kafka": {
      const { kafkaBrokers: brokers, kafkaPartitions: partitions = 6 } = settings;
      if (brokers === undefined) throw missing("kafka", "HOLDFAST_KAFKA_BROKERS, such as 127.0.0.1:9092");
      const { createKafkaBroker } = await import("./kafka/index.ts");
      return createKafkaBroker({ ...common, brokers, partitions, ...kafkaAccess(settings) });
    }
    case "rabbitmq": {
      const { rabbitmqUrl: url } = settings;
      if (url === undefined)
        throw missing("rabbitmq", "HOLDFAST_RABBITMQ_URL, such as amqp://127.0.0.1:5672");
      const { createRabbitBroker } = await import("./rabbitmq/index.ts");
      const ca = authorities(settings);
      return createRabbitBroker({ ...common, url, ...(ca === undefined ? {} : { tls: { ca } }) });
    }
  }
}

function kafkaAccess(settings: BrokerSettings) {
  const {
    kafkaSaslMechanism: mechanism,
    kafkaSaslUsername: username,
    kafkaSaslPassword: password,
  } = settings;
  const ca = authorities(settings);
  const ssl = settings.kafkaSsl === true ? { ssl: ca === undefined ? (true as const) : { ca } } : {};
  if (mechanism === undefined) return ssl;
  if (username === undefined || password === undefined) {
    throw missing("kafka", "HOLDFAST_KAFKA_SASL_USERNAME and HOLDFAST_KAFKA_SASL_PASSWORD to log in");
  }
  return { ...ssl, sasl: { mechanism, username, password } };
}

function authorities({ brokerCaFile }: BrokerSettings): string | undefined {
  if (brokerCaFile === undefined) return undefined;
  try {
    return readFileSync(brokerCaFile, "utf8");
  } catch (cause) {
    const message = `HOLDFAST_BROKER_CA_FILE names ${brokerCaFile}, which cannot be read.`;
    throw new InfrastructureError("config.invalid", message, { retryable: false, cause });
  }
}

function missing(bus: string, what: string): InfrastructureError {
  return new InfrastructureError("config.invalid", `The bus ${bus} needs ${what}.`, { retryable: false });
}
