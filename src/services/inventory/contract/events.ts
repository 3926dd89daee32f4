import type { Line, ReservationStatus, StatedLine, StockKey } from "./records.ts";
import type { InventoryRefusal } from "./refusals.ts";

interface OfReservation {
  readonly reservation_id: string;
  readonly order_id: string | null;
}

export interface ShortfallReservation extends OfReservation {
  readonly quantity: number;
  readonly status: ReservationStatus;
}

/** The rules decide events with plain lines; once recorded, their lines state the result too. */
export type InventoryEvent<L extends Line = Line> =
  /** `lines` are its records in all stores; nothing moves, but what can be sold of them does change. */
  | { type: "SkuListed"; data: { product_id: string; sku: string; lines: readonly L[] } }
  | { type: "SkuDelisted"; data: { product_id: string; sku: string; lines: readonly L[] } }
  | { type: "StockOpened"; data: StockKey & { product_id: string } }
  /** `lines` are what is held in addition; `key` is that of the cart or the order that asked. */
  | {
      type: "InventoryReserved";
      data: OfReservation & { lines: readonly L[]; expires_at: Date | null; key: string | null };
    }
  | {
      type: "InventoryReservationFailed";
      data: OfReservation & { refusal: InventoryRefusal; key: string | null };
    }
  /** A hold that had expired lives again, with these lines. */
  | { type: "InventoryRetaken"; data: OfReservation & { lines: readonly L[]; expires_at: Date } }
  | { type: "InventoryConfirmed"; data: OfReservation }
  /** Paid, but the hold had expired and the stock is gone. */
  | { type: "InventoryConfirmationFailed"; data: OfReservation & { refusal: InventoryRefusal } }
  | { type: "InventoryExtended"; data: OfReservation & { expires_at: Date; key: string | null } }
  | {
      type: "InventoryReleased";
      /** `now` is what the reservation is afterwards; null when an amendment has only made an open one smaller. */
      data: OfReservation & { lines: readonly L[]; reason: string; now: "released" | "expired" | null };
    }
  | {
      type: "InventoryCommitted";
      data: OfReservation & { lines: readonly L[]; key: string | null; complete: boolean };
    }
  /** What goes out beyond what is on hand is owed, and what comes in makes up for that first. */
  | {
      type: "InventoryAdjusted";
      data: {
        adjustment_id: string | null;
        lines: readonly L[];
        reason: string;
        actor: string;
        /** When it happened, if somebody outside has told of it afterwards. */
        occurred_at?: Date;
      };
    }
  /** These reservations were released for it; what even that has left to be found is owed. */
  | {
      type: "StockShortfall";
      data: StockKey & { reservations: readonly ShortfallReservation[]; quantity_owed?: number };
    }
  | { type: "LowStock"; data: StockKey & { quantity_available: number; threshold: number } };

export type RecordedEvent = InventoryEvent<StatedLine>;

/** What other sales channels are told: the data of an `InventorySync`. */
export interface InventorySync {
  readonly store_id: string;
  readonly product_sku: string;
  readonly quantity: number;
  readonly event_type: "RESERVED" | "RELEASED" | "ADJUSTED" | "COMMITTED";
  readonly order_id: string | null;
  /** What can be sold; right as soon as its version is greater than the one that is known. */
  readonly quantity_available: number;
  readonly version: number;
}
