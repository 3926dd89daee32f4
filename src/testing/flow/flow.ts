import { transact } from "../../platform/batch/transaction.ts";
import type { BusEvent } from "../../platform/bus/port.ts";
import type { Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { Line } from "../../services/inventory/contract/index.ts";
import type { Simulation } from "../../services/payments/contract.ts";
import { calm } from "../../services/payments/gateways/simulated/gateway.ts";
import { pass, resetClock } from "./clock.ts";
import { Deliveries } from "./deliveries.ts";
import { quiet } from "./process.ts";
import { Fleet, type FlowSettings, type Follower, followers, type ServiceName } from "./services.ts";
import { changes, contents, emptyTables } from "./tables.ts";

export const skus = ["lamp", "mug", "vase"] as const;
const priceMinor = 250;

export interface WantedLine {
  readonly sku: number;
  readonly quantity: number;
}

interface CarrierMood {
  readonly down: boolean;
  readonly failure_rate: number;
}

class RolledBack extends Error {}

/** A shop of which every single step is taken by the test: who hears what when, and what breaks in between. */
export class Flow {
  readonly pool: Pool;
  readonly settings: FlowSettings;
  readonly fleet: Fleet;
  readonly deliveries: Deliveries;
  /** What has happened, for whoever has to find out why. */
  readonly story: string[] = [];
  /** Request → the order that was acknowledged. */
  readonly acknowledged = new Map<string, string>();
  /** What was answered otherwise than it ought to be. */
  readonly complaints: string[] = [];
  /** For somebody who sends it once more. */
  lastOrder: { key: string; lines: readonly WantedLine[]; token: string } | undefined;
  private gateway: Simulation = calm;
  private carrier: CarrierMood = { down: false, failure_rate: 0 };
  private background: Promise<unknown>[] = [];

  static async open(pool: Pool, settings: FlowSettings, onHand: number): Promise<Flow> {
    await emptyTables(pool);
    await resetClock(pool);
    const flow = new Flow(pool, settings);
    const content = {
      name: "all there is",
      skus: skus.map((sku) => ({ sku, price_minor: priceMinor, currency: "EUR", policy: "hold" as const })),
    };
    await flow.fleet.part("catalog").catalog.put("all", content);
    await flow.deliverAll();
    for (const sku of skus) await flow.count(sku, onHand, false);
    return flow;
  }

  private constructor(pool: Pool, settings: FlowSettings) {
    this.pool = pool;
    this.settings = settings;
    this.fleet = new Fleet(pool, settings);
    const groups = followers.map((group) => [group, this.fleet.subscription(group).topics] as const);
    this.deliveries = new Deliveries(readerOf(pool), new Map(groups));
  }

  async close(): Promise<void> {
    await this.fleet.end();
    await Promise.all(this.background);
    await quiet(this.pool);
  }

  tell(what: string): void {
    this.story.push(what);
  }

  /** What follows of itself from the last step: calls outside, and what came of them. */
  async calmDown(): Promise<void> {
    await quiet(this.pool);
    for (const name of this.fleet.replace()) {
      this.tell(`  ${name} came to its end in the middle of something; another one takes its place`);
      this.setMoods();
    }
  }

  // ---- what people ask for -----------------------------------------------------------------------------------------

  async order(key: string, wanted: readonly WantedLine[], token: string): Promise<void> {
    const { orders } = this.fleet.part("orders");
    const input = { customer_id: "buyer", lines: linesOf(wanted), payment: { token } };
    await this.ask(orders.create(key, input), (reply) => {
      if (!reply.accepted) return this.complain(`the order ${key} was refused: ${reply.refusal.code}`);
      const { id } = reply.orders[0]!;
      const known = this.acknowledged.get(key) ?? id;
      if (known !== id) this.complain(`the order ${key} was ${known} first, and now it is ${id}`);
      this.acknowledged.set(key, id);
    });
  }

  async cancel(id: string): Promise<void> {
    await this.ask(this.fleet.part("orders").orders.cancel(id, "changed my mind"), () => {});
  }

  /** Carts wait for the answer of the stock, which comes when the test delivers it. */
  async put(cart_id: string, wanted: readonly WantedLine[]): Promise<void> {
    const lines = linesOf(wanted);
    await this.ask(this.fleet.part("carts").carts.put({ cart_id, customer_id: "buyer", lines }), () => {});
  }

  async checkOut(cart_id: string, token: string): Promise<void> {
    const { carts } = this.fleet.part("carts");
    await this.ask(carts.checkOut({ cart_id, payment: { token } }, 0), (reply) => {
      if (reply.accepted) this.acknowledged.set(cart_id, reply.cart.order!.id);
    });
  }

  async delete(cart_id: string): Promise<void> {
    await this.ask(this.fleet.part("carts").carts.delete({ cart_id }), () => {});
  }

  async count(sku: string, quantity_on_hand: number, force: boolean): Promise<void> {
    const key = { store_id: "main", sku };
    const { inventory } = this.fleet.part("inventory");
    const command = { type: "CountStock", ...key, quantity_on_hand, reason: "count", actor: "test", force };
    await this.ask(inventory.submit(command as Parameters<typeof inventory.submit>[0]), () => {});
  }

  /** One piece of what has not left yet. */
  async oneOf(shipment_id: string): Promise<Line | undefined> {
    const shipment = await this.fleet.part("fulfillment").fulfillment.shipment(shipment_id);
    const left = shipment?.lines.find(({ quantity, quantity_shipped }) => quantity_shipped < quantity);
    return left && { store_id: left.store_id, sku: left.sku, quantity: 1 };
  }

  async ship(shipment_id: string, part?: Line): Promise<void> {
    const { fulfillment } = this.fleet.part("fulfillment");
    const lines = part === undefined ? {} : { lines: [part], key: `part-${this.story.length}` };
    await this.ask(
      fulfillment.submit({ type: "Ship", shipment_id, carrier: "van", tracking: null, ...lines }),
      () => {},
    );
  }

  async refuseToShip(shipment_id: string): Promise<void> {
    const { fulfillment } = this.fleet.part("fulfillment");
    await this.ask(fulfillment.submit({ type: "FailShipment", shipment_id, detail: "broken" }), () => {});
  }

  /** A process that dies answers nobody, and one that hangs does so late; nobody waits for either. */
  private async ask<Reply>(answer: Promise<Reply>, onAnswer: (reply: Reply) => void): Promise<void> {
    this.background.push(answer.then(onAnswer, () => {}));
    await this.calmDown();
  }

  private complain(complaint: string): void {
    this.complaints.push(complaint);
  }

  // ---- what the bus does -------------------------------------------------------------------------------------------

  async hear(
    group: Follower,
    events: readonly BusEvent[],
    fate: "done" | "rolled back" | "forgotten" = "done",
  ): Promise<void> {
    const { handle } = this.fleet.subscription(group);
    try {
      const afterCommit = await transact(this.pool, async (tx) => {
        const followUp = await handle(tx, events);
        if (fate === "rolled back") throw new RolledBack();
        return followUp;
      });
      this.deliveries.done(group, events);
      if (fate === "done") afterCommit?.();
      else this.restart(group);
    } catch (error) {
      if (!(error instanceof RolledBack)) throw error;
    }
    await this.calmDown();
    await this.deliveries.look();
  }

  /** Promise 5: what was heard already is heard again, and changes nothing. */
  async remind(group: Follower, events: readonly BusEvent[]): Promise<void> {
    const trouble = await this.fleet.process(group).paused(async () => {
      await this.deliveries.look();
      const before = await contents(this.pool, [group]);
      const written = new Set(this.deliveries.all.map(({ id }) => id));
      await this.hear(group, events);
      const news = this.deliveries.all.filter(({ id }) => !written.has(id));
      return [
        ...changes(before, await contents(this.pool, [group])),
        ...news.map(({ type, key }) => `there is a new ${type}(${key})`),
      ];
    });
    if (trouble.length > 0) throw new Error(`hearing it again was not without effect: ${trouble.join("; ")}`);
    await this.calmDown();
  }

  /** Everybody hears everything, until there is nothing more to hear. */
  async deliverAll(): Promise<void> {
    await this.deliveries.look();
    for (let rounds = 0; followers.some((group) => this.deliveries.waitsFor(group) > 0); rounds++) {
      if (rounds === 50) throw new Error("the services do not come to an end of telling each other");
      for (const group of followers) {
        const events = this.deliveries.next(group, [1_000]);
        if (events.length > 0) await this.hear(group, events);
      }
    }
  }

  // ---- time, and what the world is like ----------------------------------------------------------------------------

  async wait(seconds: number): Promise<void> {
    await pass(this.pool, seconds);
  }

  async sweep(name: Follower): Promise<void> {
    const sweeps: Record<Follower, () => Promise<unknown>> = {
      inventory: () =>
        this.fleet.part("inventory").inventory.submit({ type: "ExpireReservations", limit: 500 }),
      orders: () => this.fleet.part("orders").orders.sweep(),
      payments: () => this.fleet.part("payments").payments.sweep(false),
      fulfillment: () => this.fleet.part("fulfillment").fulfillment.sweep(),
      carts: () => this.fleet.part("carts").carts.sweep(),
    };
    await this.ask(sweeps[name](), () => {});
    await this.deliveries.look();
  }

  restart(name: ServiceName): void {
    this.fleet.restart(name);
    this.setMoods();
  }

  async wakeUp(): Promise<void> {
    this.fleet.wakeUp();
    await quiet(this.pool);
    this.fleet.buryTheHanging();
    await this.deliveries.look();
  }

  gatewayIs(mood: Partial<Simulation>): void {
    this.gateway = { ...calm, ...mood };
    this.setMoods();
  }

  carrierIs(mood: CarrierMood): void {
    this.carrier = mood;
    this.setMoods();
  }

  private setMoods(): void {
    this.fleet.part("payments").payments.simulate(this.gateway);
    const { simulated } = this.fleet.part("fulfillment").fulfillment;
    if (simulated !== undefined) simulated.settings = { latency_ms: 0, ...this.carrier };
  }
}

function linesOf(wanted: readonly WantedLine[]) {
  return wanted.map(({ sku, quantity }) => ({ store_id: "main", sku: skus[sku % skus.length]!, quantity }));
}
