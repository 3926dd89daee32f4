import { describeKafka, useKafka } from "../../../testing/brokers.ts";
import { describeBus } from "../../../testing/bus-contract.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createBrokerBus } from "../broker/index.ts";
import { createKafkaBroker } from "./index.ts";

describeKafka("on Kafka", () => {
  const kafka = useKafka();
  describeBus(
    "Kafka",
    ({ run, ...setting }) => {
      const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
      const prefix = `${run}.`;
      const broker = createKafkaBroker({
        ...telemetry,
        brokers: [kafka.brokers],
        groupPrefix: prefix,
        partitions: 3,
      });
      return createBrokerBus({
        ...setting,
        logs: ["teller", "crier"],
        ...telemetry,
        tracer: untraced,
        broker,
        prefix,
        pollMs: 3_600_000,
      });
    },
    { orders: "key", leavesTheDatabase: true },
  );
});
