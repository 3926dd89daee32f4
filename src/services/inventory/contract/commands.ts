import type { Adjustment, Line, Reservation, StockKey, StockRecord } from "./records.ts";
import type { InventoryRefusal } from "./refusals.ts";

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
  /** The order whose goods have left: the hold of an order is its own. */
  readonly order_id?: string;
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
  /** Where the catalogue says so. */
  readonly position: number;
  readonly index: number;
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
