import { type Static, Type } from "typebox";
import { maxQuantity } from "../../../kernel/limits.ts";
import { printable, printableId } from "../../../kernel/text.ts";

export const ClientId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: "^[A-Za-z0-9._~:-]+$",
  description: "An id that the client chooses: sending it again is safe.",
});
export const Sku = Type.String({ minLength: 1, maxLength: 128, pattern: printableId });
export const StoreId = Type.String({ minLength: 1, maxLength: 128, pattern: printableId });
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
