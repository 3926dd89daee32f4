import { unreachable } from "../../kernel/decision.ts";
import { giveBack, recordCharge, recordRefund } from "./answers.ts";
import type { PaymentCommand, TakeOver } from "./contract.ts";
import { fail, free, refund, succeed } from "./ends.ts";
import { blank, claim, type Decided, type Desk, done, type Payment } from "./payment.ts";

type CommandOf<Type extends PaymentCommand["type"]> = Extract<PaymentCommand, { type: Type }>;

/** What a command makes of a payment. The very same payment comes back when nothing changes. */
export function decide(
  payment: Payment | undefined,
  command: Exclude<PaymentCommand, TakeOver>,
  desk: Desk,
): Decided<Payment | undefined> {
  switch (command.type) {
    case "RequestPayment":
      return request(payment, command, desk);
    case "AllowCharge":
      return allow(payment, command, desk);
    case "UndoPayment":
      return undo(payment, command, desk);
    case "RecordCharge":
      return payment === undefined ? done(payment) : recordCharge(payment, command, desk);
    case "RecordRefund":
      return payment === undefined ? done(payment) : recordRefund(payment, command, desk);
    case "GiveBack":
      return payment === undefined ? done(payment) : giveBack(payment, command.turn, desk);
    default:
      return unreachable(command);
  }
}

function request(payment: Payment | undefined, command: CommandOf<"RequestPayment">, desk: Desk): Decided {
  if (payment !== undefined && (payment.status !== "open" || payment.amount_minor !== null)) {
    return done(payment);
  }
  const { amount_minor, currency, token } = command;
  const known = payment?.reservation_id === command.reservation_id ? payment : blank(command, desk.now);
  const requested = { ...known, amount_minor, currency, token };
  return known.code === null ? begun(requested, desk) : fail(requested, known.code, known.detail!);
}

/** Until the order is known, it may be anybody's hold that names it. */
function allow(payment: Payment | undefined, command: CommandOf<"AllowCharge">, desk: Desk): Decided {
  const held = { reserved: true, hold_at: command.at, code: null, detail: null };
  const isGuess = payment?.amount_minor === null && payment.reservation_id !== command.reservation_id;
  if (payment === undefined || isGuess) return done({ ...blank(command, desk.now), ...held });
  if (payment.reservation_id !== command.reservation_id || isOld(payment, command.at)) return done(payment);
  if (payment.status === "open" && !payment.reserved) return begun({ ...payment, ...held }, desk);
  // Taken again in time: the charge is wanted again.
  if (payment.status === "charging" && payment.code === "hold_expired") {
    return done({ ...payment, ...held });
  }
  return done(payment);
}

function undo(
  payment: Payment | undefined,
  command: CommandOf<"UndoPayment">,
  desk: Desk,
): Decided<Payment | undefined> {
  const { code, detail, at } = command;
  const expires = code === "hold_expired";
  if (payment === undefined) return expires ? done(payment) : fail(blank(command, desk.now), code, detail);
  if (expires && (payment.reservation_id !== command.reservation_id || isOld(payment, at)))
    return done(payment);
  // Nobody has asked for a payment yet, and if the order is none of ours nobody ever will.
  if (expires && payment.amount_minor === null) {
    return done({ ...payment, reserved: false, hold_at: at, code, detail });
  }
  if (payment.status === "open") return fail(payment, code, detail);
  if (payment.status === "succeeded" && !expires) return refund({ ...payment, code, detail }, desk);
  if (payment.status !== "charging" || payment.code === "order_ended") return done(payment);
  // Said again: the next try comes at its time, and not once more for each redelivery.
  if (payment.code === code) return done(payment);

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
function isOld({ hold_at }: Payment, at: Date): boolean {
  return hold_at !== null && at.getTime() < hold_at.getTime();
}
