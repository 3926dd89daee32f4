import type { Line } from "../inventory/contract.ts";

// ---- what is kept --------------------------------------------------------------------------------------------------

/**
 * `pending`: waits for stock · `reserved`: stock is held, waits for the payment · `paid`: paid and secured, is being
 * shipped · the others are ends.
 */
export const orderStatuses = [
  "pending",
  "reserved",
  "paid",
  "completed",
  "rejected",
  "payment_failed",
  "cancelled",
  "expired",
] as const;
export type OrderStatus = (typeof orderStatuses)[number];

export interface OrderLine extends Line {
  /** The price of one, from the catalogue at order time. */
  readonly price_minor: number;
}

// ---- events --------------------------------------------------------------------------------------------------------

interface OfOrder {
  readonly order_id: string;
  readonly reservation_id: string;
}

export type OrderEvent =
  | {
      type: "OrderCreated";
      data: OfOrder & {
        readonly customer_id: string;
        readonly lines: readonly OrderLine[];
        readonly total_minor: number;
        readonly currency: string;
        readonly payment: { readonly token: string };
        readonly cart_id: string | null;
      };
    }
  /** Paid, and the stock is secured for good: fulfilment may ship. */
  | { type: "OrderPaid"; data: OfOrder & { readonly customer_id: string; readonly lines: readonly Line[] } }
  /** A paid order shall be cancelled: whether it still can be is for fulfilment to say. */
  | { type: "OrderCancellationRequested"; data: OfOrder & { readonly reason: string } }
  | { type: "OrderCancelled"; data: OfOrder & { readonly reason: string; readonly detail: string } }
  | {
      type: "OrderFailed";
      data: OfOrder & {
        readonly status: "rejected" | "payment_failed" | "expired";
        readonly reason: string;
        readonly detail: string;
      };
    }
  | {
      type: "OrderCompleted";
      data: OfOrder & { readonly customer_id: string; readonly total_minor: number; readonly currency: string };
    };
