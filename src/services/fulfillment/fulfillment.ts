import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import type { Probe } from "../../platform/http/health.ts";
import { createOutside } from "../../platform/outside/outside.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { callTimeoutMs, Handover, leaseMs } from "./carriers/handover.ts";
import { type SimulatedCarrier, simulatedCarrier } from "./carriers/simulated.ts";
import { commandsFrom } from "./consumers.ts";
import type { ClaimShipments, FulfillmentCommand, FulfillmentReply, KnownShipment } from "./contract.ts";
import { fulfillmentHandler } from "./handle.ts";
import { fulfillmentMetrics } from "./metrics.ts";
import * as queries from "./queries.ts";
import { schema } from "./store.ts";

export interface FulfillmentSettings {
  /** `manual`: none is called; whoever packs says through the API what has left. */
  readonly carrier: "simulated" | "manual";
}

export interface FulfillmentOptions extends ServiceOptions {
  readonly settings: FulfillmentSettings;
}

/** What can be asked of the service within this process. */
export interface Fulfillment {
  submit(command: FulfillmentCommand): Promise<FulfillmentReply>;
  /** For the bus; the shipments go to the carrier once the transaction is durable. */
  hear(tx: Transaction, events: readonly BusEvent[]): Promise<() => void>;
  /** Takes up what waits for the carrier; answers whether there may be more. */
  sweep(): Promise<boolean>;
  shipment(id: string): Promise<KnownShipment | undefined>;
  listShipments(
    status: KnownShipment["status"] | undefined,
    after: string | undefined,
    limit: number,
  ): Promise<{ items: KnownShipment[]; next: string | null }>;
  /** Undefined when another carrier is used. */
  readonly simulated: SimulatedCarrier | undefined;
  /** The carrier, if one is called. */
  readonly probes: readonly Probe[];
  start(): void;
  stop(): Promise<void>;
}

const claimedAtOnce = 500;
const carrierLimits = {
  name: "carrier",
  concurrency: 64,
  timeoutMs: callTimeoutMs,
  breaker: { failurePercent: 50, minCalls: 20, openMs: 5_000 },
};

export function createFulfillment(options: FulfillmentOptions): Fulfillment {
  const { pool, reads, maxWaiting, stopping, registry, logger, tracer, settings } = options;
  const database = readerOf(reads);
  const metrics = fulfillmentMetrics(registry);
  const simulated = settings.carrier === "simulated" ? simulatedCarrier() : undefined;
  const outside = simulated && createOutside({ ...carrierLimits, registry, logger });
  const handover = outside && new Handover({ carrier: simulated, outside, submit, tracer, logger });
  const handle = fulfillmentHandler(() => (handover ? { room: handover.room, leaseMs } : null));
  const road = new Road<FulfillmentCommand, FulfillmentReply>({
    pool,
    handle,
    maxWaiting,
    stopping,
    workOf: (command) => (command.type === "ClaimShipments" ? command.limit : 1),
    observer: { poison: setAside(pool, schema, logger) },
    tracer,
    service: schema,
  });

  function settled(reply: FulfillmentReply): void {
    metrics.answered(reply);
    if (reply.accepted) handover?.take(reply.handed);
  }

  async function submit(command: FulfillmentCommand): Promise<FulfillmentReply> {
    const reply = await road.submit(command);
    settled(reply);
    return reply;
  }

  return {
    submit,
    async hear(tx, events) {
      const replies = await handle(tx, commandsFrom(events));
      return () => replies.forEach(settled);
    },
    async sweep() {
      const limit = Math.min(handover?.room ?? 0, claimedAtOnce);
      if (limit === 0) return false;
      const claim: ClaimShipments = { type: "ClaimShipments", limit };
      const reply = await submit(claim);
      return reply.accepted && reply.handed.length === limit;
    },
    shipment: (id) => queries.findShipment(database, id),
    listShipments: (status, after, limit) => queries.listShipments(database, status, after, limit),
    simulated,
    probes: outside ? [outside.probe] : [],
    start: () => handover?.start(),
    async stop() {
      await handover?.stop();
      await road.drain();
    },
  };
}
