import { LogFollower } from "../../platform/log/follow.ts";
import { repeat } from "../../platform/repeat.ts";
import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { commandsFromCatalog } from "./consumers.ts";
import { createInventory, type Inventory, type InventoryOptions } from "./inventory.ts";
import { registerInventoryRoutes } from "./routes/index.ts";
import { schema } from "./store/schema.ts";
import { verifyInventory } from "./verify.ts";

export interface InventoryService extends Service {
  readonly inventory: Inventory;
  readonly catalogFollower: LogFollower;
}

export const inventoryMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

const sweepEveryMs = 1_000;
const sweepLimit = 500;

/** Wires the service: what it follows, what it serves, what it does by itself. */
export function inventoryService(options: InventoryOptions): InventoryService {
  const { pool, logger } = options;
  const inventory = createInventory(options);

  const catalogFollower = new LogFollower({
    pool,
    source: "catalog",
    follower: schema,
    apply: async (tx, batches) => {
      await inventory.handle(tx, commandsFromCatalog(batches));
    },
    onError: (error) =>
      logger.error({ err: error }, "the catalogue's events could not be taken over; trying again"),
  });

  const sweeper = repeat(sweepEveryMs, async () => {
    try {
      while (await sweepOnce(inventory));
    } catch (error) {
      logger.warn({ err: error }, "overdue holds could not be ended; trying again");
    }
  });

  return {
    name: schema,
    inventory,
    catalogFollower,
    start() {
      catalogFollower.start();
      sweeper.start();
    },
    async stop() {
      await Promise.all([catalogFollower.stop(), sweeper.stop()]);
      await inventory.drain();
    },
    registerRoutes: (app) => registerInventoryRoutes(app, inventory),
    verify: verifyInventory,
  };
}

/** True when there may be more than one batch of overdue holds. */
async function sweepOnce(inventory: Inventory): Promise<boolean> {
  const reply = await inventory.submit({ type: "ExpireReservations", limit: sweepLimit });
  return reply.accepted && reply.subject.expired === sweepLimit;
}
