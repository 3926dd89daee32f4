import { fileURLToPath } from "node:url";
import type { InboundTopic, PublicTopic } from "./bus/channels.ts";
import type { Subscription } from "./bus/port.ts";
import type { Probe } from "./http/health.ts";
import type { HttpServer } from "./http/server.ts";
import type { KeptLog } from "./log/retention.ts";
import type { MigrationSet } from "./postgres/migrate.ts";
import type { Pool } from "./postgres/pool.ts";
import type { Reader } from "./postgres/statement.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Registry } from "./telemetry/metrics.ts";
import type { Tracer } from "./telemetry/tracer.ts";

/** What every service is given to work with. */
export interface ServiceOptions {
  /** For the road and for consumers. */
  readonly pool: Pool;
  /** For questions. */
  readonly reads: Pool;
  /** Commands that may wait; one more is refused. */
  readonly maxWaiting: number;
  /** Aborted when the process is to end: nobody is kept waiting any longer. */
  readonly stopping?: AbortSignal;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly tracer: Tracer;
}

/** One line of what `holdfast verify` prints. */
export interface Finding {
  readonly check: string;
  /** What was looked at, such as "12,000 stock records". */
  readonly looked_at: string;
  /** What it takes to look was not there. */
  readonly skipped?: boolean;
  /** Empty when the promise holds. */
  readonly violations: readonly string[];
}

/** What every service offers to the composition root. */
export interface Service {
  readonly name: string;
  /** What it listens to; the engine puts it on the bus. */
  readonly subscription?: Subscription;
  /** What it tells the world outside, where there is a bus that reaches it. */
  readonly publishes?: PublicTopic;
  /** What it takes from there. */
  readonly receives?: InboundTopic;
  /** What there is to keep beside its log, or to take out of it before a part of it goes. */
  readonly keeps?: Pick<KeptLog, "days" | "snapshot" | "tables">;
  /** What `/health` asks of it, beside the database. */
  readonly probes?: readonly Probe[];
  /** Begins what a service does by itself: sweeping, charging, shipping. */
  start(): void;
  /** Answers what was accepted, then ends. */
  stop(): Promise<void>;
  registerRoutes(app: HttpServer): void;
  /** Checks the promises on a consistent view of its database; `elsewhere` are views of the other services' databases. */
  verify(
    database: Reader,
    onProgress: (message: string) => void,
    elsewhere?: readonly Reader[],
  ): Promise<Finding[]>;
}

/** Where the migrations of a module live, given its `import.meta.url`. */
export function migrationsBeside(moduleUrl: string, schema: string, name: string): MigrationSet {
  return { schema, name, directory: fileURLToPath(new URL("./migrations", moduleUrl)) };
}

/** Every service keeps its log in its own schema. */
export function logMigrations(schema: string): MigrationSet {
  return migrationsBeside(new URL("./log/", import.meta.url).href, schema, "log");
}
