import { randomUUID } from "node:crypto";
import { afterAll, beforeAll } from "vitest";
import { transact } from "../platform/batch/transaction.ts";
import type { BusEvent } from "../platform/bus/port.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { type Finding, logMigrations } from "../platform/service.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { createRegistry, type Registry } from "../platform/telemetry/metrics.ts";
import { untraced } from "../platform/telemetry/tracer.ts";
import { verifyServices } from "../platform/verify.ts";
import type { CreateOrderInput, Order, OrderSettings } from "../services/orders/contract.ts";
import { type OrdersService, orderMigrations, ordersService } from "../services/orders/index.ts";
import { useTestDatabase } from "./database.ts";
import { startServer, type TestServer } from "./http-server.ts";

export const orderSettings: OrderSettings = {
  pending_seconds: 900,
  hold_ttl_seconds: 900,
  shipping_seconds: 604_800,
};

/** The orders behind HTTP, with nobody else: what the other services say is made up by the test. */
export function useOrders(): OrderDesk {
  const database = useTestDatabase();
  const desk = new OrderDesk();
  beforeAll(() => desk.open(database.url));
  afterAll(() => desk.close());
  return desk;
}

export class OrderDesk {
  service!: OrdersService;
  registry!: Registry;
  server!: TestServer;
  pool!: Pool;
  private placed = 0;

  async open(url: string): Promise<void> {
    const others = ["inventory", "payments", "fulfillment", "carts", "catalog"];
    await migrate(url, [...others.map((schema) => logMigrations(schema)), ...orderMigrations]);
    this.pool = createPool(url, { max: 4, name: "test" });
    this.registry = createRegistry();
    this.service = this.another(this.registry);
    this.service.start();
    this.server = await startServer((app) => this.service.registerRoutes(app), { bodyLimitBytes: 1_048_576 });
  }

  async close(): Promise<void> {
    // A connection whose last request was answered while the server stops would keep it from ending.
    const idle = setInterval(() => this.server?.app.server.closeIdleConnections(), 20);
    await this.server?.app.close();
    clearInterval(idle);
    await this.service?.stop();
    await this.pool?.end();
  }

  /** The service of another process, which has not begun to do anything by itself. */
  another(registry = createRegistry(), stopping = new AbortController().signal): OrdersService {
    return ordersService({
      pool: this.pool,
      reads: this.pool,
      settings: orderSettings,
      maxWaiting: 1_000,
      stopping,
      registry,
      logger: createLogger("silent"),
      tracer: untraced,
    });
  }

  // ---- what other services say -------------------------------------------------------------------------------------

  /** An event as the bus brings it; it stands in the log of its service. */
  async said(topic: string, type: string, data: object): Promise<BusEvent> {
    const subject = (data as { order_id?: string }).order_id ?? "anything";
    const { rows } = await this.pool.query(
      `insert into ${topic}.log (position, at, events)
       values (nextval('${topic}.log_position'), date_trunc('milliseconds', clock_timestamp()), $1)
       returning position, at`,
      [JSON.stringify([{ type, subject, data }])],
    );
    const [{ position, at }] = rows;
    const travelled = JSON.parse(JSON.stringify(data));
    return { id: `${topic}-${position}-0`, topic, type, subject, key: subject, at, data: travelled };
  }

  deliver(...events: BusEvent[]): Promise<void> {
    return this.deliverTo(this.service, ...events);
  }

  async deliverTo(service: OrdersService, ...events: BusEvent[]): Promise<void> {
    const { handle } = service.subscription!;
    const after = await transact(this.pool, (tx) => handle(tx, events));
    after?.();
  }

  async tell(topic: string, type: string, data: object): Promise<BusEvent> {
    const event = await this.said(topic, type, data);
    await this.deliver(event);
    return event;
  }

  /** What inventory, payments and fulfilment say about an order whose story takes its usual course. */
  reserved(order: Order, seconds = 900): Promise<BusEvent> {
    const expires_at = new Date(Date.now() + seconds * 1_000);
    return this.tell("inventory", "InventoryReserved", {
      ...this.ofStock(order),
      lines: order.lines,
      expires_at,
      key: null,
    });
  }

  charged(order: Order): Promise<BusEvent> {
    const { total_minor: amount_minor, currency } = order;
    const gateway = { gateway: "simulated", gateway_reference: "ch_1" };
    return this.tell("payments", "PaymentSucceeded", {
      ...this.ofStock(order),
      amount_minor,
      currency,
      ...gateway,
    });
  }

  confirmed(order: Order): Promise<BusEvent> {
    return this.tell("inventory", "InventoryConfirmed", this.ofStock(order));
  }

  committed(order: Order): Promise<BusEvent> {
    const { lines } = order;
    return this.tell("inventory", "InventoryCommitted", {
      ...this.ofStock(order),
      lines,
      key: null,
      complete: true,
    });
  }

  shipped(order: Order): Promise<BusEvent> {
    const by = { carrier: "DHL", tracking: "T-1", part: 1 };
    return this.tell("fulfillment", "OrderFulfilled", { ...this.ofStock(order), ...by, lines: order.lines });
  }

  released(order: Order, reason: string, now: "released" | "expired" = "released"): Promise<BusEvent> {
    return this.tell("inventory", "InventoryReleased", {
      ...this.ofStock(order),
      lines: order.lines,
      reason,
      now,
    });
  }

  ofStock({ id: order_id, reservation_id }: Order) {
    return { order_id, reservation_id };
  }

  // ---- orders ------------------------------------------------------------------------------------------------------

  /** New SKUs, each at this price. */
  async offer(prices: Record<string, number>, currency = "EUR"): Promise<void> {
    const skus = Object.entries(prices).map(([sku, price_minor]) => ({
      sku,
      price_minor,
      currency,
      policy: "hold",
    }));
    await this.tell("catalog", "ProductCreated", { product_id: randomUUID(), name: "Any", skus });
  }

  input(sku: string, quantity = 1): CreateOrderInput {
    return {
      customer_id: "ann",
      lines: [{ store_id: "main", sku, quantity }],
      payment: { token: "tok_secret" },
    };
  }

  key(): string {
    return `key-${++this.placed}`;
  }

  async placedOrder(input: CreateOrderInput, key = this.key()): Promise<Order> {
    const reply = await this.service.orders.create(key, input);
    if (!reply.accepted) throw new Error(reply.refusal.code);
    return reply.orders[0]!;
  }

  async order(id: string): Promise<Order> {
    return (await this.service.orders.order(id))!;
  }

  /** The types of the order's own events, in their order. */
  async events(id: string): Promise<string[]> {
    const { rows } = await this.pool.query(
      `select event ->> 'type' as type from orders.log,
              json_array_elements(events::json) with ordinality as e (event, i)
       where event ->> 'subject' = $1 order by position, i`,
      [id],
    );
    return rows.map(({ type }) => type);
  }

  async overdue(id: string, seconds = 1): Promise<void> {
    await this.pool.query(
      "update orders.orders set deadline = clock_timestamp() - make_interval(secs => $2) where id = $1",
      [id, seconds],
    );
  }

  verify(): Promise<Finding[]> {
    return verifyServices([{ pool: this.pool, services: [this.service] }], () => {});
  }
}
