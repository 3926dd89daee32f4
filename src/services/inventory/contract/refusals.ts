import type { ProblemTable } from "../../../platform/http/problem.ts";
import type { StockKey } from "./records.ts";

export interface ShortLine extends StockKey {
  readonly requested: number;
  readonly available: number;
}

export interface InventoryRefusal {
  readonly code: InventoryRefusalCode;
  readonly detail: string;
  readonly lines?: readonly ShortLine[];
}

export const inventoryProblems = {
  "inventory.unknown_sku": { status: 404, title: "The catalogue does not know this SKU" },
  "inventory.stock_not_found": { status: 404, title: "There is no stock record of this SKU in this store" },
  "inventory.reservation_not_found": { status: 404, title: "There is no reservation with this id" },
  "inventory.before_horizon": {
    status: 404,
    title: "The stock was not yet recorded at this time, or it is older than what is kept",
  },
  "inventory.insufficient_stock": { status: 409, title: "There is not enough stock" },
  "inventory.reservation_closed": { status: 409, title: "The reservation has ended" },
  "inventory.reservation_taken": { status: 409, title: "The reservation belongs to somebody else" },
  "inventory.exceeds_reservation": { status: 409, title: "That is more than the reservation holds" },
  "inventory.already_committed": { status: 409, title: "Part of these lines has been shipped already" },
  "inventory.below_reserved": { status: 409, title: "That would cut below what is reserved" },
  "inventory.adjustment_conflict": { status: 409, title: "This id was used for another adjustment" },
  "inventory.version_mismatch": { status: 412, title: "The stock has changed in the meantime" },
  "inventory.key_reused": { status: 422, title: "This Idempotency-Key was used for something else" },
  "inventory.quantity_overflow": { status: 422, title: "The quantity is larger than can be kept" },
} as const satisfies ProblemTable;

export type InventoryRefusalCode = keyof typeof inventoryProblems;
