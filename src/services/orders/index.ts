import { repeat } from "../../platform/repeat.ts";
import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { isOfOrder, topics } from "./consumers.ts";
import { createOrders, type Orders, type OrdersOptions } from "./orders.ts";
import { registerOrderRoutes } from "./routes.ts";
import { schema } from "./store.ts";
import { verifyOrders } from "./verify/index.ts";

export interface OrdersService extends Service {
  readonly orders: Orders;
}

export const orderMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

// Deadlines are minutes and more. To look means to go through all open orders: an index on the deadline would cost every
// order two index entries.
const sweepEveryMs = 5_000;

/** Wires the service: what it follows, what it serves, what it does by itself. */
export function ordersService(options: OrdersOptions): OrdersService {
  const { logger } = options;
  const orders = createOrders(options);

  const sweeper = repeat(sweepEveryMs, async () => {
    try {
      while (await orders.sweep());
    } catch (error) {
      logger.warn({ err: error }, "orders whose deadline is over could not be looked after; trying again");
    }
  });

  return {
    name: schema,
    orders,
    // Whether an order was paid before or after something else happened to it must not depend on a failure.
    subscription: {
      group: schema,
      topics,
      concerns: isOfOrder,
      afterFailure: "wait",
      handle: (tx, events) => orders.hear(tx, events),
    },
    keeps: { tables: ["heard", "asides"] },
    start() {
      orders.start();
      sweeper.start();
    },
    async stop() {
      await sweeper.stop();
      await orders.stop();
    },
    registerRoutes: (app) => registerOrderRoutes(app, orders),
    verify: verifyOrders,
  };
}
