import type { Line } from "../inventory/contract.ts";

// ---- events --------------------------------------------------------------------------------------------------------

/** There is one shipment for an order, and it has the order's id. */
interface OfShipment {
  readonly shipment_id: string;
  readonly order_id: string;
  readonly reservation_id: string;
}

interface Handover {
  readonly carrier: string;
  readonly tracking: string | null;
  readonly lines: readonly Line[];
}

export type FulfillmentEvent =
  | { type: "ShipmentOpened"; data: OfShipment & { readonly lines: readonly Line[] } }
  /** A part has left; `part` counts them from 1. */
  | { type: "OrderPartlyShipped"; data: OfShipment & Handover & { readonly part: number } }
  /** All of it has left; `lines` are those of the last part. */
  | { type: "OrderFulfilled"; data: OfShipment & Handover & { readonly part: number } }
  /** Nothing has left, and nothing will. */
  | { type: "ShipmentCancelled"; data: OfShipment & { readonly reason: string } }
  /** It was too late to cancel. */
  | { type: "ShipmentCancellationRefused"; data: OfShipment & { readonly detail: string } }
  /** The carrier will never take it; nothing has left. */
  | { type: "FulfillmentFailed"; data: OfShipment & { readonly code: string; readonly detail: string } };
