import { type Static, Type } from "typebox";
import { printable } from "../../kernel/text.ts";
import type { ProblemTable } from "../../platform/http/problem.ts";
import { ClientId, type Line, Lines } from "../inventory/contract/index.ts";

export type { Line } from "../inventory/contract/index.ts";

// ---- what is kept --------------------------------------------------------------------------------------------------

/**
 * `open`: waits for a carrier · `handing_over`: given to the carrier, whose answer is outstanding · `partly_shipped` and
 * `shipped`: has left · `cancelled` and `failed`: nothing has left, and nothing will.
 */
export const shipmentStatuses = [
  "open",
  "handing_over",
  "partly_shipped",
  "shipped",
  "cancelled",
  "failed",
] as const;

/** `called_off` remembers, of an order that is not paid yet, that nothing of it shall be shipped. */
export type ShipmentStatus = (typeof shipmentStatuses)[number] | "called_off";

export interface ShippedLine extends Line {
  readonly quantity_shipped: number;
}

export interface ShipmentPart extends Handover {
  readonly part: number;
  /** What the client named it, so that sending it again ships nothing again. */
  readonly key: string | null;
  readonly at: Date;
}

/** Where a request came from, to be handed on to the event that answers it. */
export interface Origin {
  readonly traceparent?: string;
  readonly cause?: string;
}

export interface Shipment {
  /** The order's id. */
  readonly id: string;
  readonly reservation_id: string;
  readonly status: ShipmentStatus;
  readonly lines: readonly ShippedLine[];
  readonly parts: readonly ShipmentPart[];
  /** Why nothing was sent. */
  readonly reason: string | null;
  /** A request to cancel that waits for the carrier's answer, or for the order to be paid. */
  readonly cancel_wanted: (Origin & { readonly reason: string }) | null;
  /** The requests to cancel that came too late, by the ids of their events. */
  readonly refused_requests: readonly string[];
  /** How often the carrier has left us without an answer. */
  readonly attempts: number;
  /** When the sweep takes it up: as a first or next try, or because whoever took it has vanished. */
  readonly next_try_at: Date | null;
  /** The payment that opened it. */
  readonly origin: Origin;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** Those that anybody is shown. */
export type KnownShipment = Shipment & { readonly status: (typeof shipmentStatuses)[number] };

// ---- commands ------------------------------------------------------------------------------------------------------

interface OfOrder extends Origin {
  readonly order_id: string;
  readonly reservation_id: string;
}

export interface OpenShipment extends OfOrder {
  readonly type: "OpenShipment";
  readonly lines: readonly Line[];
}

export interface CancelShipment extends OfOrder {
  readonly type: "CancelShipment";
  readonly reason: string;
  /** The order has ended, so nobody waits for an answer. */
  readonly order_ended: boolean;
}

/** What came of giving it to the carrier. */
export type HandoverOutcome =
  | { readonly result: "shipped"; readonly carrier: string; readonly tracking: string | null }
  | { readonly result: "refused"; readonly detail: string }
  /** The carrier was asked, because a cancellation is wanted, and has never heard of it. */
  | { readonly result: "absent" }
  /** There was no answer: the carrier may have it or not. */
  | { readonly result: "unanswered"; readonly retry_in_ms: number }
  /** The carrier was not even called. */
  | { readonly result: "not_tried"; readonly retry_in_ms: number };

export interface RecordHandover extends Origin {
  readonly type: "RecordHandover";
  readonly shipment_id: string;
  readonly outcome: HandoverOutcome;
}

export interface Ship extends Origin {
  readonly type: "Ship";
  readonly shipment_id: string;
  /** Absent: all that is left. */
  readonly lines?: readonly Line[];
  readonly carrier: string;
  readonly tracking: string | null;
  /** Names this part, so that it is shipped once however often it is sent. */
  readonly key?: string;
}

export interface FailShipment extends Origin {
  readonly type: "FailShipment";
  readonly shipment_id: string;
  readonly detail: string;
}

/** Takes up to `limit` of what waits for the carrier. */
export interface ClaimShipments extends Origin {
  readonly type: "ClaimShipments";
  readonly limit: number;
}

export type FulfillmentCommand =
  | OpenShipment
  | CancelShipment
  | RecordHandover
  | Ship
  | FailShipment
  | ClaimShipments;

export type FulfillmentReply =
  | {
      readonly accepted: true;
      readonly events: readonly FulfillmentEvent[];
      readonly shipment: Shipment | undefined;
      /** To be given to the carrier once this is durable. */
      readonly handed: readonly Shipment[];
    }
  | { readonly accepted: false; readonly refusal: FulfillmentRefusal };

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

// ---- refusals ------------------------------------------------------------------------------------------------------

export interface FulfillmentRefusal {
  readonly code: keyof typeof fulfillmentProblems;
  readonly detail: string;
  readonly lines?: readonly {
    readonly store_id: string;
    readonly sku: string;
    readonly requested: number;
    readonly left: number;
  }[];
}

export const fulfillmentProblems = {
  "fulfillment.shipment_not_found": { status: 404, title: "There is no shipment with this id" },
  "fulfillment.carrier_not_used": { status: 404, title: "This carrier is not in use" },
  "fulfillment.exceeds_shipment": { status: 409, title: "That is more than is left to ship" },
  "fulfillment.already_shipped": { status: 409, title: "It has been shipped already" },
  "fulfillment.shipment_ended": { status: 409, title: "Nothing of this order will be shipped" },
  "fulfillment.handing_over": {
    status: 409,
    title: "It has been given to the carrier, whose answer is outstanding",
  },
  "fulfillment.key_reused": { status: 422, title: "This Idempotency-Key was used for something else" },
} as const satisfies ProblemTable;

// ---- wire schemas --------------------------------------------------------------------------------------------------

const Text = Type.String({ minLength: 1, maxLength: 200, pattern: printable });
const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));

export const ShipmentAddress = Type.Object({ id: ClientId });
export const ShipBody = Type.Object({
  lines: Type.Optional(Lines),
  tracking: Type.Optional(Text),
  carrier: Type.Optional(Text),
});
export const FailBody = Type.Object({ detail: Text });

const line = { store_id: Type.String(), sku: Type.String(), quantity: Type.Integer() };
export const ShipmentView = Type.Object(
  {
    id: Type.String({ description: "The order's id." }),
    reservation_id: Type.String(),
    status: Type.Enum([...shipmentStatuses]),
    lines: Type.Immutable(Type.Array(Type.Object({ ...line, quantity_shipped: Type.Integer() }))),
    parts: Type.Immutable(
      Type.Array(
        Type.Object({
          part: Type.Integer(),
          carrier: Type.String(),
          tracking: Type.Union([Type.String(), Type.Null()]),
          lines: Type.Immutable(Type.Array(Type.Object(line))),
          at: Timestamp,
        }),
      ),
    ),
    reason: Type.Union([Type.String(), Type.Null()], { description: "Why nothing was sent." }),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: "Shipment" },
);
export const SimulatedCarrierSettings = Type.Object(
  {
    latency_ms: Type.Integer({ minimum: 0, maximum: 60_000, description: "How long it takes to answer." }),
    failure_rate: Type.Number({
      minimum: 0,
      maximum: 1,
      description: "The share of shipments that it refuses.",
    }),
    down: Type.Boolean({ description: "Cannot be reached." }),
  },
  { $id: "SimulatedCarrier" },
);
export type SimulatedSettings = Static<typeof SimulatedCarrierSettings>;
