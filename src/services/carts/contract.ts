import type { Line } from "../inventory/contract.ts";

// ---- events --------------------------------------------------------------------------------------------------------

interface OfCart {
  readonly cart_id: string;
}

export type CartEvent =
  /** Asks the stock to hold exactly these lines under this reservation; the answer names the same `key`. */
  | {
      type: "CartHoldRequested";
      data: OfCart & {
        readonly reservation_id: string;
        readonly key: string;
        readonly lines: readonly Line[];
        readonly ttl_seconds: number;
      };
    }
  /** The cart needs its hold no more. */
  | { type: "CartHoldReleased"; data: OfCart & { readonly reservation_id: string; readonly reason: string } }
  /** Becomes an order with this id, which takes over the cart's hold where there is one. */
  | {
      type: "CartCheckedOut";
      data: OfCart & {
        readonly order_id: string;
        readonly reservation_id: string | null;
        readonly customer_id: string;
        readonly lines: readonly Line[];
        readonly payment: { readonly token: string };
      };
    };
