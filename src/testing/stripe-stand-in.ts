import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Intent {
  id: string;
  object: "payment_intent";
  status: string;
  created: number;
  amount: number;
  currency: string;
  payment_method: string | null;
  metadata: Record<string, string>;
  last_payment_error: { message: string } | null;
}

interface Refund {
  id: string;
  object: "refund";
  status: string;
  payment_intent: string;
  amount: number;
}

interface Answer {
  status: number;
  body: object;
}

export interface StripeRequest {
  readonly method: string;
  readonly path: string;
  readonly params: Record<string, string>;
  readonly key: string | undefined;
}

/** What goes wrong with one of the next requests: it is answered so, or carried out and the answer is lost. */
type Fault = { readonly on: RegExp; readonly status?: number; readonly loseAnswer?: true };

/**
 * Speaks the part of Stripe's API that we use, and is as strict as Stripe: forms, bearer keys, and the same
 * Idempotency-Key with other parameters is an error. Cards: pm_ok, pm_once (good for no second intent once it was
 * charged), pm_declined, pm_processing, pm_3ds, pm_unknown.
 */
export class StripeStandIn {
  readonly requests: StripeRequest[] = [];
  readonly intents = new Map<string, Intent>();
  readonly refunds = new Map<string, Refund>();
  private readonly answers = new Map<string, { fingerprint: string; answer: Answer }>();
  private faults: Fault[] = [];
  private readonly server: Server;

  static async open(secretKey: string): Promise<StripeStandIn> {
    const standIn = new StripeStandIn(secretKey);
    await new Promise<void>((resolve) => standIn.server.listen(0, "127.0.0.1", resolve));
    return standIn;
  }

  private constructor(secretKey: string) {
    this.server = createServer(async (request, response) => {
      const text = await bodyOf(request);
      const url = new URL(request.url!, "http://stripe");
      const params = Object.fromEntries(new URLSearchParams(text || url.search));
      const key = request.headers["idempotency-key"] as string | undefined;
      const asked = { method: request.method!, path: url.pathname, params, key };
      this.requests.push(asked);
      const problem = this.objection(request, secretKey, text);
      if (problem !== undefined) send(response, problem);
      else this.answer(asked, response);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Happens to the next request that fits. */
  fail(fault: Fault): void {
    this.faults.push(fault);
  }

  /** As Stripe does after a day. */
  forgetKeys(): void {
    this.answers.clear();
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private objection(request: IncomingMessage, secretKey: string, text: string): Answer | undefined {
    if (request.headers.authorization !== `Bearer ${secretKey}`) {
      return refused(401, "invalid_request_error", "Invalid API Key provided");
    }
    const isForm = request.headers["content-type"] === "application/x-www-form-urlencoded";
    return text !== "" && !isForm ? refused(400, "invalid_request_error", "Send a form") : undefined;
  }

  private answer(asked: StripeRequest, response: ServerResponse): void {
    const fault = this.faults.find(({ on }) => on.test(`${asked.method} ${asked.path}`));
    this.faults = this.faults.filter((other) => other !== fault);
    if (fault?.status !== undefined) {
      const type = fault.status === 400 ? "invalid_request_error" : "api_error";
      send(response, refused(fault.status, type, "Trouble"));
      return;
    }
    const known = asked.key === undefined ? undefined : this.answers.get(asked.key);
    const fingerprint = JSON.stringify([asked.path, asked.params]);
    if (known !== undefined && known.fingerprint !== fingerprint) {
      send(response, refused(400, "idempotency_error", "Keys can only be used with the same parameters"));
      return;
    }
    const answer = known?.answer ?? structuredClone(this.carryOut(asked));
    if (asked.key !== undefined) this.answers.set(asked.key, { fingerprint, answer });
    // What arrives is no HTTP. Of a connection that is only closed the SDK would try again by itself, once.
    if (fault?.loseAnswer) response.socket!.end("lost");
    else send(response, answer, known !== undefined);
  }

  private carryOut({ method, path, params }: StripeRequest): Answer {
    const [, kind, id, action] = path.slice(1).split("/") as [string, string, string?, string?];
    if (kind === "refunds") return method === "POST" ? this.refund(params) : ok(this.refunds.get(id!)!);
    if (method === "POST" && id === undefined) return this.create(params);
    if (id === "search") return this.search(params.query!);
    const intent = this.intents.get(id!);
    if (intent === undefined) return refused(404, "invalid_request_error", "No such payment_intent");
    if (action === "confirm") return confirmed(intent);
    if (action === "cancel") return canceled(intent);
    return ok(intent);
  }

  private create(params: Record<string, string>): Answer {
    const { amount, currency, payment_method } = params;
    if (payment_method === "pm_unknown") {
      return refused(400, "invalid_request_error", "No such PaymentMethod: 'pm_unknown'");
    }
    if (payment_method === "pm_once" && this.wasCharged(payment_method)) {
      return refused(400, "invalid_request_error", "The PaymentMethod was used before, without a Customer");
    }
    const intent: Intent = {
      id: `pi_${this.intents.size + 1}`,
      object: "payment_intent",
      status: "requires_confirmation",
      created: Math.floor(Date.now() / 1_000),
      amount: Number(amount),
      currency: currency!,
      payment_method: payment_method!,
      metadata: { payment_id: params["metadata[payment_id]"]! },
      last_payment_error: null,
    };
    this.intents.set(intent.id, intent);
    return ok(intent);
  }

  private wasCharged(card: string): boolean {
    const intents = [...this.intents.values()];
    return intents.some(({ payment_method, status }) => payment_method === card && status === "succeeded");
  }

  private search(query: string): Answer {
    const id = /^metadata\["payment_id"\]:"(.+)"$/.exec(query)?.[1];
    const data = [...this.intents.values()].filter(({ metadata }) => metadata.payment_id === id);
    return ok({ object: "search_result", data, has_more: false, next_page: null, url: "" });
  }

  private refund({ payment_intent }: Record<string, string>): Answer {
    if ([...this.refunds.values()].some((refund) => refund.payment_intent === payment_intent)) {
      return refused(400, "invalid_request_error", "Already refunded", "charge_already_refunded");
    }
    const { amount } = this.intents.get(payment_intent!)!;
    const id = `re_${this.refunds.size + 1}`;
    const refund: Refund = {
      id,
      object: "refund",
      status: "succeeded",
      payment_intent: payment_intent!,
      amount,
    };
    this.refunds.set(id, refund);
    return ok(refund);
  }
}

function confirmed(intent: Intent): Answer {
  if (intent.status !== "requires_confirmation") return unexpectedState(intent);
  const { payment_method } = intent;
  if (payment_method === "pm_declined" || payment_method === "pm_3ds") {
    const message = payment_method === "pm_3ds" ? "Authentication is required." : "Your card was declined.";
    Object.assign(intent, { status: "requires_payment_method", last_payment_error: { message } });
    return refused(402, "card_error", message, "card_declined");
  }
  intent.status = payment_method === "pm_processing" ? "processing" : "succeeded";
  return ok(intent);
}

function canceled(intent: Intent): Answer {
  if (!/^requires_/.test(intent.status)) return unexpectedState(intent);
  intent.status = "canceled";
  return ok(intent);
}

function unexpectedState({ status }: Intent): Answer {
  return refused(400, "invalid_request_error", `The intent is ${status}`, "payment_intent_unexpected_state");
}

function ok(body: object): Answer {
  return { status: 200, body };
}

function refused(status: number, type: string, message: string, code?: string): Answer {
  return { status, body: { error: { type, message, ...(code && { code }) } } };
}

function send(response: ServerResponse, { status, body }: Answer, replayed = false): void {
  response.writeHead(status, {
    "content-type": "application/json",
    ...(replayed && { "idempotent-replayed": "true" }),
  });
  response.end(JSON.stringify(body));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}
