import { describeRabbitmq, useRabbitmq } from "../../../testing/brokers.ts";
import { describeBus } from "../../../testing/bus-contract.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createBrokerBus } from "../broker/index.ts";
import { createRabbitBroker } from "./index.ts";

describeRabbitmq("on RabbitMQ", () => {
  const rabbitmq = useRabbitmq();
  describeBus(
    "RabbitMQ",
    ({ run, ...setting }) => {
      const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
      const prefix = `${run}.`;
      const broker = createRabbitBroker({ ...telemetry, url: rabbitmq.url, groupPrefix: prefix });
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
    { orders: "topic", leavesTheDatabase: true },
  );
});
