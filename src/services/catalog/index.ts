import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { type Catalog, type CatalogOptions, createCatalog } from "./catalog.ts";
import { registerCatalogRoutes } from "./routes.ts";
import { schema } from "./store.ts";

export interface CatalogService extends Service {
  readonly catalog: Catalog;
}

export const catalogMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

export function catalogService(options: CatalogOptions): CatalogService {
  const catalog = createCatalog(options);
  return {
    name: schema,
    catalog,
    start() {},
    stop: () => catalog.drain(),
    registerRoutes: (app) => registerCatalogRoutes(app, catalog),
    // A service that is new learns the products from the beginning of the log, however old they are.
    keeps: { days: 0 },
    verify: async () => [],
  };
}
