import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { lastUnitSku, loadDemo } from "./demo.ts";
import { migrationsOf } from "./engine.ts";
import { type Greeting, greet, greetShortly, urlOf } from "./greeting.ts";
import { createHoldfast, type Holdfast } from "./holdfast.ts";
import { busProbe } from "./platform/bus/probe.ts";
import { registerBusRoutes } from "./platform/bus/routes.ts";
import type { Config } from "./platform/config.ts";
import { InfrastructureError } from "./platform/errors.ts";
import { apiKeyMigrations, countActiveKeys } from "./platform/http/api-keys.ts";
import { assertMayListen } from "./platform/http/auth.ts";
import type { Probe } from "./platform/http/health.ts";
import { Keyring } from "./platform/http/keyring.ts";
import { traceRequests } from "./platform/http/request-context.ts";
import { createHttpServer, type HttpServer } from "./platform/http/server.ts";
import { registerEventRoutes } from "./platform/log/routes.ts";
import { claimDatabase } from "./platform/postgres/claim.ts";
import { startEmbeddedPostgres } from "./platform/postgres/embedded/index.ts";
import { codeOf } from "./platform/postgres/errors.ts";
import { type MigrationSet, migrate } from "./platform/postgres/migrate.ts";
import { createPool, type Pool } from "./platform/postgres/pool.ts";
import { type Reader, readerOf } from "./platform/postgres/statement.ts";
import { serviceNames } from "./platform/settings.ts";
import { createLogger, type Logger } from "./platform/telemetry/logger.ts";
import { createRegistry } from "./platform/telemetry/metrics.ts";
import { createTracer, type ExportingTracer } from "./platform/telemetry/tracer.ts";
import { exitAfter, untilToldToStop } from "./shutdown.ts";
import { version } from "./version.ts";

// Made by `npm run docs`; it is in the package.
const asyncApi = new URL("../docs/reference/asyncapi.json", import.meta.url);

/** What the server keeps in its database. */
export function migrationsFor({ bus, services }: Pick<Config, "bus" | "services">): readonly MigrationSet[] {
  return [...migrationsOf(bus, services), apiKeyMigrations];
}

/** Runs the server until the process is told to stop. */
export async function runServer(config: Config): Promise<never> {
  const logger = createLogger(config.logLevel);
  const told = untilToldToStop(logger);
  const { greeting, stop } = await startServer(config, logger);
  process.stdout.write(process.stdout.isTTY ? greet(greeting) : greetShortly(greeting));
  return exitAfter(stop, await told, logger);
}

export interface RunningServer {
  readonly greeting: Greeting;
  readonly databaseUrl: string;
  stop(): Promise<void>;
}

/** Puts everything together. What was opened is closed in the opposite order, also when a later part does not start. */
export async function startServer(config: Config, logger: Logger): Promise<RunningServer> {
  const opened: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const databaseUrl = config.databaseUrl ?? (await openEmbedded(config, logger, opened));
    const registry = createRegistry();
    const tracer = await openTracer(config, logger, opened);
    const engine = await createHoldfast({
      ...config,
      databaseUrl,
      logger,
      registry,
      ...(tracer === undefined ? {} : { tracer }),
    });
    opened.push(engine.close);

    await migrate(databaseUrl, [apiKeyMigrations]);
    const pool = createPool(databaseUrl, { max: 3, name: "holdfast server" });
    opened.push(() => pool.end());
    assertMayListen(config.host, await countActiveKeys(pool));
    const keys = await Keyring.open(pool, logger);
    opened.push(async () => keys.close());

    const isOurs = config.databaseUrl === undefined;
    const isWhole = engine.services.length === serviceNames.length;
    if (config.demo && isOurs && isWhole) await loadDemo(engine, readerOf(pool), config.defaultStore);

    const app = await createHttpServer({
      ...config,
      version,
      asyncApi: readFileSync(asyncApi, "utf8"),
      keys,
      logger,
      registry,
      probes: [
        databaseProbe(pool),
        busProbe(engine.bus),
        ...engine.services.flatMap(({ probes = [] }) => probes),
      ],
    });
    opened.push(
      () => closeHttp(app),
      async () => engine.hurry(),
    );
    if (tracer !== undefined) traceRequests(app, tracer);
    registerRoutes(app, engine, readerOf(pool));
    await listen(app, config);

    const lastUnit = { store_id: config.defaultStore, sku: lastUnitSku };
    const greeting: Greeting = {
      url: urlOf(config.host, (app.server.address() as AddressInfo).port),
      database: isOurs ? `embedded, in ${resolve(config.dataDir)}` : "the one of HOLDFAST_DATABASE_URL",
      broker: config.bus === "postgres" ? undefined : `through ${config.bus}`,
      needsKey: keys.required,
      lastUnit: isWhole ? await engine.stock(lastUnit) : undefined,
    };
    return { greeting, databaseUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function registerRoutes(app: HttpServer, { services, logs, bus }: Holdfast, database: Reader): void {
  for (const service of services) service.registerRoutes(app);
  registerEventRoutes(app, database, logs);
  registerBusRoutes(app, bus);
}

async function openTracer(
  { otlpUrl, traceRatio }: Config,
  logger: Logger,
  opened: (() => Promise<unknown>)[],
): Promise<ExportingTracer | undefined> {
  if (otlpUrl === undefined) return undefined;
  const tracer = await createTracer({ url: otlpUrl, serviceName: "holdfast", ratio: traceRatio, logger });
  opened.push(() => tracer.shutdown());
  return tracer;
}

async function openEmbedded(
  { dataDir }: Config,
  logger: Logger,
  opened: (() => Promise<unknown>)[],
): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dataDir, onProgress: (message) => logger.info(message) });
  const claim = await claimDatabase(postgres.url).catch(async (error) => {
    if (!postgres.adopted) await postgres.stop();
    throw error;
  });
  if ("takenBy" in claim) {
    throw new InfrastructureError(
      "server.already_running",
      `Another Holdfast serves ${resolve(dataDir)} already (${claim.takenBy}). Stop it first, or give this one a ` +
        "directory of its own with HOLDFAST_DATA_DIR. Several servers can share an external PostgreSQL: " +
        "set HOLDFAST_DATABASE_URL.",
      { retryable: false },
    );
  }
  opened.push(() => postgres.stop(), claim.release);
  return postgres.url;
}

async function listen(app: HttpServer, { host, port }: Config): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const obstacle = obstacles[codeOf(cause) ?? ""];
    if (obstacle === undefined) throw cause;
    throw new InfrastructureError("server.cannot_listen", obstacle(host, port), { retryable: false, cause });
  }
}

/** A connection that is in use when closing starts would be kept open afterwards for as long as it may be idle. */
async function closeHttp(app: HttpServer): Promise<void> {
  const sweep = setInterval(() => app.server.closeIdleConnections(), 20);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
  }
}

const obstacles: Readonly<Record<string, (host: string, port: number) => string>> = {
  EADDRINUSE: (host, port) =>
    `Port ${port} of ${host} is taken: another program, or another Holdfast, listens there. Choose a free one with HOLDFAST_PORT or --port.`,
  EACCES: (_host, port) =>
    `Port ${port} may not be used by this account. Choose one above 1023 with HOLDFAST_PORT or --port.`,
  EADDRNOTAVAIL: (host) => `${host} is not an address of this machine. Put HOLDFAST_HOST right.`,
  ENOTFOUND: (host) => `${host} is not a known name. Put HOLDFAST_HOST right.`,
};

function databaseProbe(pool: Pool): Probe {
  return {
    name: "database",
    check: async () => {
      await pool.query("select 1");
    },
  };
}
