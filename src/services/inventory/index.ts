import type { InboundTopic, PublicTopic } from "../../platform/bus/channels.ts";
import type { Subscription } from "../../platform/bus/port.ts";
import { repeat } from "../../platform/repeat.ts";
import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { commandsFrom, topics } from "./consumers/events.ts";
import { inboundTopic } from "./consumers/inbound.ts";
import { createInventory, type Inventory, type InventoryOptions } from "./inventory.ts";
import { registerInventoryRoutes } from "./routes/index.ts";
import { schema } from "./store/schema.ts";
import { stockSnapshot } from "./store/snapshot.ts";
import { syncMessagesOf } from "./sync.ts";
import { verifyInventory } from "./verify/index.ts";

export interface InventoryService extends Service {
  readonly inventory: Inventory;
  readonly subscription: Subscription;
  readonly publishes: PublicTopic;
  readonly receives: InboundTopic;
}

export const inventoryMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

const sweepEveryMs = 1_000;
const sweepLimit = 500;

/** Wires the service: what it follows, what it serves, what it does by itself. */
export function inventoryService(options: InventoryOptions): InventoryService {
  const { logger } = options;
  const inventory = createInventory(options);

  const subscription: Subscription = {
    group: schema,
    topics,
    afterFailure: "wait",
    handle: (tx, events) => inventory.carryOut(tx, commandsFrom(events)),
  };

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
    subscription,
    publishes: { topic: "inventory.sync", messagesOf: syncMessagesOf },
    receives: { topic: inboundTopic, receive: (messages) => inventory.receive(messages) },
    start: () => sweeper.start(),
    async stop() {
      await sweeper.stop();
      await inventory.drain();
    },
    registerRoutes: (app) => registerInventoryRoutes(app, inventory),
    keeps: { snapshot: stockSnapshot },
    verify: verifyInventory,
  };
}

/** True when there may be more than one batch of overdue holds. */
async function sweepOnce(inventory: Inventory): Promise<boolean> {
  const reply = await inventory.submit({ type: "ExpireReservations", limit: sweepLimit });
  return reply.accepted && reply.subject.expired === sweepLimit;
}
