import { logWriter } from "../../platform/log/append.ts";
import {
  logMigrations,
  migrationsBeside,
  type Service,
  type ServiceOptions,
} from "../../platform/service.ts";
import { copyInventory } from "./consumers/copy.ts";
import { registerStorefrontRoutes } from "./routes.ts";
import { schema } from "./store.ts";
import { Storefront, type StorefrontOptions } from "./storefront.ts";
import { verifyStorefront } from "./verify.ts";

export interface StorefrontService extends Service {
  readonly storefront: Storefront;
}

/** The log's tables for the cursor among them: it writes no events. */
export const storefrontMigrations = [
  logMigrations(schema),
  migrationsBeside(import.meta.url, schema, schema),
];

/**
 * Following the log is no subscription, since that shares the work among processes: here each process needs all of it.
 * Where the log is elsewhere, one process brings it here, into a log of our own, and each follows that.
 */
export function storefrontService(
  options: ServiceOptions & Pick<StorefrontOptions, "settings" | "follows" | "watch" | "copyAgeMs">,
): StorefrontService {
  const storefront = new Storefront(options);
  return {
    name: schema,
    storefront,
    ...(options.follows === schema
      ? { subscription: copyInventory(logWriter(schema), (at) => storefront.synced(at)) }
      : {}),
    probes: [{ name: schema, check: async () => storefront.health() }],
    start: () => storefront.start(),
    stop: () => storefront.stop(),
    registerRoutes: (app) => registerStorefrontRoutes(app, storefront),
    verify: (database, onProgress) => verifyStorefront(database, options.follows, onProgress),
  };
}
