import { randomBytes, randomUUID } from "node:crypto";
import { Webhook as Signature, WebhookVerificationError } from "standardwebhooks";
import { Type } from "typebox";
import { Value } from "typebox/value";
import type { Webhook, WebhookHeaders } from "../port.ts";

/** Of https://www.standardwebhooks.com: verified within five minutes of when it was signed. */
export class SignedWebhooks {
  private readonly signature: Signature;

  constructor(secret = `whsec_${randomBytes(24).toString("base64")}`) {
    this.signature = new Signature(secret);
  }

  sign(payment_id: string, reference: string): { body: Buffer; headers: WebhookHeaders } {
    const body = JSON.stringify({ type: "charge.succeeded", data: { payment_id, reference } });
    const id = `msg_${randomUUID()}`;
    const at = new Date();
    return {
      body: Buffer.from(body),
      headers: {
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
        "webhook-signature": this.signature.sign(id, at, body),
      },
    };
  }

  parse(rawBody: Buffer, headers: WebhookHeaders): Webhook {
    let body: unknown;
    try {
      body = this.signature.verify(rawBody, headers as Record<string, string>);
    } catch (error) {
      if (error instanceof WebhookVerificationError) return { verified: false, detail: `${error.message}.` };
      throw error;
    }
    if (!Value.Check(ChargeSucceeded, body)) return { verified: true, notice: undefined };
    const { payment_id, reference } = body.data;
    return { verified: true, notice: { payment_id, outcome: { status: "succeeded", reference } } };
  }
}

const ChargeSucceeded = Type.Object({
  type: Type.Literal("charge.succeeded"),
  data: Type.Object({ payment_id: Type.String(), reference: Type.String() }),
});
