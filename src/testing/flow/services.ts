import type { Subscription } from "../../platform/bus/port.ts";
import type { Pool } from "../../platform/postgres/pool.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { cartsService } from "../../services/carts/index.ts";
import { catalogService } from "../../services/catalog/index.ts";
import { fulfillmentService } from "../../services/fulfillment/index.ts";
import { inventoryService } from "../../services/inventory/index.ts";
import { ordersService } from "../../services/orders/index.ts";
import { paymentsService } from "../../services/payments/index.ts";
import { Process } from "./process.ts";

export interface FlowSettings {
  readonly commit_on: "fulfillment" | "payment";
  readonly hold_on: "cart" | "checkout";
  readonly carrier: "simulated" | "manual";
}

const holdSeconds = 900;
export const patienceSeconds = 7_200;

/** The services as the engine makes them, each of them alone in a process of its own. */
function makers({ commit_on, hold_on, carrier }: FlowSettings) {
  const hold_ttl_seconds = holdSeconds;
  return {
    catalog: (common: ServiceOptions) => catalogService({ ...common, followed: async () => {} }),
    inventory: (common: ServiceOptions) =>
      inventoryService({
        ...common,
        settings: { default_store: "main", hold_ttl_seconds, low_stock_threshold: 1, commit_on },
      }),
    orders: (common: ServiceOptions) =>
      ordersService({
        ...common,
        settings: { pending_seconds: 900, hold_ttl_seconds, shipping_seconds: 7_200 },
      }),
    payments: (common: ServiceOptions) =>
      paymentsService({
        ...common,
        settings: {
          gateway: "simulated",
          hold_ttl_seconds,
          patience_seconds: patienceSeconds,
          timing: { breaker_reset_ms: 1 },
        },
      }),
    fulfillment: (common: ServiceOptions) => fulfillmentService({ ...common, settings: { carrier } }),
    carts: (common: ServiceOptions) =>
      cartsService({
        ...common,
        settings: { hold_on, hold_seconds: holdSeconds, cart_ttl_seconds: holdSeconds },
      }),
  };
}

type Makers = ReturnType<typeof makers>;
export type ServiceName = keyof Makers;
export type Parts = { readonly [Name in ServiceName]: ReturnType<Makers[Name]> };
export const followers = ["inventory", "orders", "payments", "fulfillment", "carts"] as const;
export type Follower = (typeof followers)[number];

/** Who runs at the moment, and who hangs while others have taken its place. */
export class Fleet {
  private readonly real: Pool;
  private readonly make: Makers;
  private readonly running = new Map<ServiceName, { process: Process; service: Parts[ServiceName] }>();
  private readonly hanging: { process: Process; service: Parts[ServiceName] }[] = [];
  private readonly gone: { stop(): Promise<void> }[] = [];

  constructor(real: Pool, settings: FlowSettings) {
    this.real = real;
    this.make = makers(settings);
    for (const name of Object.keys(this.make) as ServiceName[]) this.start(name);
  }

  part<Name extends ServiceName>(name: Name): Parts[Name] {
    return this.running.get(name)!.service as Parts[Name];
  }

  subscription(group: Follower): Subscription {
    return this.part(group).subscription!;
  }

  process(name: ServiceName): Process {
    return this.running.get(name)!.process;
  }

  /** It dies on the spot, and another one takes its place. */
  restart(name: ServiceName): void {
    const { process, service } = this.running.get(name)!;
    process.kill();
    this.gone.push(service);
    this.start(name);
  }

  /** Takes the place of those that have come to their end since. */
  replace(): ServiceName[] {
    const replaced: ServiceName[] = [];
    for (const [name, { process, service }] of this.running) {
      if (process.state === "runs") continue;
      if (process.state === "hangs") this.hanging.push({ process, service });
      else this.gone.push(service);
      this.start(name);
      replaced.push(name);
    }
    return replaced;
  }

  /** Those that hung go on with what they were at, though others have done it meanwhile. */
  wakeUp(): number {
    for (const { process } of this.hanging) process.wakeUp();
    return this.hanging.length;
  }

  buryTheHanging(): void {
    for (const { process, service } of this.hanging.splice(0)) {
      process.kill();
      this.gone.push(service);
    }
  }

  async end(): Promise<void> {
    this.wakeUp();
    this.buryTheHanging();
    for (const name of this.running.keys()) this.restart(name);
    for (const { process, service } of this.running.values()) {
      process.kill();
      this.gone.push(service);
    }
    await Promise.all(this.gone.map((service) => service.stop()));
  }

  private start(name: ServiceName): void {
    const process = new Process(this.real);
    const service = this.make[name]({
      pool: process.pool,
      reads: process.pool,
      maxWaiting: 1_000,
      registry: createRegistry(),
      logger: createLogger("silent"),
      tracer: untraced,
    });
    // Nothing is swept by itself, but what the carrier is given may go there.
    if ("fulfillment" in service) service.fulfillment.start();
    this.running.set(name, { process, service });
  }
}
