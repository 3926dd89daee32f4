// ---- events --------------------------------------------------------------------------------------------------------

/** There is one payment for an order, and it has the order's id. */
interface OfPayment {
  readonly payment_id: string;
  readonly order_id: string;
  readonly reservation_id: string;
}

export type PaymentFailureCode =
  | "declined"
  /** The hold ran out, or the order ended, before anything was charged. */
  | "hold_expired"
  | "order_ended"
  /** The gateway could not be reached within the time that an order may wait for it. */
  | "gateway_unreachable";

export type PaymentEvent =
  | {
      type: "PaymentSucceeded";
      data: OfPayment & {
        readonly amount_minor: number;
        readonly currency: string;
        readonly gateway: string;
        readonly gateway_reference: string;
      };
    }
  | {
      type: "PaymentFailed";
      data: OfPayment & { readonly code: PaymentFailureCode; readonly detail: string };
    }
  /** The gateway cannot be reached: the order waits, and its hold with it. */
  | { type: "PaymentDelayed"; data: OfPayment & { readonly detail: string; readonly retry_at: Date } }
  | {
      type: "PaymentRefunded";
      data: OfPayment & { readonly amount_minor: number; readonly currency: string; readonly reason: string };
    };
