import type { InventoryRefusal } from "./refusals.ts";

export interface StockKey {
  readonly store_id: string;
  readonly sku: string;
}

export interface Line extends StockKey {
  readonly quantity: number;
}

export interface StockRecord extends StockKey {
  readonly product_id: string;
  readonly quantity_on_hand: number;
  readonly quantity_reserved: number;
  readonly quantity_available: number;
  /** Has left although it was not on hand: what comes in makes up for it first. */
  readonly quantity_owed: number;
  /** One more with every movement, and whenever the SKU is listed or delisted. */
  readonly version: number;
  readonly last_updated_at: Date;
  /** False once the catalogue has dropped the SKU: what is held may still be shipped, but nothing new is promised. */
  readonly listed: boolean;
}

/** `refused` is an order's reservation that could not be had: remembered, so that a redelivery is answered as before. */
export type ReservationStatus = "held" | "confirmed" | "committed" | "released" | "expired" | "refused";

export interface ReservedLine extends Line {
  readonly quantity_committed: number;
}

export interface Reservation {
  readonly id: string;
  readonly status: ReservationStatus;
  readonly lines: readonly ReservedLine[];
  readonly order_id: string | null;
  /** Why it ended. */
  readonly reason: string | null;
  readonly refusal: InventoryRefusal | null;
  readonly expires_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  /** The keys of what was asked for so far, each with what it was used for, behind a space. */
  readonly keys: readonly string[];
  /** Where in the log its story stands. */
  readonly positions: readonly number[];
}

/** A line of an event as it stands in the log: what moved, and what came of it. */
export interface StatedLine extends Line {
  readonly quantity_on_hand: number;
  readonly quantity_reserved: number;
  readonly quantity_available: number;
  readonly version: number;
  /** Absent: nothing is. */
  readonly quantity_owed?: number;
  /** Absent: it is listed, and what is available can be sold. */
  readonly listed?: false;
}

export interface Adjustment {
  readonly id: string;
  readonly reason: string;
  readonly actor: string;
  readonly at: Date;
  readonly lines: readonly StatedLine[];
}
