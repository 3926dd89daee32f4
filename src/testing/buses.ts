import type { Broker } from "../platform/bus/broker/broker.ts";
import { createBrokerBus } from "../platform/bus/broker/index.ts";
import { createKafkaBroker } from "../platform/bus/kafka/index.ts";
import type { Bus, BusAbilities, BusKind } from "../platform/bus/port.ts";
import { createPostgresBus } from "../platform/bus/postgres/index.ts";
import { createRabbitBroker } from "../platform/bus/rabbitmq/index.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { createRegistry } from "../platform/telemetry/metrics.ts";
import { untraced } from "../platform/telemetry/tracer.ts";
import { useKafka, useRabbitmq } from "./brokers.ts";
import type { BusSetting } from "./bus-contract/bench.ts";

export const abilitiesOf: Readonly<Record<BusKind, BusAbilities>> = {
  postgres: { orders: "topic", leavesTheDatabase: false },
  kafka: { orders: "key", leavesTheDatabase: true },
  rabbitmq: { orders: "topic", leavesTheDatabase: true },
};

/** Opens buses of this kind for the topics `teller` and `crier`; on a broker, on the one that the test run shares. */
export function useBus(kind: BusKind, pollMs = 500): (setting: BusSetting) => Bus {
  const openBroker = useBroker(kind);
  return ({ run, ...setting }) => {
    const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
    const options = { ...setting, ...telemetry, tracer: untraced, pollMs };
    const prefix = `${run}.`;
    const broker = openBroker({ ...telemetry, groupPrefix: prefix });
    if (broker === undefined) return createPostgresBus(options);
    return createBrokerBus({ ...options, broker, prefix, logs: ["teller", "crier"] });
  };
}

type Common = Pick<Parameters<typeof createRabbitBroker>[0], "logger" | "registry" | "groupPrefix">;

function useBroker(kind: BusKind): (common: Common) => Broker | undefined {
  switch (kind) {
    case "postgres":
      return () => undefined;
    case "kafka": {
      const kafka = useKafka();
      return (common) => createKafkaBroker({ ...common, brokers: [kafka.brokers], partitions: 3 });
    }
    case "rabbitmq": {
      const rabbitmq = useRabbitmq();
      return (common) => createRabbitBroker({ ...common, url: rabbitmq.url });
    }
  }
}
