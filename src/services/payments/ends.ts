import type { PaymentFailureCode } from "./contract.ts";
import { claim, type Decided, type Desk, done, idsOf, type Payment, untried } from "./payment.ts";

/** The gateway of a payment without a price: there is nobody to give nothing back. */
export const free = "none";

export function succeed(payment: Payment, gateway_reference: string): Decided {
  const { amount_minor, currency, gateway } = payment;
  const status = "succeeded";
  const paid: Payment = { ...payment, ...untried, status, code: null, detail: null, gateway_reference };
  const data = {
    ...idsOf(payment),
    amount_minor: amount_minor!,
    currency: currency!,
    gateway: gateway!,
    gateway_reference,
  };
  return done(paid, { type: "PaymentSucceeded", data });
}

export function fail(payment: Payment, code: PaymentFailureCode, detail: string): Decided {
  const failed: Payment = { ...payment, ...untried, status: "failed", code, detail };
  return done(failed, { type: "PaymentFailed", data: { ...idsOf(payment), code, detail } });
}

export function refund(payment: Payment, desk: Desk): Decided {
  if (payment.gateway === free) return refunded(payment);
  return done(claim({ ...payment, status: "refunding", due_at: desk.now, failures: 0 }, desk));
}

export function refunded(payment: Payment): Decided {
  const { amount_minor, currency, detail } = payment;
  const data = {
    ...idsOf(payment),
    amount_minor: amount_minor!,
    currency: currency!,
    reason: detail ?? "The order has ended.",
  };
  return done({ ...payment, ...untried, status: "refunded" }, { type: "PaymentRefunded", data });
}
