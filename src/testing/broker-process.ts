export const brokerNames = ["kafka", "rabbitmq"] as const;
export type BrokerName = (typeof brokerNames)[number];

/** What scripts/brokers/*.mjs export. */
interface BrokerScript {
  isInstalled(): boolean;
  start(options: StartOptions): Promise<{
    readonly brokers?: string;
    readonly url?: string;
    kill(): Promise<void>;
    stop(): Promise<void>;
  }>;
}

interface StartOptions extends BrokerSettings {
  readonly directory: string;
  readonly port: number;
}

/** Kafka alone has them. */
export interface BrokerSettings {
  readonly properties?: Readonly<Record<string, string>>;
  readonly formatArguments?: readonly string[];
}

export interface BrokerProcess {
  /** `host:port` of Kafka, the URL of RabbitMQ. */
  readonly address: string;
  /** As a crash. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

const scripts: Record<BrokerName, BrokerScript> = {
  kafka: await scriptOf("kafka"),
  rabbitmq: await scriptOf("rabbitmq"),
};

export const { freePort }: { freePort(): Promise<number> } = await import(
  new URL("../../scripts/brokers/free-port.mjs", import.meta.url).href
);

/** They are plain JavaScript, since they run before anything is installed or built. */
async function scriptOf(name: BrokerName): Promise<BrokerScript> {
  return import(new URL(`../../scripts/brokers/${name}.mjs`, import.meta.url).href);
}

export function isInstalled(name: BrokerName): boolean {
  return scripts[name].isInstalled();
}

export async function startBroker(
  name: BrokerName,
  directory: string,
  options: BrokerSettings & { readonly port?: number } = {},
): Promise<BrokerProcess> {
  const { port = await freePort(), ...settings } = options;
  const broker = await scripts[name].start({ directory, port, ...settings });
  return { address: (broker.brokers ?? broker.url)!, kill: broker.kill, stop: broker.stop };
}
