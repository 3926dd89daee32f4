import { unreachable } from "../../kernel/decision.ts";
import type {
  GatewayStep,
  PaymentCommand,
  PaymentEvent,
  PaymentFailureCode,
  PaymentStatus,
  TakeOver,
  Turn,
  Unreachable,
} from "./contract.ts";
import { type RetryRules, retryAt } from "./retry.ts";

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
  readonly next_try_at: Date | null;
  readonly worker: string | null;
  readonly delayed_at: Date | null;
  readonly gateway: string | null;
  readonly gateway_reference: string | null;
  readonly traceparent: string | null;
  readonly cause: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export interface PaymentRules extends RetryRules {
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
  /** Null when this process has its hands full: then it is taken up by the sweep. */
  readonly worker: string | null;
}

export interface Decided {
  readonly payment: Payment | undefined;
  readonly events: readonly PaymentEvent[];
}

type CommandOf<Type extends PaymentCommand["type"]> = Extract<PaymentCommand, { type: Type }>;

/** What a command makes of a payment. The very same payment comes back when nothing changes. */
export function decide(
  payment: Payment | undefined,
  command: Exclude<PaymentCommand, TakeOver>,
  desk: Desk,
): Decided {
  switch (command.type) {
    case "RequestPayment":
      return request(payment, command, desk);
    case "AllowCharge":
      return allow(payment, command, desk);
    case "UndoPayment":
      return undo(payment, command, desk);
    case "RecordCharge":
      return payment === undefined ? unchanged(payment) : recordCharge(payment, command, desk);
    case "RecordRefund":
      return payment === undefined ? unchanged(payment) : recordRefund(payment, command, desk);
    case "GiveBack":
      return payment === undefined ? unchanged(payment) : giveBack(payment, command.turn, desk);
    default:
      return unreachable(command);
  }
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
  if (worker === null || payment.gateway !== desk.gateway) {
    return { ...payment, worker: null, next_try_at: now };
  }
  const next_try_at = new Date(now.getTime() + rules.lease_ms);
  return { ...payment, worker, attempts: payment.attempts + 1, next_try_at };
}

// ---- what the order and its stock say ------------------------------------------------------------------------------

function request(payment: Payment | undefined, command: CommandOf<"RequestPayment">, desk: Desk): Decided {
  if (payment !== undefined && (payment.status !== "open" || payment.amount_minor !== null)) {
    return unchanged(payment);
  }
  const { amount_minor, currency, token } = command;
  return begun({ ...(payment ?? blank(command, desk.now)), amount_minor, currency, token }, desk);
}

function allow(payment: Payment | undefined, command: CommandOf<"AllowCharge">, desk: Desk): Decided {
  if (isOld(payment, command.at)) return unchanged(payment);
  const held = { reserved: true, hold_at: command.at };
  if (payment === undefined) return done({ ...blank(command, desk.now), ...held });
  if (payment.status === "open" && !payment.reserved) return begun({ ...payment, ...held }, desk);
  // Taken again in time: the charge is wanted again.
  if (payment.status === "charging" && payment.code === "hold_expired") {
    return done({ ...payment, ...held, code: null, detail: null });
  }
  return unchanged(payment);
}

function undo(payment: Payment | undefined, command: CommandOf<"UndoPayment">, desk: Desk): Decided {
  const { code, detail, at } = command;
  const expires = code === "hold_expired";
  if (payment === undefined) return fail(blank(command, desk.now), code, detail);
  if (expires && isOld(payment, at)) return unchanged(payment);
  if (payment.status === "open") return fail(payment, code, detail);
  if (payment.status === "succeeded" && !expires) return refund({ ...payment, code, detail }, desk);
  if (payment.status !== "charging" || payment.code === "order_ended") return unchanged(payment);

  const marked: Payment = { ...payment, code, detail, ...(expires && { hold_at: at }) };
  // Somebody is at the gateway: what is found out there decides.
  if (payment.worker !== null) return done(marked);
  return payment.attempts === 0 ? fail(marked, code, detail) : done(claim(marked, desk));
}

function begun(payment: Payment, desk: Desk): Decided {
  if (!payment.reserved || payment.amount_minor === null) return done(payment);
  const due: Payment = { ...payment, status: "charging", due_at: desk.now, gateway: desk.gateway };
  // No gateway charges nothing.
  if (payment.amount_minor === 0) return succeed({ ...due, gateway: free }, "nothing-to-pay");
  return done(claim(due, desk));
}

/** Events of the same stock come in their order; only a replay says something older. */
function isOld(payment: Payment | undefined, at: Date): boolean {
  return payment?.hold_at != null && at.getTime() < payment.hold_at.getTime();
}

// ---- what the gateway says -----------------------------------------------------------------------------------------

function recordCharge(payment: Payment, command: CommandOf<"RecordCharge">, desk: Desk): Decided {
  const { outcome, turn } = command;
  if (outcome.status === "succeeded") return charged(payment, outcome.reference, desk);
  if (payment.status !== "charging") return unchanged(payment);
  switch (outcome.status) {
    case "declined":
      return fail(payment, "declined", outcome.detail);
    case "cancelled":
      return fail(
        payment,
        payment.code ?? "declined",
        payment.detail ?? "The gateway has cancelled the charge.",
      );
    case "pending":
      return hasTurn(payment, turn) ? pending(payment, command, turn, desk) : unchanged(payment);
    case "unreachable":
      return hasTurn(payment, turn) ? delayed(payment, command, outcome, desk) : unchanged(payment);
    default:
      return unreachable(outcome);
  }
}

function charged(payment: Payment, reference: string, desk: Desk): Decided {
  if (payment.status === "charging") {
    // That the hold has expired is for inventory to mend, which takes the stock again or lets the order fail.
    if (payment.code !== "order_ended") return succeed(payment, reference);
    const { code, detail } = payment;
    const { payment: paid, events } = succeed(payment, reference);
    return { payment: refund({ ...paid!, code, detail }, desk).payment, events };
  }
  // It was given up, and the money came all the same.
  if (payment.status === "failed" && payment.amount_minor !== null) {
    return refund(
      { ...payment, gateway: payment.gateway ?? desk.gateway, gateway_reference: reference },
      desk,
    );
  }
  return unchanged(payment);
}

function pending(payment: Payment, command: CommandOf<"RecordCharge">, turn: Turn, desk: Desk): Decided {
  const waiting = { ...postponed(payment, command, desk), delayed_at: null };
  if (payment.code === null) return done({ ...waiting, detail: null });
  return done(turn.step === "cancel" ? waiting : claim(waiting, desk));
}

function delayed(
  payment: Payment,
  command: CommandOf<"RecordCharge">,
  { detail, sent }: Unreachable,
  desk: Desk,
): Decided {
  const { now, rules } = desk;
  const attempts = sent ? payment.attempts : payment.attempts - 1;
  let waiting: Payment = { ...postponed(payment, command, desk), attempts };
  if (waiting.code === null && since(payment.due_at, now) >= rules.patience_seconds) {
    waiting = { ...waiting, code: "gateway_unreachable", detail };
  }
  if (waiting.code !== null) {
    return attempts === 0 ? fail(waiting, waiting.code, waiting.detail ?? detail) : done(waiting);
  }
  // A hold that is extended now lasts for its whole time again: three times as long as until it is said next.
  const isDue = payment.delayed_at === null || since(payment.delayed_at, now) >= rules.hold_ttl_seconds / 3;
  if (!isDue) return done({ ...waiting, detail });
  const data = { ...idsOf(payment), detail, retry_at: waiting.next_try_at! };
  return done({ ...waiting, detail, delayed_at: now }, { type: "PaymentDelayed", data });
}

function recordRefund(payment: Payment, command: CommandOf<"RecordRefund">, desk: Desk): Decided {
  if (payment.status !== "refunding") return unchanged(payment);
  if (command.outcome.status === "succeeded") return refunded(payment);
  if (!hasTurn(payment, command.turn)) return unchanged(payment);
  return done(postponed(payment, command, desk));
}

function giveBack(payment: Payment, turn: Turn, desk: Desk): Decided {
  if (!hasTurn(payment, turn)) return unchanged(payment);
  const attempts = payment.attempts - 1;
  if (payment.status === "charging" && payment.code !== null && attempts === 0) {
    return fail(payment, payment.code, payment.detail!);
  }
  return done({ ...payment, attempts, worker: null, next_try_at: desk.now });
}

function hasTurn(payment: Payment, turn: Turn | undefined): turn is Turn {
  return turn !== undefined && payment.worker === turn.worker && payment.attempts === turn.attempt;
}

function postponed(
  payment: Payment,
  { chance, traceparent, cause }: CommandOf<"RecordCharge" | "RecordRefund">,
  { now, rules }: Desk,
): Payment {
  return {
    ...payment,
    worker: null,
    failures: payment.failures + 1,
    next_try_at: retryAt(now, payment.failures, chance, rules),
    traceparent: traceparent ?? payment.traceparent,
    cause: cause ?? payment.cause,
  };
}

// ---- ends ----------------------------------------------------------------------------------------------------------

const ended = {
  next_try_at: null,
  worker: null,
  delayed_at: null,
  failures: 0,
  traceparent: null,
  cause: null,
} as const;

/** Of a payment without a price: there is nobody to give nothing back. */
export const free = "none";

function succeed(payment: Payment, gateway_reference: string): Decided {
  const { amount_minor, currency, gateway } = payment;
  const paid: Payment = {
    ...payment,
    ...ended,
    status: "succeeded",
    code: null,
    detail: null,
    gateway_reference,
  };
  const data = {
    ...idsOf(payment),
    amount_minor: amount_minor!,
    currency: currency!,
    gateway: gateway!,
    gateway_reference,
  };
  return done(paid, { type: "PaymentSucceeded", data });
}

function fail(payment: Payment, code: PaymentFailureCode, detail: string): Decided {
  const failed: Payment = { ...payment, ...ended, status: "failed", code, detail };
  return done(failed, { type: "PaymentFailed", data: { ...idsOf(payment), code, detail } });
}

function refund(payment: Payment, desk: Desk): Decided {
  if (payment.gateway === free) return refunded(payment);
  return done(claim({ ...payment, status: "refunding", due_at: desk.now, failures: 0 }, desk));
}

function refunded(payment: Payment): Decided {
  const { amount_minor, currency, detail } = payment;
  const data = {
    ...idsOf(payment),
    amount_minor: amount_minor!,
    currency: currency!,
    reason: detail ?? "The order has ended.",
  };
  return done({ ...payment, ...ended, status: "refunded" }, { type: "PaymentRefunded", data });
}

function idsOf({ id, reservation_id }: Payment) {
  return { payment_id: id, order_id: id, reservation_id };
}

function since(moment: Date | null, now: Date): number {
  return moment === null ? 0 : (now.getTime() - moment.getTime()) / 1_000;
}

function done(payment: Payment, ...events: PaymentEvent[]): Decided {
  return { payment, events };
}

function unchanged(payment: Payment | undefined): Decided {
  return { payment, events: [] };
}

function blank(
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
    ...ended,
  };
}
