import type { Broker } from "./platform/bus/broker/broker.ts";
import { type BrokerBus, createBrokerBus, relayMigrations } from "./platform/bus/broker/index.ts";
import type { Bus, BusKind } from "./platform/bus/port.ts";
import { createPostgresBus } from "./platform/bus/postgres/index.ts";
import { InfrastructureError } from "./platform/errors.ts";
import { logKeeper } from "./platform/log/retention.ts";
import { databaseMetrics } from "./platform/postgres/metrics.ts";
import type { MigrationSet } from "./platform/postgres/migrate.ts";
import { createPool } from "./platform/postgres/pool.ts";
import type { Service, ServiceOptions } from "./platform/service.ts";
import { Retention, type ServiceName, serviceNames } from "./platform/settings.ts";
import { createLogger, type Logger } from "./platform/telemetry/logger.ts";
import { createRegistry, type Registry } from "./platform/telemetry/metrics.ts";
import { type Tracer, untraced } from "./platform/telemetry/tracer.ts";
import { cartMigrations, cartsService } from "./services/carts/index.ts";
import { catalogMigrations, catalogService } from "./services/catalog/index.ts";
import { fulfillmentMigrations, fulfillmentService } from "./services/fulfillment/index.ts";
import { inventoryMigrations, inventoryService } from "./services/inventory/index.ts";
import { orderMigrations, ordersService } from "./services/orders/index.ts";
import { type PaymentSettings, paymentMigrations, paymentsService } from "./services/payments/index.ts";
import { storefrontMigrations, storefrontService } from "./services/storefront/index.ts";

export interface EngineOptions {
  /** PostgreSQL 15 or newer. Each service has a schema of its own name there, created and kept up to date. */
  readonly databaseUrl: string;
  readonly services?: readonly ServiceName[];
  /** Carries the events between the services. Absent: PostgreSQL does, and all services share one database. */
  readonly broker?: Broker | undefined;
  /** Services that are not wanted here have no tables in this database; with a broker that may be so. */
  readonly isApart?: boolean;
  /** Before the names of all topics of the broker. */
  readonly topicPrefix?: string;
  /** Where a new SKU's stock record is opened. */
  readonly defaultStore?: string;
  readonly holdTtlSeconds?: number;
  readonly lowStockThreshold?: number;
  readonly commitOn?: "fulfillment" | "payment";
  readonly holdOn?: "cart" | "checkout";
  readonly cartHoldSeconds?: number;
  readonly pendingSeconds?: number;
  readonly shippingSeconds?: number;
  readonly gateway?: "simulated" | "stripe";
  readonly gatewayConcurrency?: number | undefined;
  readonly webhookSecret?: string | undefined;
  readonly stripeSecretKey?: string | undefined;
  readonly stripeWebhookSecret?: string | undefined;
  readonly stripeUrl?: string;
  readonly carrier?: "simulated" | "manual";
  readonly retentionDays?: Retention;
  readonly retentionForce?: boolean;
  /** Commands that may wait for one service; one more is refused. */
  readonly mailboxDepth?: number;
  readonly logger?: Logger;
  readonly registry?: Registry;
  readonly tracer?: Tracer;
}

const migrations: Readonly<Record<ServiceName, readonly MigrationSet[]>> = {
  catalog: catalogMigrations,
  inventory: inventoryMigrations,
  orders: orderMigrations,
  payments: paymentMigrations,
  fulfillment: fulfillmentMigrations,
  carts: cartMigrations,
  storefront: storefrontMigrations,
};

/** What is kept in the database. Without a broker the services read each other's logs there, so all have to be there. */
export function migrationsOf(bus: BusKind, services: readonly ServiceName[]): readonly MigrationSet[] {
  if (bus === "postgres") return Object.values(migrations).flat();
  return [...services.flatMap((name) => migrations[name]), relayMigrations];
}

// Each consumer group holds a connection while it works, and so does each road.
const roadConnections = 16;
const readConnections = 6;
const maxStreams = 10_000;

/** The services on one database and one bus, not started: whoever only looks at a database needs no more. */
export function createEngine(options: EngineOptions) {
  const {
    databaseUrl,
    services: wanted = serviceNames,
    broker,
    isApart = broker !== undefined,
    topicPrefix = "",
    retentionDays = new Retention(30),
    retentionForce = false,
    mailboxDepth = 20_000,
    logger = createLogger("warn"),
    registry = createRegistry(),
    tracer = untraced,
  } = options;
  // Readers have connections of their own: however many there are, the road never waits for one.
  const pool = createPool(databaseUrl, { max: roadConnections, name: "holdfast" });
  const reads = createPool(databaseUrl, { max: readConnections, name: "holdfast reads" });
  databaseMetrics(registry, logger, reads);
  /** Whose logs are in this database. */
  const schemas = isApart ? wanted : serviceNames;
  // The storefront has nothing to tell: what its log may hold is a copy of the inventory's.
  const logs = schemas.filter((name) => name !== "storefront");
  // Where the inventory keeps its log elsewhere, the storefront has a copy of its own.
  const shown = schemas.includes("inventory") ? "inventory" : "storefront";
  const followers = shown === "inventory" ? [{ group: "storefront", topic: shown }] : [];
  const busOptions = { pool, url: databaseUrl, schemas, followers, logger, tracer, registry };
  const outer =
    broker === undefined ? undefined : createBrokerBus({ ...busOptions, broker, logs, prefix: topicPrefix });
  const bus: Bus = outer ?? createPostgresBus(busOptions);
  const stopping = new AbortController();
  const common: ServiceOptions = {
    pool,
    reads,
    maxWaiting: mailboxDepth,
    stopping: stopping.signal,
    registry,
    logger,
    tracer,
  };
  const parts = createParts(options, common, bus, outer, shown);
  const services = wanted.map((name) => parts[name]());
  for (const { subscription } of services) if (subscription !== undefined) bus.subscribe(subscription);
  if (outer !== undefined) openChannels(services, outer);
  // A log is kept by whoever runs its service.
  const keeper = logKeeper({
    pool,
    schemas: services.map(({ name, keeps }) => ({
      schema: name,
      days: retentionDays.daysOf(name),
      followers: followers.filter(({ topic }) => topic === name).map(({ group }) => group),
      ...keeps,
    })),
    force: retentionForce,
    logger,
    registry,
  });

  return {
    pool,
    bus,
    services,
    /** The services whose events are in this database, whether they run here or not. */
    logs,
    /** Those of the services that run here, by name. */
    parts: Object.fromEntries(services.map((service) => [service.name, service])) as Parts,
    start() {
      keeper.start();
      for (const service of services) service.start();
      bus.start();
    },
    /** It is about to be closed: who waits for something to happen is answered with what there is. */
    hurry: () => stopping.abort(),
    /** Answers what was accepted, then lets go of the database. */
    async close() {
      stopping.abort();
      await bus.stop();
      for (const service of services) await service.stop();
      await keeper.stop();
      await disconnect();
    },
    disconnect,
  };

  async function disconnect(): Promise<void> {
    await Promise.all([pool.end(), reads.end()]);
  }
}

type Parts = { readonly [Name in ServiceName]?: ReturnType<ReturnType<typeof createParts>[Name]> };

/** What the services tell the world outside, and hear from it. */
function openChannels(services: readonly Service[], bus: BrokerBus): void {
  for (const { name, publishes, receives } of services) {
    if (publishes !== undefined) bus.announce(name, publishes);
    if (receives !== undefined) bus.accept(name, receives);
  }
}

/** How each service is made, should it be wanted here. */
function createParts(
  options: EngineOptions,
  common: ServiceOptions,
  bus: Bus,
  outer: BrokerBus | undefined,
  shown: "inventory" | "storefront",
) {
  const {
    defaultStore = "main",
    holdTtlSeconds = 900,
    lowStockThreshold = 5,
    commitOn = "fulfillment",
    holdOn = "cart",
    cartHoldSeconds = 1_800,
    pendingSeconds = 900,
    shippingSeconds = 604_800,
    carrier = "simulated",
  } = options;
  return {
    catalog: () => catalogService({ ...common, followed: (position) => bus.reached("catalog", position) }),
    inventory: () =>
      inventoryService({
        ...common,
        settings: {
          default_store: defaultStore,
          hold_ttl_seconds: holdTtlSeconds,
          low_stock_threshold: lowStockThreshold,
          commit_on: commitOn,
        },
      }),
    orders: () =>
      ordersService({
        ...common,
        settings: {
          pending_seconds: pendingSeconds,
          hold_ttl_seconds: holdTtlSeconds,
          shipping_seconds: shippingSeconds,
        },
      }),
    payments: () => paymentsService({ ...common, settings: paymentSettings(options, holdTtlSeconds) }),
    fulfillment: () => fulfillmentService({ ...common, settings: { carrier } }),
    carts: () =>
      cartsService({
        ...common,
        settings: { hold_on: holdOn, hold_seconds: cartHoldSeconds, cart_ttl_seconds: cartHoldSeconds },
      }),
    storefront: () =>
      storefrontService({
        ...common,
        settings: { max_streams: maxStreams },
        follows: shown,
        ...(shown === "storefront" &&
          outer !== undefined && { copyAgeMs: () => outer.ageMs("storefront", "inventory") }),
        watch: (topic, onGrown) => bus.watch(topic, onGrown),
      }),
  };
}

const patienceSeconds = 86_400;

function paymentSettings(options: EngineOptions, hold_ttl_seconds: number): PaymentSettings {
  const { gateway = "simulated", gatewayConcurrency, webhookSecret } = options;
  const common = {
    hold_ttl_seconds,
    patience_seconds: patienceSeconds,
    ...(gatewayConcurrency === undefined ? {} : { concurrency: gatewayConcurrency }),
  };
  if (gateway === "simulated") {
    return { ...common, gateway, ...(webhookSecret === undefined ? {} : { webhook_secret: webhookSecret }) };
  }
  return { ...common, gateway, stripe: stripeSettings(options) };
}

function stripeSettings({ stripeSecretKey, stripeWebhookSecret, stripeUrl }: EngineOptions) {
  if (stripeSecretKey === undefined || stripeWebhookSecret === undefined) {
    throw new InfrastructureError(
      "config.invalid",
      "The gateway stripe needs HOLDFAST_STRIPE_SECRET_KEY and HOLDFAST_STRIPE_WEBHOOK_SECRET. " +
        "Both are in Stripe's dashboard, under Developers.",
      { retryable: false },
    );
  }
  const keys = { secret_key: stripeSecretKey, webhook_secret: stripeWebhookSecret };
  if (stripeUrl === undefined) return keys;
  const { hostname, port, protocol } = new URL(stripeUrl);
  const isPlain = protocol === "http:";
  return {
    ...keys,
    host: hostname,
    port: port === "" ? (isPlain ? 80 : 443) : Number(port),
    protocol: isPlain ? ("http" as const) : ("https" as const),
  };
}
