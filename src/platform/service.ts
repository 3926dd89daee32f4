import { fileURLToPath } from "node:url";
import type { HttpServer } from "./http/server.ts";
import type { MigrationSet } from "./postgres/migrate.ts";
import type { Reader } from "./postgres/statement.ts";

/** One line of what `holdfast verify` prints. */
export interface Finding {
  readonly check: string;
  /** What was looked at, such as "12,000 stock records". */
  readonly looked_at: string;
  /** Empty when the promise holds. */
  readonly violations: readonly string[];
}

/** What every service offers to the composition root. */
export interface Service {
  readonly name: string;
  /** Begins what a service does by itself: following events, sweeping. */
  start(): void;
  /** Answers what was accepted, then ends. */
  stop(): Promise<void>;
  registerRoutes(app: HttpServer): void;
  /** Checks the promises on a consistent view of the database. */
  verify(database: Reader, onProgress: (message: string) => void): Promise<Finding[]>;
}

/** Where the migrations of a module live, given its `import.meta.url`. */
export function migrationsBeside(moduleUrl: string, schema: string, name: string): MigrationSet {
  return { schema, name, directory: fileURLToPath(new URL("./migrations", moduleUrl)) };
}

/** Every service keeps its log in its own schema. */
export function logMigrations(schema: string): MigrationSet {
  return migrationsBeside(new URL("./log/", import.meta.url).href, schema, "log");
}
