import { randomBytes } from "node:crypto";
import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { AfterCommit, BusEvent } from "../../platform/bus/port.ts";
import type { BackoffLimits } from "../../platform/outside/backoff.ts";
import { createOutside, type Outside } from "../../platform/outside/outside.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { ChargeWorker } from "./charging/worker.ts";
import { commandsFrom } from "./consumers.ts";
import type { PaymentCommand, PaymentView, Simulation } from "./contract.ts";
import { createGateway, type GatewaySettings } from "./gateways/create.ts";
import type { WebhookHeaders } from "./gateways/port.ts";
import { SimulatedGateway } from "./gateways/simulated/gateway.ts";
import { type PaymentReply, paymentHandler } from "./handle.ts";
import { paymentMetrics } from "./metrics.ts";
import { findPayment, readBacklog } from "./queries.ts";
import { schema } from "./store.ts";

export type PaymentSettings = GatewaySettings & {
  /** How long a hold lasts; while the gateway cannot be reached it is extended in time. */
  readonly hold_ttl_seconds: number;
  /** How long a gateway that cannot be reached is waited for. */
  readonly patience_seconds: number;
  /** Calls at once. Absent: as many as suit the gateway. */
  readonly concurrency?: number;
  readonly timing?: Partial<PaymentTiming>;
};

export interface PaymentTiming {
  readonly call_timeout_ms: number;
  /** How long the breaker stays open before a single call tries again. */
  readonly breaker_reset_ms: number;
  /** Longer than the calls of a turn may take, all together. */
  readonly lease_ms: number;
  readonly first_retry_ms: number;
  readonly longest_retry_ms: number;
  readonly sweep_every_ms: number;
}

export const paymentTiming: PaymentTiming = {
  call_timeout_ms: 10_000,
  breaker_reset_ms: 5_000,
  lease_ms: 45_000,
  first_retry_ms: 1_000,
  longest_retry_ms: 60_000,
  sweep_every_ms: 1_000,
};

export type WebhookAnswer =
  | { readonly accepted: true; readonly known: boolean }
  | { readonly accepted: false; readonly code: "payments.webhook_signature"; readonly detail: string };

/** What can be asked of the service within this process. */
export interface Payments {
  readonly gateway: string;
  /** What is submitted is carried out; the turns at the gateway that it leads to are taken here. */
  submit(command: PaymentCommand): Promise<PaymentReply>;
  handle(tx: Transaction, events: readonly BusEvent[]): Promise<AfterCommit>;
  payment(id: string): Promise<PaymentView | undefined>;
  receiveWebhook(rawBody: Buffer, headers: WebhookHeaders): Promise<WebhookAnswer>;
  /** Undefined when the gateway is a real one. */
  simulation(): Simulation | undefined;
  simulate(simulation: Simulation): void;
  /** Takes up what is overdue, or `early` what only waits for the gateway to come back. */
  sweep(early: boolean): Promise<void>;
  refundsOverdue(): Promise<number>;
  /** The gateway, as everything that is called is kept an eye on. */
  readonly outside: Pick<Outside, "state" | "probe">;
  stop(): Promise<void>;
}

const sweepLimit = 1_000;

export function createPayments(options: ServiceOptions & { settings: PaymentSettings }): Payments {
  const { pool, reads, maxWaiting, stopping, registry, logger, tracer, settings } = options;
  const timing = { ...paymentTiming, ...settings.timing };
  const database = readerOf(reads);
  // Short, since it is written into every payment that is charged.
  const name = randomBytes(9).toString("base64url");

  const gateway = createGateway({
    ...options,
    schema,
    callTimeoutMs: timing.call_timeout_ms,
    deliver: receiveWebhook,
  });
  const concurrency = settings.concurrency ?? gateway.concurrency;
  const outside = createOutside({
    name: "gateway",
    concurrency,
    timeoutMs: timing.call_timeout_ms,
    breaker: { failurePercent: 50, minCalls: 10, openMs: timing.breaker_reset_ms },
    registry,
    logger,
  });
  outside.onClose(() => void sweepNow(true));
  const metrics = paymentMetrics(registry, logger, () => readBacklog(database));
  const retry = retryOf(settings, timing);
  const worker = new ChargeWorker({
    name,
    gateway,
    outside,
    concurrency,
    leaseMs: timing.lease_ms,
    retry,
    tracer,
    logger,
    submit,
    onRoom: () => void sweepNow(false),
  });
  const { lease_ms } = timing;
  const { hold_ttl_seconds, patience_seconds } = settings;
  const carryOut = paymentHandler({
    rules: { hold_ttl_seconds, patience_seconds, lease_ms },
    retry,
    gateway: gateway.name,
    worker: name,
    room: () => worker.room,
    isLeftAlone: () => outside.state === "open",
  });
  const road = new Road<PaymentCommand, PaymentReply>({
    pool,
    handle: carryOut,
    maxWaiting,
    stopping,
    maxWork: batchLimit,
    // A sweep locks what it finds, in no order of ids, so it has its batch for itself.
    workOf: ({ type }) => (type === "TakeOver" ? batchLimit : 1),
    observer: { poison: setAside(pool, schema, logger) },
    tracer,
    service: schema,
  });

  function follow(reply: PaymentReply): void {
    metrics.happened(reply.events);
    worker.take(reply.tasks);
    if (reply.more) worker.want();
  }

  async function submit(command: PaymentCommand): Promise<PaymentReply> {
    const reply = await road.submit(command);
    follow(reply);
    return reply;
  }

  async function receiveWebhook(rawBody: Buffer, headers: WebhookHeaders): Promise<WebhookAnswer> {
    const webhook = gateway.parseWebhook(rawBody, headers);
    if (!webhook.verified) {
      return { accepted: false, code: "payments.webhook_signature", detail: webhook.detail };
    }
    if (webhook.notice === undefined) return { accepted: true, known: true };
    const { payment_id, outcome } = webhook.notice;
    const { known } = await submit({ type: "RecordCharge", payment_id, outcome });
    if (!known)
      logger.warn({ gateway: gateway.name, order_id: payment_id }, "a webhook speaks of an unknown payment");
    return { accepted: true, known };
  }

  async function sweep(early: boolean): Promise<void> {
    for (;;) {
      const limit = outside.state === "open" ? sweepLimit : Math.min(sweepLimit, worker.room);
      const { more } = await submit({ type: "TakeOver", limit, early, finished: worker.finishedLeases() });
      if (!more) return;
    }
  }

  async function sweepNow(early: boolean): Promise<void> {
    try {
      await sweep(early);
    } catch (error) {
      logger.warn({ err: error }, "what is due could not be taken up at once; the next sweep does");
    }
  }

  return {
    gateway: gateway.name,
    submit,
    async handle(tx, events) {
      const replies = await carryOut(tx, commandsFrom(events));
      return () => {
        for (const reply of replies) follow(reply);
      };
    },
    payment: (id) => findPayment(database, id),
    receiveWebhook,
    simulation: () => (gateway instanceof SimulatedGateway ? gateway.simulation : undefined),
    simulate(simulation) {
      if (gateway instanceof SimulatedGateway) gateway.simulation = simulation;
    },
    sweep,
    refundsOverdue: async () => (await readBacklog(database)).refunds_overdue,
    outside,
    async stop() {
      await worker.stop();
      await road.drain();
      await gateway.stop();
    },
  };
}

const batchLimit = 2_000;

/** Between two tries a hold must not run out, so with short holds the tries come sooner. */
function retryOf({ hold_ttl_seconds }: PaymentSettings, timing: PaymentTiming): BackoffLimits {
  const { first_retry_ms, longest_retry_ms } = timing;
  return { firstMs: first_retry_ms, maxMs: Math.min(longest_retry_ms, (hold_ttl_seconds * 1_000) / 3) };
}
