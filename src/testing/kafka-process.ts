// A process of its own that follows a topic until it is killed: its arguments are the brokers, the topic and the group.
import { Registry } from "prom-client";
import { createKafkaBroker } from "../platform/bus/kafka/index.ts";
import { createLogger } from "../platform/telemetry/logger.ts";

const [brokers, topic, group] = process.argv.slice(2) as [string, string, string];
const broker = createKafkaBroker({
  brokers: [brokers],
  groupPrefix: "test.",
  sessionTimeoutMs: 2_000,
  logger: createLogger("silent"),
  registry: new Registry(),
});
const owned = new Set<number>();
broker.follow({
  group,
  topics: [topic],
  begin: async (_, partition) => {
    owned.add(partition);
    process.stdout.write(`${JSON.stringify([...owned])}\n`);
    return undefined;
  },
  deliver: async () => undefined,
  end: (_, partition) => {
    owned.delete(partition);
  },
});
