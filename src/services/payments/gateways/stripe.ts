import Stripe from "stripe";
import type { ChargeOutcome, RefundOutcome } from "../contract.ts";
import { type Charge, type Gateway, GatewayUnreachable, type Webhook, type WebhookHeaders } from "./port.ts";

export interface StripeSettings {
  readonly secret_key: string;
  readonly webhook_secret: string;
  /** Where the API is, when it is not Stripe's own. */
  readonly host?: string;
  readonly port?: number;
  readonly protocol?: "http" | "https";
}

type Intent = Stripe.PaymentIntent;

const webhookToleranceSeconds = 300;
/** Stripe promises a day. */
const keysLastMs = 12 * 3_600_000;

/**
 * Charges in two steps: an intent is created under an idempotency key, which moves no money and can be repeated, and
 * then confirmed. So a charge whose answer never came is found by creating it again, and cancelled without charging it
 * first, which a confirmation at creation would do.
 */
export class StripeGateway implements Gateway {
  readonly name = "stripe";
  readonly concurrency = 64;
  private readonly stripe: Stripe;
  private readonly webhookSecret: string;

  constructor(settings: StripeSettings, timeoutMs: number) {
    const { secret_key, webhook_secret, host, port, protocol } = settings;
    this.webhookSecret = webhook_secret;
    this.stripe = new Stripe(secret_key, {
      timeout: timeoutMs,
      maxNetworkRetries: 0,
      telemetry: false,
      ...(host !== undefined && { host }),
      ...(port !== undefined && { port }),
      ...(protocol !== undefined && { protocol }),
    });
  }

  async charge(charge: Charge): Promise<ChargeOutcome> {
    const created = await declinedOr(() => this.create(charge));
    return "declined" in created ? created.declined : this.confirm(created.answer.id);
  }

  async find(charge: Charge): Promise<ChargeOutcome | { status: "unknown" }> {
    const { created, forgotten } = await this.intents(charge);
    const outcome = await this.cancelAll(forgotten);
    if (outcome.status !== "cancelled") return outcome;
    if ("declined" in created) return created.declined;
    return isUnconfirmed(created.answer) ? { status: "unknown" } : outcomeOf(created.answer);
  }

  async cancel(charge: Charge): Promise<ChargeOutcome> {
    const { created, forgotten } = await this.intents(charge);
    if ("answer" in created) return this.cancelAll([created.answer, ...forgotten]);
    return forgotten.length === 0 ? created.declined : this.cancelAll(forgotten);
  }

  async refund({ payment_id }: Charge, reference: string): Promise<RefundOutcome> {
    try {
      const created = await reached(() =>
        this.stripe.refunds.create(
          { payment_intent: reference, metadata: { payment_id } },
          { idempotencyKey: `${payment_id}:refund` },
        ),
      );
      // Under a key that was used before, Stripe answers what it answered then.
      const refund = isReplayed(created)
        ? await reached(() => this.stripe.refunds.retrieve(created.id))
        : created;
      if (refund.status === "succeeded") return { status: "succeeded", reference: refund.id };
      if (refund.status === "pending") return { status: "pending" };
      return { status: "refused", detail: refund.failure_reason ?? `The refund is ${refund.status}.` };
    } catch (error) {
      if (!isRejected(error)) throw error;
      if (error.code === "charge_already_refunded") return { status: "succeeded", reference };
      return { status: "refused", detail: error.message };
    }
  }

  parseWebhook(rawBody: Buffer, headers: WebhookHeaders): Webhook {
    const signature = headers["stripe-signature"];
    if (typeof signature !== "string") return { verified: false, detail: "There is no Stripe-Signature." };
    try {
      const event = this.stripe.webhooks.constructEvent(
        rawBody,
        signature,
        this.webhookSecret,
        webhookToleranceSeconds,
      );
      return { verified: true, notice: noticeOf(event) };
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeSignatureVerificationError)) throw error;
      return { verified: false, detail: "The signature does not fit, or is too old." };
    }
  }

  async stop(): Promise<void> {}

  private create({ payment_id, amount_minor, currency, token }: Charge) {
    return reached(() =>
      this.stripe.paymentIntents.create(
        {
          amount: amount_minor,
          currency: currency.toLowerCase(),
          payment_method: token,
          // Nobody could be sent elsewhere to agree: the customer has gone.
          automatic_payment_methods: { enabled: true, allow_redirects: "never" },
          metadata: { payment_id },
        },
        { idempotencyKey: `${payment_id}:create` },
      ),
    );
  }

  /**
   * Needs no key of its own: an intent succeeds once at most. With a key Stripe would repeat an answer of 500 for a day.
   */
  private async confirm(id: string): Promise<ChargeOutcome> {
    try {
      return outcomeOf(
        await reached(() => this.stripe.paymentIntents.confirm(id, { error_on_requires_action: true })),
      );
    } catch (error) {
      if (isCardError(error)) return { status: "declined", detail: error.message };
      if (isRejected(error)) return this.lookAt(id, error);
      throw error;
    }
  }

  /** Stops at the first that cannot be cancelled, and says what became of it. */
  private async cancelAll(intents: readonly Intent[]): Promise<ChargeOutcome> {
    for (const intent of intents) {
      const outcome = await this.cancelIntent(intent);
      if (outcome.status !== "cancelled") return outcome;
    }
    return { status: "cancelled" };
  }

  private async cancelIntent({ id }: Intent): Promise<ChargeOutcome> {
    try {
      return outcomeOf(await reached(() => this.stripe.paymentIntents.cancel(id)));
    } catch (error) {
      if (isRejected(error)) return this.lookAt(id, error);
      throw error;
    }
  }

  /** What was asked does not fit the state that the intent is in: somebody else was faster. */
  private async lookAt(id: string, refused: Error): Promise<ChargeOutcome> {
    const intent = await this.retrieve(id);
    return isUnconfirmed(intent) ? { status: "declined", detail: refused.message } : outcomeOf(intent);
  }

  /**
   * The charge's intent as it is now. Stripe forgets keys after a day: an intent that was created long after the charge
   * was due may have forgotten ones beside it, whoever created it. So may one that is refused then: a card that was
   * charged once is often good for no second intent.
   */
  private async intents(charge: Charge): Promise<{ created: Created; forgotten: Intent[] }> {
    const created = await declinedOr(() => this.current(charge));
    const at = "answer" in created ? created.answer.created * 1_000 : Date.now();
    if (at - charge.due_at.getTime() < keysLastMs) return { created, forgotten: [] };
    const found = await this.search(charge);
    const current = "answer" in created ? created.answer.id : undefined;
    return { created, forgotten: found.filter(({ id }) => id !== current) };
  }

  private async current(charge: Charge): Promise<Intent> {
    const created = await this.create(charge);
    return isReplayed(created) ? this.retrieve(created.id) : created;
  }

  private retrieve(id: string): Promise<Intent> {
    return answered(() => this.stripe.paymentIntents.retrieve(id));
  }

  private async search({ payment_id }: Charge): Promise<Intent[]> {
    const query = `metadata["payment_id"]:"${payment_id}"`;
    const { data } = await answered(() => this.stripe.paymentIntents.search({ query }));
    return data;
  }
}

function isReplayed(response: { lastResponse: { headers: Record<string, string> } }): boolean {
  return response.lastResponse.headers["idempotent-replayed"] === "true";
}

function isUnconfirmed({ status, last_payment_error }: Intent): boolean {
  return status === "requires_confirmation" || (status === "requires_payment_method" && !last_payment_error);
}

function outcomeOf({ id, status, last_payment_error }: Intent): ChargeOutcome {
  switch (status) {
    case "succeeded":
      return { status: "succeeded", reference: id };
    case "processing":
      return { status: "pending" };
    case "canceled":
      return { status: "cancelled" };
    case "requires_action":
      return { status: "declined", detail: "The card asks for its owner's consent." };
    case "requires_payment_method":
    case "requires_confirmation":
    case "requires_capture":
      return { status: "declined", detail: last_payment_error?.message ?? "The card was declined." };
    default:
      throw new Error(`Stripe: the intent ${id} is ${status}, which we do not know`);
  }
}

function noticeOf(event: Stripe.Event) {
  if (event.type !== "payment_intent.succeeded") return undefined;
  const { id, metadata } = event.data.object;
  const { payment_id } = metadata;
  return payment_id === undefined
    ? undefined
    : { payment_id, outcome: { status: "succeeded" as const, reference: id } };
}

// ---- errors --------------------------------------------------------------------------------------------------------

const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH"]);

/**
 * The answer, or what Stripe has against the request. Anything else (no connection, too many requests, trouble at
 * Stripe's, a key that is not accepted) says nothing about the charge: it is tried again.
 */
async function reached<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  try {
    return await call();
  } catch (error) {
    if (isDecision(error) || !(error instanceof Stripe.errors.StripeError)) throw error;
    throw unreachable(error);
  }
}

/** The same for a question about a charge: that Stripe refuses to answer says nothing about the charge either. */
async function answered<Answer>(question: () => Promise<Answer>): Promise<Answer> {
  try {
    return await reached(question);
  } catch (error) {
    throw isDecision(error) ? unreachable(error) : error;
  }
}

function unreachable(error: Stripe.errors.StripeError): GatewayUnreachable {
  const code = (error.detail as { code?: string } | undefined)?.code;
  const sent = code === undefined || !neverSent.has(code);
  return new GatewayUnreachable(`Stripe: ${error.message}`, { sent, cause: error });
}

type Decision = Stripe.errors.StripeCardError | Stripe.errors.StripeInvalidRequestError;

function isDecision(error: unknown): error is Decision {
  return isCardError(error) || isRejected(error);
}

function isCardError(error: unknown): error is Stripe.errors.StripeCardError {
  return error instanceof Stripe.errors.StripeCardError;
}

/** 409 is a request that is still under way. */
function isRejected(error: unknown): error is Stripe.errors.StripeInvalidRequestError {
  return error instanceof Stripe.errors.StripeInvalidRequestError && error.statusCode !== 409;
}

type Created = { declined: ChargeOutcome } | { answer: Intent };

/** An intent that Stripe will not even create, because of the card or the amount, is never charged. */
async function declinedOr(create: () => Promise<Intent>): Promise<Created> {
  try {
    return { answer: await create() };
  } catch (error) {
    if (!isDecision(error)) throw error;
    return { declined: { status: "declined", detail: error.message } };
  }
}
