import type { GatewayStep, PaymentEvent, PaymentFailureCode, PaymentStatus } from "./contract.ts";

export interface Payment {
  readonly id: string;
  readonly reservation_id: string;
  readonly status: PaymentStatus;
  readonly amount_minor: number | null;
  readonly currency: string | null;
  readonly token: string | null;
  readonly reserved: boolean;
  readonly hold_at: Date | null;
  readonly code: PaymentFailureCode | null;
  readonly detail: string | null;
  readonly attempts: number;
  readonly failures: number;
  readonly due_at: Date | null;
  /** While it is nobody's turn. */
  readonly next_try_at: Date | null;
  /** Whose turn it is, and until when. */
  readonly worker: string | null;
  readonly leased_until: Date | null;
  readonly delayed_at: Date | null;
  readonly gateway: string | null;
  readonly gateway_reference: string | null;
  readonly traceparent: string | null;
  readonly cause: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export interface PaymentRules {
  readonly hold_ttl_seconds: number;
  /** How long a gateway that cannot be reached is waited for. */
  readonly patience_seconds: number;
  /** How long a worker may take for its turn before another one takes it over. */
  readonly lease_ms: number;
}

/** Where a decision is made: when, by which rules, and who would go to the gateway. */
export interface Desk {
  readonly now: Date;
  readonly rules: PaymentRules;
  readonly gateway: string;
  /** Null when this process can take no more turns: then it is taken up by the sweep. */
  readonly worker: string | null;
}

export interface Decided<Kept extends Payment | undefined = Payment> {
  readonly payment: Kept;
  readonly events: readonly PaymentEvent[];
}

/** The turn at the gateway that a payment has come to. */
export function stepOf(payment: Payment): GatewayStep {
  if (payment.status === "refunding") return "refund";
  if (payment.code !== null) return "cancel";
  return payment.attempts <= 1 ? "charge" : "ask";
}

/**
 * Gives the next turn to this desk's worker. It counts as an attempt from now on: should the process die, nobody could
 * tell whether the call was made.
 */
export function claim(payment: Payment, desk: Desk): Payment {
  const { now, worker, rules } = desk;
  if (worker === null || payment.gateway !== desk.gateway) return waiting(payment, now);
  const leased_until = new Date(now.getTime() + rules.lease_ms);
  return { ...payment, worker, leased_until, attempts: payment.attempts + 1, next_try_at: null };
}

/** It is nobody's turn, until then. */
export function waiting(payment: Payment, next_try_at: Date): Payment {
  return { ...payment, worker: null, leased_until: null, next_try_at };
}

export function done<Kept extends Payment | undefined>(
  payment: Kept,
  ...events: PaymentEvent[]
): Decided<Kept> {
  return { payment, events };
}

export function idsOf({ id, reservation_id }: Payment) {
  return { payment_id: id, order_id: id, reservation_id };
}

/** Of what is not, or no longer, settled at the gateway. */
export const untried = {
  next_try_at: null,
  worker: null,
  leased_until: null,
  delayed_at: null,
  failures: 0,
  traceparent: null,
  cause: null,
} as const;

export function blank(
  { payment_id, reservation_id }: { payment_id: string; reservation_id: string },
  now: Date,
): Payment {
  return {
    id: payment_id,
    reservation_id,
    status: "open",
    amount_minor: null,
    currency: null,
    token: null,
    reserved: false,
    hold_at: null,
    code: null,
    detail: null,
    attempts: 0,
    due_at: null,
    gateway: null,
    gateway_reference: null,
    created_at: now,
    updated_at: now,
    ...untried,
  };
}
