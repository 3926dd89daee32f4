import type { ChargeOutcome, Notice, RefundOutcome } from "../contract.ts";

/** What is charged. The payment's id is the idempotency key: under one id a gateway charges once at most. */
export interface Charge {
  readonly payment_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly token: string;
  /** Since when it is due: no call about it was made before. */
  readonly due_at: Date;
}

export type WebhookHeaders = Readonly<Record<string, string | string[] | undefined>>;

export type Webhook =
  /** Without a notice it speaks of something that is no concern of ours. */
  | { readonly verified: true; readonly notice: Notice | undefined }
  | { readonly verified: false; readonly detail: string };

/** A company that moves money. What it decides is a value; when it cannot be reached, `GatewayUnreachable` is thrown. */
export interface Gateway {
  readonly name: string;
  /** How many calls it takes at once. */
  readonly concurrency: number;
  charge(charge: Charge): Promise<ChargeOutcome>;
  /** What became of a charge whose answer never came; `unknown` when there was none, and it may be charged. */
  find(charge: Charge): Promise<ChargeOutcome | { readonly status: "unknown" }>;
  /** `cancelled` is for good: a charge that was under way and comes later is refused. */
  cancel(charge: Charge): Promise<ChargeOutcome>;
  /** All of it; `reference` is what the charge was answered with. Asking again is safe. */
  refund(charge: Charge, reference: string): Promise<RefundOutcome>;
  parseWebhook(rawBody: Buffer, headers: WebhookHeaders): Webhook;
  stop(): Promise<void>;
}

export class GatewayUnreachable extends Error {
  /** False when the call cannot have been carried out. */
  readonly sent: boolean;

  constructor(detail: string, options: { sent: boolean; cause?: unknown }) {
    super(detail, { cause: options.cause });
    this.name = "GatewayUnreachable";
    this.sent = options.sent;
  }
}
