import { type Static, Type } from "typebox";
import { maxQuantity } from "../../kernel/limits.ts";
import type { ProblemTable } from "../../platform/http/problem.ts";

// ---- what is kept --------------------------------------------------------------------------------------------------

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

export interface Adjustment {
  readonly id: string;
  readonly reason: string;
  readonly actor: string;
  readonly at: Date;
  readonly lines: readonly StatedLine[];
}

// ---- commands ------------------------------------------------------------------------------------------------------

export interface ReserveStock {
  readonly type: "ReserveStock";
  readonly reservation_id: string;
  readonly lines: readonly Line[];
  readonly ttl_seconds?: number;
  /** A hold that is open and has no order yet is taken over by this one, and held anew from now. */
  readonly order_id?: string;
  /** For callers that cannot be asked again, such as a saga: the refusal is kept and answered again. */
  readonly remember_refusal?: boolean;
  /** Names what a cart asks for. Answered once, by an event of the same key; a hold that has expired is taken again. */
  readonly key?: string;
}

export interface ConfirmReservation {
  readonly type: "ConfirmReservation";
  readonly reservation_id: string;
}

/** The order is paid: the stock is its own for good, taken once more if the hold has expired meanwhile. */
export interface SecureReservation {
  readonly type: "SecureReservation";
  readonly reservation_id: string;
  readonly order_id: string;
}

export interface CommitReservation {
  readonly type: "CommitReservation";
  readonly reservation_id: string;
  /** Absent: all that is left. */
  readonly lines?: readonly Line[];
  /** Names this commit, so that it happens once however often it is sent; a part needs one. */
  readonly key?: string;
  /** The goods have left, whatever became of the hold: it is complete, with what can still be taken of it. */
  readonly settle?: true;
}

export interface ReleaseReservation {
  readonly type: "ReleaseReservation";
  readonly reservation_id: string;
  readonly reason: string;
  /** The order that ends; a hold of another one is left alone. */
  readonly order_id?: string;
  /** A hold that an order has taken over is left to the order. */
  readonly unless_adopted?: true;
  /** Nothing has left the store: what expired can be taken no more, and what was committed comes back, once. */
  readonly restock?: true;
}

export interface ExtendReservation {
  readonly type: "ExtendReservation";
  readonly reservation_id: string;
  readonly ttl_seconds?: number;
  /** Names this extension, so that sending it again does not count from then. */
  readonly key?: string;
  /** A hold that has expired is taken once more, if it is still there to be had. */
  readonly retake?: true;
}

export interface AdjustStock {
  readonly type: "AdjustStock";
  readonly adjustment_id: string;
  /** Quantities are signed. */
  readonly lines: readonly Line[];
  readonly reason: string;
  readonly actor: string;
  readonly force: boolean;
}

/** Goods that a system outside has seen come or go: no longer to be refused for lack of stock. */
export interface MoveStock {
  readonly type: "MoveStock";
  readonly adjustment_id: string;
  /** Quantities are signed. */
  readonly lines: readonly Line[];
  readonly reason: string;
  readonly actor: string;
  readonly occurred_at: Date | null;
}

export interface CountStock extends StockKey {
  readonly type: "CountStock";
  readonly quantity_on_hand: number;
  readonly expected_version?: number;
  readonly reason: string;
  readonly actor: string;
  readonly force: boolean;
}

/** Ends holds whose time is over, up to `limit` of them. */
export interface ExpireReservations {
  readonly type: "ExpireReservations";
  readonly limit: number;
}

/** What the catalogue says that a product consists of now. */
export interface SyncProduct {
  readonly type: "SyncProduct";
  readonly product_id: string;
  readonly skus: readonly string[];
}

export type InventoryCommand = (
  | ReserveStock
  | ConfirmReservation
  | SecureReservation
  | CommitReservation
  | ReleaseReservation
  | ExtendReservation
  | AdjustStock
  | MoveStock
  | CountStock
  | ExpireReservations
  | SyncProduct
) &
  Origin;

/** What led to a command: handed on to the events that come of it. */
export interface Origin {
  readonly traceparent?: string;
  /** The id of an event. */
  readonly cause?: string;
}

/** What a command is about, as it stands afterwards. */
export interface Subjects {
  ReserveStock: Reservation;
  ConfirmReservation: Reservation;
  SecureReservation: Reservation;
  CommitReservation: Reservation;
  ReleaseReservation: Reservation;
  ExtendReservation: Reservation;
  AdjustStock: Adjustment;
  MoveStock: Adjustment;
  CountStock: StockRecord;
  ExpireReservations: { expired: number };
  SyncProduct: null;
}

export type InventoryReply<Type extends InventoryCommand["type"] = InventoryCommand["type"]> =
  | { readonly accepted: true; readonly created: boolean; readonly subject: Subjects[Type] }
  | { readonly accepted: false; readonly refusal: InventoryRefusal };

// ---- events --------------------------------------------------------------------------------------------------------

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
  /** `lines` are what is held in addition; `key` is the cart's, when it was the one that asked. */
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

// ---- refusals ------------------------------------------------------------------------------------------------------

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

// ---- wire schemas --------------------------------------------------------------------------------------------------

export const ClientId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: "^[A-Za-z0-9._~:-]+$",
  description: "An id that the client chooses: sending it again is safe.",
});
const printable = "^[^\\p{Cc}\\p{Cs}]+$";
export const Sku = Type.String({ minLength: 1, maxLength: 128, pattern: printable });
export const StoreId = Type.String({ minLength: 1, maxLength: 128, pattern: printable });
export const Reason = Type.String({ minLength: 1, maxLength: 200, pattern: printable });
const Quantity = Type.Integer({ minimum: 1, maximum: maxQuantity });
const Ttl = Type.Integer({
  minimum: 1,
  maximum: 31_536_000,
  description: "How long it is held, in seconds.",
});
const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));
const Count = Type.Integer({ minimum: 0, maximum: maxQuantity });

/** A store and a SKU: where a stock record is. */
export const StockAddress = Type.Object({ store_id: StoreId, sku: Sku });

const maxLines = 2_000;
const maxReservationsAtOnce = 1_000;

const LineSchema = Type.Object({ store_id: StoreId, sku: Sku, quantity: Quantity });
export const Lines = Type.Array(LineSchema, { minItems: 1, maxItems: maxLines });

export const ReserveBody = Type.Object({
  lines: Lines,
  ttl_seconds: Type.Optional(Ttl),
  order_id: Type.Optional(ClientId),
});
export const ReserveBatchBody = Type.Object({
  reservations: Type.Array(
    Type.Object({
      id: ClientId,
      lines: Lines,
      ttl_seconds: Type.Optional(Ttl),
      order_id: Type.Optional(ClientId),
    }),
    { minItems: 1, maxItems: maxReservationsAtOnce },
  ),
});
export const CommitBody = Type.Object({ lines: Type.Optional(Lines) });
export const ReleaseBody = Type.Object({ reason: Type.Optional(Reason) });
export const ExtendBody = Type.Object({ ttl_seconds: Ttl });
const Force = Type.Boolean({
  description: "Release holds, the newest unpaid ones first, until the rest fits.",
});
export const CountBody = Type.Object({
  quantity_on_hand: Count,
  reason: Reason,
  force: Type.Optional(Force),
});
export const AdjustBody = Type.Object({
  id: ClientId,
  reason: Reason,
  lines: Type.Array(
    Type.Object({
      store_id: StoreId,
      sku: Sku,
      quantity: Type.Union([
        Type.Integer({ minimum: -maxQuantity, maximum: -1 }),
        Type.Integer({ minimum: 1, maximum: maxQuantity }),
      ]),
    }),
    { minItems: 1, maxItems: maxLines },
  ),
  force: Type.Optional(Force),
});

/** What warehouses and tills tell: the data of a `StockIn` or a `StockOut`. */
export const StockMovement = Type.Object(
  {
    lines: Type.Array(Type.Object(LineSchema.properties, { additionalProperties: false }), {
      minItems: 1,
      maxItems: maxLines,
    }),
    reason: Type.Optional(Reason),
    occurred_at: Type.Optional(
      Type.String({ format: "date-time", description: "Absent: the `time` of the message." }),
    ),
  },
  { additionalProperties: false },
);

const stateOfStock = {
  quantity_on_hand: Type.Integer(),
  quantity_reserved: Type.Integer(),
  quantity_available: Type.Integer(),
  version: Type.Integer(),
};
export const StockView = Type.Object(
  {
    product_id: Type.String(),
    store_id: Type.String(),
    sku: Type.String(),
    ...stateOfStock,
    quantity_owed: Type.Integer({
      description: "Has left although it was not on hand: what comes in makes up for it first.",
    }),
    last_updated_at: Timestamp,
  },
  { $id: "Stock" },
);
export const ReservationView = Type.Object(
  {
    id: Type.String(),
    status: Type.Enum(["held", "confirmed", "committed", "released", "expired", "refused"]),
    lines: Type.Immutable(
      Type.Array(
        Type.Object({
          store_id: Type.String(),
          sku: Type.String(),
          quantity: Type.Integer(),
          quantity_committed: Type.Integer(),
        }),
      ),
    ),
    order_id: Type.Union([Type.String(), Type.Null()]),
    reason: Type.Union([Type.String(), Type.Null()]),
    expires_at: Type.Union([Timestamp, Type.Null()]),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: "Reservation" },
);
export const ReservationResult = Type.Object({
  id: Type.String(),
  status: Type.String({ description: "What the reservation is now; `refused` goes with a code." }),
  code: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
  lines: Type.Optional(
    Type.Immutable(
      Type.Array(
        Type.Object({
          store_id: Type.String(),
          sku: Type.String(),
          requested: Type.Integer(),
          available: Type.Integer(),
        }),
      ),
    ),
  ),
});
export const AdjustmentView = Type.Object(
  {
    id: Type.String(),
    reason: Type.String(),
    actor: Type.String(),
    at: Timestamp,
    lines: Type.Immutable(
      Type.Array(
        Type.Object({
          store_id: Type.String(),
          sku: Type.String(),
          quantity: Type.Integer(),
          ...stateOfStock,
          quantity_owed: Type.Optional(Type.Integer()),
        }),
      ),
    ),
  },
  { $id: "Adjustment" },
);
export const MovementView = Type.Object(
  {
    event_id: Type.String(),
    at: Timestamp,
    event_type: Type.Enum(["RESERVED", "RELEASED", "COMMITTED", "ADJUSTED"]),
    quantity: Type.Integer(),
    ...stateOfStock,
    quantity_owed: Type.Optional(Type.Integer()),
    reservation_id: Type.Optional(Type.String()),
    order_id: Type.Optional(Type.String()),
    adjustment_id: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    actor: Type.Optional(Type.String()),
    occurred_at: Type.Optional(Timestamp),
  },
  { $id: "Movement" },
);
export type Movement = Static<typeof MovementView>;
