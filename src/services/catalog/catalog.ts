import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import type { CatalogCommand, Product, ProductContent } from "./contract.ts";
import { type CatalogReply, handleCatalog } from "./handle.ts";
import { findProduct, schema } from "./store.ts";

/** What can be asked of the service within this process. */
export interface Catalog {
  /** Answers when the services of this process that follow the catalogue have taken the product over. */
  put(id: string, content: ProductContent, traceparent?: string): Promise<CatalogReply>;
  product(id: string): Promise<Product | undefined>;
  drain(): Promise<void>;
}

export interface CatalogOptions extends ServiceOptions {
  /** Resolves when those who follow the catalogue in this process have reached the position. */
  readonly followed: (position: number) => Promise<unknown>;
}

export function createCatalog(options: CatalogOptions): Catalog {
  const { pool, reads, maxWaiting, stopping, logger, tracer, followed } = options;
  const database = readerOf(reads);
  const road = new Road<CatalogCommand, CatalogReply>({
    pool,
    handle: handleCatalog,
    maxWaiting,
    stopping,
    workOf: ({ content }) => content.skus.length,
    observer: { poison: setAside(pool, schema, logger) },
    tracer,
    service: schema,
  });

  /** The product stands, also where nobody can tell who has heard of it. */
  async function untilFollowed(position: number): Promise<void> {
    try {
      await followed(position);
    } catch (error) {
      logger.warn(
        { err: error, position },
        "whether the followers of the catalogue have heard of a product is not known",
      );
    }
  }

  return {
    async put(product_id, content, traceparent) {
      const command: CatalogCommand = { type: "PutProduct", product_id, content };
      const reply = await road.submit(traceparent === undefined ? command : { ...command, traceparent });
      if (reply.accepted && reply.written !== undefined) await untilFollowed(reply.written);
      return reply;
    },
    product: (id) => findProduct(database, id),
    drain: () => road.drain(),
  };
}
