import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "../../../../platform/telemetry/logger.ts";
import type { ChargeOutcome, RefundOutcome, Simulation } from "../../contract.ts";
import { type Charge, type Gateway, GatewayUnreachable, type Webhook, type WebhookHeaders } from "../port.ts";
import type { Bank, BankReply } from "./bank.ts";
import { type BankCommand, chargeOutcome, refundOutcome } from "./books.ts";
import { type Behaviour, behaviourOf } from "./tokens.ts";
import { SignedWebhooks } from "./webhooks.ts";

/** Takes a webhook as the route does that real gateways call. */
export type Deliver = (rawBody: Buffer, headers: WebhookHeaders) => Promise<unknown>;

export interface SimulatedGatewayOptions {
  readonly bank: Bank;
  readonly deliver: Deliver;
  readonly logger: Logger;
  readonly webhookSecret: string | undefined;
}

export const calm: Simulation = {
  latency_ms: 0,
  jitter_ms: 0,
  failure_rate: 0,
  decline_rate: 0,
  late_seconds: 0,
  duplicate_webhooks: false,
  down: false,
};

/** Behaves like a bank far away: it keeps its own books, and what it is asked may fail before or after it was done. */
export class SimulatedGateway implements Gateway {
  readonly name = "simulated";
  readonly concurrency = 2_000;
  /** Of this process. */
  simulation = calm;
  private readonly options: SimulatedGatewayOptions;
  private readonly webhooks: SignedWebhooks;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(options: SimulatedGatewayOptions) {
    this.options = options;
    this.webhooks = new SignedWebhooks(options.webhookSecret);
  }

  async charge(charge: Charge): Promise<ChargeOutcome> {
    const behaviour = behaviourOf(charge.token);
    const { decline_rate, late_seconds } = this.simulation;
    const declines = behaviour.declines || Math.random() < decline_rate;
    const late = Math.max(behaviour.late_seconds, late_seconds);
    const { entry, opened } = await this.call({ type: "Charge", charge, declines, late_seconds: late });
    const outcome = chargeOutcome(entry!);
    if (opened) this.announce(charge, outcome, behaviour, late);
    if (opened && behaviour.loses_answer) throw lost();
    return outcome;
  }

  async find(charge: Charge): Promise<ChargeOutcome | { status: "unknown" }> {
    const { entry } = await this.call({ type: "Find", charge });
    return entry === undefined ? { status: "unknown" } : chargeOutcome(entry);
  }

  async cancel(charge: Charge): Promise<ChargeOutcome> {
    const { entry } = await this.call({ type: "Cancel", charge });
    return chargeOutcome(entry!);
  }

  async refund(charge: Charge): Promise<RefundOutcome> {
    const { entry } = await this.call({ type: "Refund", charge });
    return refundOutcome(entry);
  }

  parseWebhook(rawBody: Buffer, headers: WebhookHeaders): Webhook {
    return this.webhooks.parse(rawBody, headers);
  }

  async stop(): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer);
    await this.options.bank.drain();
  }

  /** The way there and back, on which things go wrong. */
  private async call(command: BankCommand): Promise<BankReply> {
    const { latency_ms, jitter_ms, failure_rate, down } = this.simulation;
    if (latency_ms + jitter_ms > 0) await pause(latency_ms + Math.random() * jitter_ms);
    if (down || behaviourOf(command.charge.token).is_down) {
      throw new GatewayUnreachable("The gateway cannot be reached.", { sent: false });
    }
    const fails = Math.random() < failure_rate;
    if (fails && Math.random() < 0.5) throw lost();
    const reply = await this.options.bank.submit(command);
    if (fails) throw lost();
    return reply;
  }

  private announce(charge: Charge, outcome: ChargeOutcome, { sends_twice }: Behaviour, late: number): void {
    const times = sends_twice || this.simulation.duplicate_webhooks ? 2 : 1;
    if (outcome.status === "pending") this.later(late * 1_000, () => this.send(charge, times));
    else if (outcome.status === "succeeded" && times > 1) void this.send(charge, times);
  }

  private async send(charge: Charge, times: number): Promise<void> {
    const { bank, deliver, logger } = this.options;
    const { payment_id } = charge;
    try {
      const { entry } = await bank.submit({ type: "Find", charge });
      const { body, headers } = this.webhooks.sign(payment_id, entry!.reference);
      for (let i = 0; i < times; i++) await deliver(body, headers);
    } catch (error) {
      logger.warn({ err: error, payment_id }, "a webhook of the simulated gateway was not taken");
    }
  }

  private later(delayMs: number, work: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      void work();
    }, delayMs).unref();
    this.timers.add(timer);
  }
}

function lost(): GatewayUnreachable {
  return new GatewayUnreachable("The answer of the gateway was lost.", { sent: true });
}
