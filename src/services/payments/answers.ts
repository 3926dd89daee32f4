import { unreachable } from "../../kernel/decision.ts";
import type { PaymentCommand, TakenTurn, Turn, Unreachable } from "./contract.ts";
import { fail, refund, refunded, succeed } from "./ends.ts";
import { claim, type Decided, type Desk, done, idsOf, type Payment, waiting } from "./payment.ts";

type Answer<Type extends PaymentCommand["type"]> = Extract<PaymentCommand, { type: Type }>;

/** What the gateway's answer makes of a charge. */
export function recordCharge(
  payment: Payment,
  { outcome, turn }: Answer<"RecordCharge">,
  desk: Desk,
): Decided {
  if (outcome.status === "succeeded") return charged(payment, outcome.reference, desk);
  if (payment.status !== "charging") return done(payment);
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
      return hasTurn(payment, turn) ? pending(payment, turn, desk) : done(payment);
    case "unreachable":
      return hasTurn(payment, turn) ? unanswered(payment, outcome, turn, desk) : done(payment);
    default:
      return unreachable(outcome);
  }
}

export function recordRefund(
  payment: Payment,
  { outcome, turn }: Answer<"RecordRefund">,
  { now }: Desk,
): Decided {
  if (payment.status !== "refunding") return done(payment);
  if (outcome.status === "succeeded") return refunded(payment);
  return done(hasTurn(payment, turn) ? failedOnce(payment, turn.retry_in_ms, now) : payment);
}

/** The turn was not taken. */
export function giveBack(payment: Payment, turn: Turn, { now }: Desk): Decided {
  if (!hasTurn(payment, turn)) return done(payment);
  const attempts = payment.attempts - 1;
  if (payment.status === "charging" && payment.code !== null && attempts === 0) {
    return fail(payment, payment.code, payment.detail!);
  }
  return done(waiting({ ...payment, attempts }, now));
}

/** Nobody is sent to a gateway that is left alone for now; the order is told that it takes longer all the same. */
export function putOff(payment: Payment, retry_in_ms: number, desk: Desk): Decided {
  if (payment.status === "refunding") return done(failedOnce(payment, retry_in_ms, desk.now));
  return delayed(failedOnce(payment, retry_in_ms, desk.now), "The gateway cannot be reached.", desk);
}

function charged(payment: Payment, reference: string, desk: Desk): Decided {
  if (payment.status === "charging") {
    // That the hold has expired is for inventory to mend, which takes the stock again or lets the order fail.
    if (payment.code !== "order_ended") return succeed(payment, reference);
    const { code, detail } = payment;
    const { payment: paid, events } = succeed(payment, reference);
    return { payment: refund({ ...paid, code, detail }, desk).payment, events };
  }
  // It was given up, and the money came all the same.
  if (payment.status === "failed" && payment.amount_minor !== null) {
    const gateway = payment.gateway ?? desk.gateway;
    return refund({ ...payment, gateway, gateway_reference: reference }, desk);
  }
  return done(payment);
}

function pending(payment: Payment, turn: TakenTurn, desk: Desk): Decided {
  const later = { ...failedOnce(payment, turn.retry_in_ms, desk.now), delayed_at: null };
  if (payment.code === null) return done({ ...later, detail: null });
  return done(turn.step === "cancel" ? later : claim(later, desk));
}

function unanswered(
  payment: Payment,
  { detail, sent }: Unreachable,
  { retry_in_ms }: TakenTurn,
  desk: Desk,
): Decided {
  const attempts = sent ? payment.attempts : payment.attempts - 1;
  return delayed(failedOnce({ ...payment, attempts }, retry_in_ms, desk.now), detail, desk);
}

/** The customer's order waits, but not for ever, and its hold waits with it. */
function delayed(payment: Payment, detail: string, { now, rules }: Desk): Decided {
  const isOver = payment.code === null && since(payment.due_at, now) >= rules.patience_seconds;
  const later: Payment = isOver ? { ...payment, code: "gateway_unreachable", detail } : payment;
  if (later.code !== null) {
    return later.attempts === 0 ? fail(later, later.code, later.detail ?? detail) : done(later);
  }
  // A hold that is extended now lasts for its whole time again: three times as long as until it is said next.
  const isDue = later.delayed_at === null || since(later.delayed_at, now) >= rules.hold_ttl_seconds / 3;
  if (!isDue) return done({ ...later, detail });
  const data = { ...idsOf(later), detail, retry_at: later.next_try_at! };
  return done({ ...later, detail, delayed_at: now }, { type: "PaymentDelayed", data });
}

function failedOnce(payment: Payment, retry_in_ms: number, now: Date): Payment {
  const next_try_at = new Date(now.getTime() + retry_in_ms);
  return waiting({ ...payment, failures: payment.failures + 1 }, next_try_at);
}

function hasTurn<Given extends Turn>(payment: Payment, turn: Given | undefined): turn is Given {
  return turn !== undefined && payment.worker === turn.worker && payment.attempts === turn.attempt;
}

function since(moment: Date | null, now: Date): number {
  return moment === null ? 0 : (now.getTime() - moment.getTime()) / 1_000;
}
