import { repeat } from "../../platform/repeat.ts";
import { logMigrations, migrationsBeside, type Service } from "../../platform/service.ts";
import { type CartOptions, type Carts, createCarts } from "./carts.ts";
import { heardTopics, isOfCart } from "./consumers.ts";
import { registerCartRoutes } from "./routes.ts";
import { schema } from "./store.ts";
import { verifyCarts } from "./verify.ts";

export interface CartsService extends Service {
  readonly carts: Carts;
}

export const cartMigrations = [logMigrations(schema), migrationsBeside(import.meta.url, schema, schema)];

const sweepEveryMs = 1_000;

/** Wires the service: what it hears, what it serves, what it does by itself. */
export function cartsService(options: CartOptions): CartsService {
  const carts = createCarts(options);
  const sweeper = repeat(sweepEveryMs, async () => {
    try {
      while (await carts.sweep());
    } catch (error) {
      options.logger.warn({ err: error }, "carts that were left alone could not be ended; trying again");
    }
  });

  return {
    name: schema,
    carts,
    subscription: {
      group: schema,
      topics: heardTopics,
      concerns: isOfCart,
      afterFailure: "wait",
      handle: carts.hear,
    },
    start: () => sweeper.start(),
    async stop() {
      await sweeper.stop();
      await carts.drain();
    },
    registerRoutes: (app) => registerCartRoutes(app, carts),
    verify: verifyCarts,
  };
}
