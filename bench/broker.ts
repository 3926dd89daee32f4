import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HoldfastOptions } from "../src/index.ts";
import { type BrokerName, brokerNames, isInstalled, startBroker } from "../src/testing/broker-process.ts";

export type BusName = "postgres" | BrokerName;
export const busNames: readonly BusName[] = ["postgres", ...brokerNames];

export type BusSettings = Pick<HoldfastOptions, "bus" | "kafkaBrokers" | "rabbitmqUrl" | "topicPrefix">;

/** What is measured goes through this bus; a broker runs on this machine for as long as the work takes. */
export async function withBus<T>(bus: BusName, work: (settings: BusSettings) => Promise<T>): Promise<T> {
  if (bus === "postgres") return work({});
  if (!isInstalled(bus)) {
    throw new Error(`${bus} is not installed here. This installs it: npm run brokers -- --install --${bus}`);
  }
  const directory = await mkdtemp(join(tmpdir(), `holdfast-bench-${bus}-`));
  const broker = await startBroker(bus, directory);
  const topicPrefix = `${randomUUID()}.`;
  try {
    return await (bus === "kafka"
      ? work({ bus, kafkaBrokers: [broker.address], topicPrefix })
      : work({ bus, rabbitmqUrl: broker.address, topicPrefix }));
  } finally {
    await broker.kill();
    await rm(directory, { recursive: true, force: true });
  }
}

/** The bus that `--bus=NAME` names. */
export function busOf(options: readonly string[]): BusName {
  const given = options.find((option) => option.startsWith("--bus="))?.slice("--bus=".length) ?? "postgres";
  const bus = busNames.find((name) => name === given);
  if (bus === undefined) throw new Error(`--bus is one of ${busNames.join(", ")}`);
  return bus;
}
