import { repeat } from "../../platform/repeat.ts";
import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { heardTopics } from "./consumers.ts";
import { createFulfillment, type Fulfillment, type FulfillmentOptions } from "./fulfillment.ts";
import { registerFulfillmentRoutes } from "./routes.ts";
import { schema } from "./store.ts";
import { verifyFulfillment } from "./verify.ts";

export interface FulfillmentService extends Service {
  readonly fulfillment: Fulfillment;
}

export const fulfillmentMigrations = [
  logMigrations(schema),
  migrationsBeside(import.meta.url, schema, schema),
];

const sweepEveryMs = 1_000;

/** Wires the service: what it hears, what it serves, what it does by itself. */
export function fulfillmentService(options: FulfillmentOptions): FulfillmentService {
  const fulfillment = createFulfillment(options);
  const sweeper = repeat(sweepEveryMs, async () => {
    try {
      while (await fulfillment.sweep());
    } catch (error) {
      options.logger.warn({ err: error }, "what waits for the carrier could not be taken up; trying again");
    }
  });

  return {
    name: schema,
    fulfillment,
    subscription: {
      group: schema,
      topics: heardTopics,
      afterFailure: "wait",
      handle: fulfillment.hear,
    },
    probes: fulfillment.probes,
    start() {
      fulfillment.start();
      sweeper.start();
    },
    async stop() {
      await sweeper.stop();
      await fulfillment.stop();
    },
    registerRoutes: (app) => registerFulfillmentRoutes(app, fulfillment),
    verify: verifyFulfillment,
  };
}
