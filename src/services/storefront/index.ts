import {
  logMigrations,
  migrationsBeside,
  type Service,
  type ServiceOptions,
} from "../../platform/service.ts";
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

/** It is no subscription, since that shares the work among processes: here each process needs all of it. */
export function storefrontService(
  options: ServiceOptions & Pick<StorefrontOptions, "settings" | "onAppended">,
): StorefrontService {
  const storefront = new Storefront(options);
  return {
    name: schema,
    storefront,
    probes: [{ name: schema, check: async () => storefront.health() }],
    start: () => storefront.start(),
    stop: () => storefront.stop(),
    registerRoutes: (app) => registerStorefrontRoutes(app, storefront),
    verify: verifyStorefront,
  };
}
