import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { Logger } from "../../platform/telemetry/logger.ts";
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

export interface CatalogOptions {
  /** For the road. */
  pool: Pool;
  /** For questions. */
  reads: Pool;
  maxWaiting: number;
  logger: Logger;
  /** Resolves when the followers in this process have reached the position. */
  followed: (position: number) => Promise<unknown>;
}

export function createCatalog({ pool, reads, maxWaiting, logger, followed }: CatalogOptions): Catalog {
  const database = readerOf(reads);
  const road = new Road<CatalogCommand, CatalogReply>({
    pool,
    handle: handleCatalog,
    maxWaiting,
    workOf: ({ content }) => content.skus.length,
    observer: { poison: setAside(pool, schema, logger) },
  });
  return {
    async put(product_id, content, traceparent) {
      const command: CatalogCommand = { type: "PutProduct", product_id, content };
      const reply = await road.submit(traceparent === undefined ? command : { ...command, traceparent });
      if (reply.accepted && reply.written !== undefined) await followed(reply.written);
      return reply;
    },
    product: (id) => findProduct(database, id),
    drain: () => road.drain(),
  };
}
