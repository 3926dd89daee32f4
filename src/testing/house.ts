import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../holdfast.ts";
import { busProbe } from "../platform/bus/probe.ts";
import { registerBusRoutes } from "../platform/bus/routes.ts";
import { registerEventRoutes } from "../platform/log/routes.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { readerOf } from "../platform/postgres/statement.ts";
import { type ServiceName, serviceNames } from "../platform/settings.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { createRegistry } from "../platform/telemetry/metrics.ts";
import type { BrokerName } from "./broker-process.ts";
import { sharedBroker } from "./brokers.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { startServer, type TestServer } from "./http-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Which kind of house the tests of this project run in. */
    house: "together" | "kafka" | "rabbitmq";
  }
}

export interface HouseOptions
  extends Omit<HoldfastOptions, "databaseUrl" | "logger" | "registry" | "services"> {
  /** Which services share a database and a process. Absent: as it is in this kind of house. */
  readonly parts?: readonly (readonly ServiceName[])[];
}

/** Services that run in one process, on one database. */
export interface Part {
  readonly services: readonly ServiceName[];
  readonly engine: Holdfast;
  readonly databaseUrl: string;
  /** The test's own way to the database. */
  readonly pool: Pool;
  readonly server: TestServer;
}

/** All services: together on one database, or apart, each on a database of its own and joined by a broker alone. */
export class House {
  private readonly parts: Part[] = [];
  private readonly databases: TestDatabase[] = [];

  get all(): readonly Part[] {
    return this.parts;
  }

  async open({ parts, ...options }: HouseOptions): Promise<void> {
    const kind = inject("house");
    const isTogether = kind === "together";
    const bus = isTogether ? {} : brokerSettings(kind, await sharedBroker(kind));
    const wanted = parts ?? (isTogether ? [serviceNames] : serviceNames.map((name) => [name]));
    const opening = wanted.map(async (services) => {
      const database = await createTestDatabase();
      this.databases.push(database);
      return openPart(services, { ...bus, ...options, databaseUrl: database.url });
    });
    this.parts.push(...(await Promise.all(opening)));
  }

  /** Where this service runs. */
  partOf(service: string): Part {
    const part = this.parts.find(({ services }) => services.some((name) => name === service));
    if (part === undefined) throw new Error(`nobody runs ${service} here`);
    return part;
  }

  async close(): Promise<void> {
    for (const { server, engine, pool } of this.parts) {
      // A connection whose last request was answered while the server stops would keep it from ending.
      const idle = setInterval(() => server.app.server.closeIdleConnections(), 20);
      await server.app.close();
      clearInterval(idle);
      await engine.close();
      await pool.end();
    }
    for (const database of this.databases) await database.drop();
  }
}

async function openPart(services: readonly ServiceName[], options: HoldfastOptions): Promise<Part> {
  const logger = createLogger("silent");
  const registry = createRegistry();
  const engine = await createHoldfast({ lowStockThreshold: 2, logger, registry, services, ...options });
  const pool = createPool(options.databaseUrl, { max: 4, name: "test" });
  const server = await startServer(
    (app) => {
      for (const service of engine.services) service.registerRoutes(app);
      registerEventRoutes(app, readerOf(pool), engine.logs);
      registerBusRoutes(app, engine.bus);
    },
    { bodyLimitBytes: 1_048_576, registry, probes: [busProbe(engine.bus)] },
  );
  return { services, engine, databaseUrl: options.databaseUrl, pool, server };
}

/** With topics and groups that nobody else has. */
export function brokerSettings(name: BrokerName, address: string) {
  const topicPrefix = `${randomUUID()}.`;
  switch (name) {
    case "kafka":
      return { bus: name, kafkaBrokers: [address], kafkaPartitions: 2, topicPrefix };
    case "rabbitmq":
      return { bus: name, rabbitmqUrl: address, topicPrefix };
  }
}
