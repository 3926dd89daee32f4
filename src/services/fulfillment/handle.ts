import type { BatchHandler } from "../../platform/batch/road.ts";
import type { Loaded } from "./book.ts";
import type { FulfillmentCommand, FulfillmentReply } from "./contract.ts";
import { loadBook, saveBook } from "./store.ts";

export type FulfillmentHandler = BatchHandler<FulfillmentCommand, FulfillmentReply>;

/** The road of the service. The same handler serves HTTP, events, the carrier's answers and the sweep. */
export function fulfillmentHandler(carrier: () => Loaded["carrier"]): FulfillmentHandler {
  return async (tx, commands) => {
    const book = await loadBook(tx, commands, carrier());
    const replies = commands.map((command) => book.settle(command));
    saveBook(tx, book);
    return replies;
  };
}
