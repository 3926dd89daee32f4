import { expect, vi } from "vitest";
import { transact } from "../platform/batch/transaction.ts";
import type { BusEvent } from "../platform/bus/port.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { createRegistry } from "../platform/telemetry/metrics.ts";
import { untraced } from "../platform/telemetry/tracer.ts";
import { verifyServices } from "../platform/verify.ts";
import type { PaymentStatus, Simulation } from "../services/payments/contract.ts";
import { calm } from "../services/payments/gateways/simulated/gateway.ts";
import {
  type PaymentSettings,
  type PaymentsService,
  paymentMigrations,
  paymentsService,
} from "../services/payments/index.ts";
import { patience } from "./patience.ts";

/**
 * Times in which a test can see what takes minutes otherwise. No call and no turn is given up on because the machine is
 * slow, but all that a test can still wait for.
 */
export const hasty: PaymentSettings["timing"] = {
  call_timeout_ms: 60_000,
  breaker_reset_ms: 200,
  lease_ms: 60_000,
  first_retry_ms: 20,
  longest_retry_ms: 200,
  sweep_every_ms: 20,
};

let named = 0;

/** One process that runs payments, and what orders and inventory tell it. */
export class Till {
  readonly service: PaymentsService;
  readonly pool: Pool;

  static async open(url: string, settings: Partial<PaymentSettings> = {}): Promise<Till> {
    await migrate(url, paymentMigrations);
    return new Till(url, settings);
  }

  private constructor(url: string, settings: Partial<PaymentSettings>) {
    this.pool = createPool(url, { max: 6, name: "test" });
    this.service = paymentsService({
      pool: this.pool,
      reads: this.pool,
      maxWaiting: 10_000,
      registry: createRegistry(),
      logger: createLogger("silent"),
      tracer: untraced,
      settings: {
        gateway: "simulated",
        hold_ttl_seconds: 900,
        patience_seconds: 86_400,
        timing: hasty,
        ...settings,
      } as PaymentSettings,
    });
  }

  async close(): Promise<void> {
    await this.service.stop();
    await this.pool.end();
  }

  simulate(simulation: Partial<Simulation>): void {
    this.service.payments.simulate({ ...calm, ...simulation });
  }

  // ---- what is told ------------------------------------------------------------------------------------------------

  /** Hands events over as the bus does; `lost` is a process that dies before it can act on what it has committed. */
  async hear(events: readonly BusEvent[], { lost = false } = {}): Promise<void> {
    const after = await transact(this.pool, (tx) => this.service.payments.handle(tx, events));
    if (!lost) after();
  }

  /** An order whose stock is held. */
  async due(token: string, amount_minor = 500): Promise<string> {
    const id = `order-${++named}`;
    await this.hear([ordered(id, token, amount_minor), held(id)]);
    return id;
  }

  async is(id: string, status: PaymentStatus): Promise<void> {
    await vi.waitFor(async () => expect((await this.payment(id))?.status).toBe(status), patience);
  }

  payment(id: string) {
    return this.service.payments.payment(id);
  }

  /** The types of what the log says about it. */
  async told(id: string): Promise<string[]> {
    const { rows } = await this.pool.query(
      `select event ->> 'type' as type from payments.log, json_array_elements(events::json) as event
       where event ->> 'subject' = $1 order by position`,
      [id],
    );
    return rows.map(({ type }) => type);
  }

  /** Waits until the log says this about it. */
  async tells(id: string, type: string): Promise<void> {
    await vi.waitFor(async () => expect(await this.told(id)).toContain(type), patience);
  }

  /** What the simulated bank has in its books. */
  async entries(id: string) {
    const { rows } = await this.pool.query(
      "select status, amount_minor, refunded_minor from payments.simulated_bank where id = $1",
      [id],
    );
    return rows;
  }

  async violations(): Promise<string[]> {
    const findings = await verifyServices([{ pool: this.pool, services: [this.service] }], () => {});
    return findings.flatMap(({ violations }) => violations);
  }
}

export function ordered(order_id: string, token: string, total_minor = 500): BusEvent {
  const payment = { token };
  return event("orders", "OrderCreated", { order_id, total_minor, currency: "EUR", payment });
}

export function held(order_id: string): BusEvent {
  return event("inventory", "InventoryReserved", { order_id });
}

export function expired(order_id: string): BusEvent {
  return event("inventory", "InventoryReleased", { order_id, reason: "expired", now: "expired" });
}

export function orderCancelled(order_id: string): BusEvent {
  return event("orders", "OrderCancelled", { order_id, reason: "customer", detail: "changed my mind" });
}

function event(topic: string, type: string, data: { order_id: string; [field: string]: unknown }): BusEvent {
  const { order_id } = data;
  const id = `${topic}-${++named}`;
  return {
    id,
    topic,
    type,
    subject: order_id,
    key: order_id,
    at: new Date(),
    data: { reservation_id: order_id, ...data },
  };
}
