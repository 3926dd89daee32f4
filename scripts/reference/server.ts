import { createEngine } from "../../src/engine.ts";
import { type BrokerSettings, openBroker } from "../../src/platform/bus/open.ts";
import { registerBusRoutes } from "../../src/platform/bus/routes.ts";
import { createHttpServer } from "../../src/platform/http/server.ts";
import { registerEventRoutes } from "../../src/platform/log/routes.ts";
import { readerOf } from "../../src/platform/postgres/statement.ts";
import { createLogger } from "../../src/platform/telemetry/logger.ts";
import { createRegistry, type Registry } from "../../src/platform/telemetry/metrics.ts";
import { version } from "../../src/version.ts";

/** Nobody is there: a connection is made when the first question is asked, and none is. */
const nowhere = "postgres://nobody@127.0.0.1:1/none";

const brokers = {
  Kafka: { bus: "kafka", kafkaBrokers: ["127.0.0.1:1"] },
  RabbitMQ: { bus: "rabbitmq", rabbitmqUrl: "amqp://127.0.0.1:1" },
} satisfies Record<string, BrokerSettings>;

export interface ServerDescription {
  readonly openapi: object;
  readonly registry: Registry;
  /** What is measured where this broker carries the events, by its name. */
  readonly withBroker: ReadonlyMap<string, Registry>;
}

/** All services behind a server, never started: they are asked what they offer. */
export async function describeServer(): Promise<ServerDescription> {
  const registry = createRegistry();
  const logger = createLogger("silent");
  const { pool, bus, services, close } = createEngine({ databaseUrl: nowhere, registry, logger });
  const app = await createHttpServer({
    version,
    keys: { required: false, find: () => undefined, search: async () => undefined },
    logger,
    registry,
    probes: [],
    bodyLimitBytes: 1_048_576,
    rateLimitPerMinute: undefined,
  });
  for (const service of services) service.registerRoutes(app);
  registerEventRoutes(app, readerOf(pool), []);
  registerBusRoutes(app, bus);
  await app.ready();
  const openapi = app.swagger();
  await app.close();
  await close();
  const withBroker = new Map<string, Registry>();
  for (const [name, settings] of Object.entries(brokers)) withBroker.set(name, await registryWith(settings));
  return { openapi, registry, withBroker };
}

async function registryWith(settings: BrokerSettings): Promise<Registry> {
  const telemetry = { registry: createRegistry(), logger: createLogger("silent") };
  const broker = await openBroker(settings, telemetry);
  const { close } = createEngine({ databaseUrl: nowhere, broker, ...telemetry });
  await close();
  return telemetry.registry;
}
