import { type Static, Type } from "typebox";
import { maxQuantity } from "../../kernel/limits.ts";
import type { ProblemTable } from "../../platform/http/problem.ts";
import { ClientId, type InventoryRefusal, type Line, StockAddress } from "../inventory/contract/index.ts";
import { type OrderLine, type OrderStatus, Payment } from "../orders/contract.ts";

export type { Line } from "../inventory/contract/index.ts";

/** Why the stock does not hold what was asked for. */
export type StockRefusal = InventoryRefusal;

// ---- what is kept --------------------------------------------------------------------------------------------------

/** An `expired` or `deleted` cart is filled again by the next PUT; a `checked_out` one has become an order for good. */
export type CartStatus = "open" | "checked_out" | "expired" | "deleted";

/** How the names of their reservations begin, so that thousands of others cost no question to the database. */
export const holdsOfCarts = "cart-";

export interface CartHold {
  readonly reservation_id: string | null;
  /** Of what the cart holds, whatever has been asked for since. `released`: the stock was needed elsewhere. */
  readonly status: "none" | "held" | "refused" | "expired" | "released";
  readonly expires_at: Date | null;
  /** Why the change of that key was refused, until one is granted. */
  readonly refusal: { readonly key: string; readonly why: InventoryRefusal } | null;
  /** When the last event that we know of was written: what a replay tells of the time before counts no more. */
  readonly as_of: Date | null;
}

/** Lines that the stock was asked to hold, and has not yet said whether it can. */
export interface UnansweredLines {
  readonly key: string;
  readonly lines: readonly Line[];
}

export interface CartOrder {
  readonly id: string;
  /** As far as the cart has heard. */
  readonly status: OrderStatus;
  /** Absent until the order is known to be created. */
  readonly priced?: {
    readonly lines: readonly OrderLine[];
    readonly total_minor: number;
    readonly currency: string;
  };
}

export interface Cart {
  readonly id: string;
  readonly customer_id: string | null;
  readonly status: CartStatus;
  /** One more with every PUT. */
  readonly revision: number;
  /** Those that were granted last. */
  readonly lines: readonly Line[];
  readonly hold: CartHold;
  readonly unanswered: readonly UnansweredLines[];
  readonly order: CartOrder | null;
  /** When the sweep looks at it; it may find that the cart has been changed since, and then comes back later. */
  readonly check_at: Date | null;
  readonly created_at: Date;
  readonly updated_at: Date;
  /** When it ends if it is left alone. */
  readonly expires_at: Date;
}

export interface CartSettings {
  /** Whether lines are held as soon as they are in the cart, or only once it is checked out. */
  readonly hold_on: "cart" | "checkout";
  readonly hold_seconds: number;
  /** How long a cart without a hold is kept after its last change. */
  readonly cart_ttl_seconds: number;
}

// ---- commands ------------------------------------------------------------------------------------------------------

interface Origin {
  readonly traceparent?: string;
  readonly cause?: string;
}

export interface PutCart extends Origin {
  readonly type: "PutCart";
  readonly cart_id: string;
  readonly lines: readonly Line[];
  readonly customer_id?: string;
  /** For the hold, if it needs a new one. */
  readonly new_reservation_id: string;
}

export interface DeleteCart extends Origin {
  readonly type: "DeleteCart";
  readonly cart_id: string;
}

export interface CheckOutCart extends Origin {
  readonly type: "CheckOutCart";
  readonly cart_id: string;
  readonly customer_id?: string;
  readonly payment: { readonly token: string };
  /** For the order, unless there is one already. */
  readonly new_order_id: string;
}

interface Heard extends Origin {
  readonly reservation_id: string;
  readonly at: Date;
}

export interface HearHeld extends Heard {
  readonly type: "HearHeld";
  readonly key: string;
  readonly expires_at: Date;
}

export interface HearRefused extends Heard {
  readonly type: "HearRefused";
  readonly key: string;
  readonly refusal: InventoryRefusal;
  /** For asking again, if it was the reservation that was of no use any more. */
  readonly new_reservation_id: string;
}

/** The hold lives, and until then. */
export interface HearHeldUntil extends Heard {
  readonly type: "HearHeldUntil";
  readonly expires_at: Date;
}

export interface HearReleased extends Heard {
  readonly type: "HearReleased";
  readonly now: "released" | "expired";
}

export interface HearOrderCreated extends Origin {
  readonly type: "HearOrderCreated";
  readonly cart_id: string;
  readonly order_id: string;
  readonly priced: NonNullable<CartOrder["priced"]>;
}

export interface HearOrderEnded extends Origin {
  readonly type: "HearOrderEnded";
  readonly order_id: string;
  readonly status: OrderStatus;
}

/** Ends carts that were left alone, up to `limit` of them. */
export interface EndCarts extends Origin {
  readonly type: "EndCarts";
  readonly limit: number;
}

export type CartCommand =
  | PutCart
  | DeleteCart
  | CheckOutCart
  | HearHeld
  | HearRefused
  | HearHeldUntil
  | HearReleased
  | HearOrderCreated
  | HearOrderEnded
  | EndCarts;

export type CartReply =
  | {
      readonly accepted: true;
      /** The carts that the command changed or asked for, as they were before and are afterwards. */
      readonly carts: readonly { readonly before: Cart | undefined; readonly after: Cart }[];
      /** How many carts a sweep has looked at. */
      readonly looked_at: number;
    }
  | { readonly accepted: false; readonly refusal: CartRefusal };

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

// ---- refusals ------------------------------------------------------------------------------------------------------

export interface CartRefusal {
  readonly code: keyof typeof cartProblems;
  readonly detail: string;
  readonly lines?: NonNullable<InventoryRefusal["lines"]>;
}

export const cartProblems = {
  "carts.not_found": { status: 404, title: "There is no cart with this id" },
  "carts.unknown_sku": { status: 404, title: "The catalogue does not know this SKU" },
  "carts.insufficient_stock": { status: 409, title: "There is not enough stock" },
  "carts.hold_refused": { status: 409, title: "The lines cannot be held" },
  "carts.hold_pending": {
    status: 409,
    title: "The stock has not yet answered an earlier change",
    retryAfterSeconds: 1,
  },
  "carts.empty": { status: 409, title: "There is nothing in the cart" },
  "carts.expired": { status: 409, title: "The cart has expired" },
  "carts.checked_out": { status: 409, title: "The cart has been checked out" },
  "carts.customer_missing": { status: 422, title: "An order needs a customer" },
  "carts.quantity_overflow": { status: 422, title: "The quantity is larger than can be kept" },
} as const satisfies ProblemTable;

// ---- wire schemas --------------------------------------------------------------------------------------------------

const maxLines = 500;
const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));
const orNull = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);

export const CartAddress = Type.Object({ id: ClientId });
export const PutCartBody = Type.Object({
  lines: Type.Array(
    Type.Object({
      ...StockAddress.properties,
      quantity: Type.Integer({ minimum: 1, maximum: maxQuantity }),
    }),
    { maxItems: maxLines, description: "All that shall be in it; none empties it." },
  ),
  customer_id: Type.Optional(ClientId),
});
export const CheckOutBody = Type.Object({ customer_id: Type.Optional(ClientId), payment: Payment });

const line = { store_id: Type.String(), sku: Type.String(), quantity: Type.Integer() };
const LinesView = Type.Immutable(Type.Array(Type.Object(line)));
export const CartView = Type.Object(
  {
    id: Type.String(),
    status: Type.Enum(["open", "checked_out", "expired"]),
    revision: Type.Integer({ description: "One more with every PUT." }),
    customer_id: orNull(Type.String()),
    lines: LinesView,
    pending_lines: orNull(LinesView),
    hold: Type.Object({
      reservation_id: orNull(Type.String()),
      status: Type.Enum(["none", "pending", "held", "refused", "expired", "released"]),
      expires_at: orNull(Timestamp),
      refusal: orNull(
        Type.Object({
          code: Type.String(),
          detail: Type.String(),
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
        }),
      ),
    }),
    order_id: orNull(Type.String()),
    created_at: Timestamp,
    updated_at: Timestamp,
    expires_at: Timestamp,
  },
  { $id: "Cart" },
);
export type CartRecord = Static<typeof CartView>;

export const CheckoutView = Type.Object(
  {
    id: Type.String({ description: "The order's id." }),
    status: Type.String(),
    customer_id: orNull(Type.String()),
    lines: Type.Immutable(Type.Array(Type.Object({ ...line, price_minor: Type.Optional(Type.Integer()) }))),
    total_minor: orNull(Type.Integer()),
    currency: orNull(Type.String()),
    cart_id: Type.String(),
  },
  { $id: "Checkout" },
);
export type Checkout = Static<typeof CheckoutView>;
