import { type Static, Type } from "typebox";
import type { ProblemTable } from "../../platform/http/problem.ts";

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

// ---- what is kept --------------------------------------------------------------------------------------------------

/**
 * `open`: waits for the order or for its stock · `charging`: due, and until it is settled at the gateway ·
 * `refunding`: the money goes back · the others are ends, though what has succeeded may still be refunded.
 */
export const paymentStatuses = ["open", "charging", "succeeded", "failed", "refunding", "refunded"] as const;
export type PaymentStatus = (typeof paymentStatuses)[number];

// ---- what gateways answer ------------------------------------------------------------------------------------------

/** What is known of a charge. `cancelled` is for good: a charge under the same id that comes later is refused. */
export type ChargeOutcome =
  | { readonly status: "succeeded"; readonly reference: string }
  | { readonly status: "declined"; readonly detail: string }
  | { readonly status: "cancelled" }
  | { readonly status: "pending" };

export type RefundOutcome =
  | { readonly status: "succeeded"; readonly reference: string }
  | { readonly status: "refused"; readonly detail: string }
  | { readonly status: "pending" };

/** No answer. Unless it was not even `sent`, it may have been carried out all the same. */
export interface Unreachable {
  readonly status: "unreachable";
  readonly detail: string;
  readonly sent: boolean;
}

/** What a gateway says by itself. */
export interface Notice {
  readonly payment_id: string;
  readonly outcome: ChargeOutcome;
}

// ---- commands ------------------------------------------------------------------------------------------------------

/** `ask`: an earlier call was not answered, so ask what became of it before charging. */
export type GatewayStep = "charge" | "ask" | "cancel" | "refund";

/** Whose turn at the gateway it was: an answer that took too long speaks for nobody's turn any more. */
export interface Turn {
  readonly worker: string;
  readonly attempt: number;
}

export interface TakenTurn extends Turn {
  readonly step: GatewayStep;
  /** When the next one comes, should this one have settled nothing. */
  readonly retry_in_ms: number;
}

interface OfCommand {
  readonly payment_id: string;
  readonly traceparent?: string;
  readonly cause?: string;
}

export type PaymentCommand =
  | (OfCommand & {
      readonly type: "RequestPayment";
      readonly reservation_id: string;
      readonly amount_minor: number;
      readonly currency: string;
      readonly token: string;
    })
  | (OfCommand & { readonly type: "AllowCharge"; readonly reservation_id: string; readonly at: Date })
  | (OfCommand & {
      readonly type: "UndoPayment";
      readonly reservation_id: string;
      readonly code: "hold_expired" | "order_ended";
      readonly detail: string;
      readonly at: Date;
    })
  /** `turn` is absent when the gateway said it by itself. */
  | (OfCommand & {
      readonly type: "RecordCharge";
      readonly outcome: ChargeOutcome | Unreachable;
      readonly turn?: TakenTurn;
    })
  | (OfCommand & {
      readonly type: "RecordRefund";
      readonly outcome: RefundOutcome | Unreachable;
      readonly turn: TakenTurn;
    })
  /** The turn was not taken. */
  | (OfCommand & { readonly type: "GiveBack"; readonly turn: Turn })
  | TakeOver;

/** Takes up what is overdue: a worker that died, a try whose time has come. */
export interface TakeOver {
  readonly type: "TakeOver";
  readonly limit: number;
  /** What only waits because the gateway could not be reached does not wait any longer. */
  readonly early: boolean;
  /** Leases whose turns are all over. */
  readonly finished: readonly number[];
}

// ---- wire ----------------------------------------------------------------------------------------------------------

export const PaymentId = Type.String({ minLength: 1, maxLength: 64, pattern: "^[A-Za-z0-9._~:-]+$" });
export const GatewayName = Type.String({ minLength: 1, maxLength: 64, pattern: "^[a-z0-9_-]+$" });

const Timestamp = Type.Unsafe<Date>(Type.String({ format: "date-time" }));
const nullable = <Schema extends Parameters<typeof Type.Union>[0][number]>(schema: Schema) =>
  Type.Union([schema, Type.Null()]);

export const PaymentView = Type.Object(
  {
    id: Type.String(),
    order_id: Type.String(),
    status: Type.Enum([...paymentStatuses]),
    amount_minor: nullable(Type.Integer()),
    currency: nullable(Type.String()),
    gateway: nullable(Type.String()),
    gateway_reference: nullable(Type.String()),
    refunded: Type.Boolean(),
    code: nullable(
      Type.String({ description: "Why it failed, was refunded or, while it is charging, shall be undone." }),
    ),
    detail: nullable(Type.String()),
    attempts: Type.Integer({ description: "Calls that may have reached the gateway." }),
    next_try_at: nullable(Timestamp),
    created_at: Timestamp,
    updated_at: Timestamp,
  },
  { $id: "Payment" },
);
export type PaymentView = Static<typeof PaymentView>;

const rate = { minimum: 0, maximum: 1, default: 0 };
const milliseconds = { minimum: 0, maximum: 600_000, default: 0 };

const simulation = {
  latency_ms: Type.Integer({ ...milliseconds, description: "Before each answer." }),
  jitter_ms: Type.Integer({ ...milliseconds, description: "At most so much more, at random." }),
  failure_rate: Type.Number({
    ...rate,
    description: "Share of the calls that fail, before or after they were carried out.",
  }),
  decline_rate: Type.Number({ ...rate, description: "Share of the charges that are declined." }),
  late_seconds: Type.Integer({
    minimum: 0,
    maximum: 86_400,
    default: 0,
    description: "Every charge is answered `pending` first, and says yes so many seconds later.",
  }),
  duplicate_webhooks: Type.Boolean({
    default: false,
    description: "Sends a webhook for each charge, twice.",
  }),
  down: Type.Boolean({ default: false, description: "No call reaches it." }),
};

/** How the simulated gateway behaves, beside what the tokens ask of it. */
export const SimulationBody = Type.Partial(Type.Object(simulation));
export const SimulationView = Type.Object(simulation, { $id: "SimulatedGateway" });
export type Simulation = Static<typeof SimulationView>;

export const paymentProblems = {
  "payments.webhook_signature": { status: 400, title: "The webhook is not signed by the gateway" },
  "payments.payment_not_found": { status: 404, title: "There is no payment with this id" },
  "payments.gateway_not_found": { status: 404, title: "This gateway is not the one in use" },
} as const satisfies ProblemTable;
