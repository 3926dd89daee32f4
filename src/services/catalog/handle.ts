import type { BatchHandler } from "../../platform/batch/road.ts";
import type { EventRecord } from "../../platform/log/append.ts";
import type { CatalogCommand, CatalogRefusal, Product } from "./contract.ts";
import { decide, evolve } from "./product.ts";
import { loadShelf, log, saveProducts } from "./store.ts";

export type CatalogReply =
  | {
      readonly accepted: true;
      readonly created: boolean;
      readonly product: Product;
      /** Where it stands in the log; undefined when nothing had to be changed. */
      readonly written: number | undefined;
    }
  | { readonly accepted: false; readonly refusal: CatalogRefusal };

/** The road of the service. */
export const handleCatalog: BatchHandler<CatalogCommand, CatalogReply> = async (tx, commands) => {
  const shelf = await loadShelf(tx, commands);
  const mark = await log.mark(tx);
  const changed = new Map<string, { created: boolean }>();
  const events: EventRecord[] = [];
  const replies = commands.map((command): CatalogReply => {
    const decision = decide(shelf, command);
    if (!decision.accepted) return decision;
    const created = !shelf.products.has(command.product_id);
    for (const event of decision.events) {
      evolve(shelf, event, mark.now);
      if (!changed.has(command.product_id)) changed.set(command.product_id, { created });
      const record = { type: event.type, subject: command.product_id, data: event.data };
      events.push(
        command.traceparent === undefined ? record : { ...record, traceparent: command.traceparent },
      );
    }
    const product = shelf.products.get(command.product_id)!;
    return {
      accepted: true,
      created,
      product,
      written: decision.events.length > 0 ? mark.position : undefined,
    };
  });
  saveProducts(tx, shelf, changed);
  log.append(tx, mark, events);
  return replies;
};
