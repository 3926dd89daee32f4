import { readFileSync } from "node:fs";
import { createHttpServer } from "../../src/platform/http/server.ts";
import { registerEventRoutes } from "../../src/platform/log/routes.ts";
import type { Reader } from "../../src/platform/postgres/statement.ts";
import { createLogger } from "../../src/platform/telemetry/logger.ts";
import { createRegistry, type Registry } from "../../src/platform/telemetry/metrics.ts";
import type { Catalog } from "../../src/services/catalog/catalog.ts";
import { registerCatalogRoutes } from "../../src/services/catalog/routes.ts";
import type { Inventory } from "../../src/services/inventory/inventory.ts";
import { inventoryMetrics } from "../../src/services/inventory/metrics.ts";
import { registerInventoryRoutes } from "../../src/services/inventory/routes/index.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

/** A server that is asked what it offers and serves nothing: no route is called, so no service need be there. */
export async function describeServer(): Promise<{ openapi: object; registry: Registry }> {
  const registry = createRegistry();
  const app = await createHttpServer({
    version,
    keys: { required: false, find: () => undefined, search: async () => undefined },
    logger: createLogger("silent"),
    registry,
    probes: [],
    bodyLimitBytes: 1_048_576,
    rateLimitPerMinute: undefined,
  });
  registerCatalogRoutes(app, {} as Catalog);
  registerInventoryRoutes(app, {} as Inventory);
  registerEventRoutes(app, {} as Reader, []);
  inventoryMetrics(registry, async () => ({
    quantity_on_hand: 0,
    quantity_reserved: 0,
    oversold: 0,
    orphaned: 0,
  }));
  await app.ready();
  const openapi = app.swagger();
  await app.close();
  return { openapi, registry };
}
