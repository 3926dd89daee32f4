import { unreachable } from "../../../../kernel/decision.ts";
import type { ChargeOutcome, RefundOutcome } from "../../contract.ts";
import type { Charge } from "../port.ts";

/** One charge in the books of the simulated bank, under its idempotency key. */
export interface Entry {
  readonly id: string;
  readonly status: "succeeded" | "declined" | "pending" | "cancelled";
  readonly amount_minor: number;
  readonly currency: string;
  readonly token: string;
  readonly reference: string;
  readonly detail: string | null;
  readonly settles_at: Date | null;
  readonly refunded_minor: number;
  readonly refund_reference: string | null;
  readonly created_at: Date;
}

export type BankCommand =
  | {
      readonly type: "Charge";
      readonly charge: Charge;
      readonly declines: boolean;
      readonly late_seconds: number;
    }
  | { readonly type: "Find"; readonly charge: Charge }
  | { readonly type: "Cancel"; readonly charge: Charge }
  | { readonly type: "Refund"; readonly charge: Charge };

/** The entry as the command leaves it; the very same one when nothing changes. */
export function book(entry: Entry | undefined, command: BankCommand, now: Date): Entry | undefined {
  const current = entry && settled(entry, now);
  const { charge } = command;
  switch (command.type) {
    case "Charge":
      return current ?? opened(charge, command, now);
    case "Find":
      return current;
    case "Cancel":
      return current ?? { ...blank(charge, now), status: "cancelled" };
    case "Refund":
      return current?.status === "succeeded" && current.refund_reference === null
        ? {
            ...current,
            refunded_minor: charge.amount_minor,
            refund_reference: `simrefund_${charge.payment_id}`,
          }
        : current;
    default:
      return unreachable(command);
  }
}

export function chargeOutcome({ status, reference, detail }: Entry): ChargeOutcome {
  switch (status) {
    case "succeeded":
      return { status, reference };
    case "declined":
      return { status, detail: detail ?? "The card was declined." };
    default:
      return { status };
  }
}

export function refundOutcome(entry: Entry | undefined): RefundOutcome {
  const reference = entry?.refund_reference;
  if (reference != null) return { status: "succeeded", reference };
  return { status: "refused", detail: "There is no charge that could be refunded." };
}

function opened(
  charge: Charge,
  { declines, late_seconds }: { declines: boolean; late_seconds: number },
  now: Date,
): Entry {
  const entry = blank(charge, now);
  if (declines) return { ...entry, status: "declined", detail: "The card was declined." };
  if (late_seconds === 0) return entry;
  return { ...entry, status: "pending", settles_at: new Date(now.getTime() + late_seconds * 1_000) };
}

function settled(entry: Entry, now: Date): Entry {
  const isSettled = entry.status === "pending" && entry.settles_at!.getTime() <= now.getTime();
  return isSettled ? { ...entry, status: "succeeded" } : entry;
}

function blank({ payment_id, amount_minor, currency, token }: Charge, now: Date): Entry {
  return {
    id: payment_id,
    status: "succeeded",
    amount_minor,
    currency,
    token,
    reference: `sim_${payment_id}`,
    detail: null,
    settles_at: null,
    refunded_minor: 0,
    refund_reference: null,
    created_at: now,
  };
}
