import { randomUUID } from "node:crypto";
import { createEngine, type EngineOptions, migrationsOf } from "./engine.ts";
import { checker } from "./input.ts";
import { rehearse } from "./platform/batch/rehearsal.ts";
import { type BrokerSettings, openBroker } from "./platform/bus/open.ts";
import type { Bus } from "./platform/bus/port.ts";
import { migrate } from "./platform/postgres/migrate.ts";
import { untilReachable } from "./platform/postgres/reachable.ts";
import type { Service } from "./platform/service.ts";
import { type ServiceName, serviceNames } from "./platform/settings.ts";
import { createLogger } from "./platform/telemetry/logger.ts";
import { createRegistry } from "./platform/telemetry/metrics.ts";
import { type ProductContent, ProductId, PutProductBody } from "./services/catalog/contract.ts";
import { type CatalogReply, handleCatalog } from "./services/catalog/handle.ts";
import {
  AdjustBody,
  ClientId,
  CountBody,
  ExtendBody,
  type InventoryReply,
  type Line,
  Lines,
  Reason,
  type Reservation,
  ReserveBody,
  StockAddress,
  type StockKey,
  type StockRecord,
} from "./services/inventory/contract/index.ts";
import {
  CreateOrderBody,
  type CreateOrderInput,
  type Order,
  type OrderReply,
} from "./services/orders/contract.ts";
import { hasEnded } from "./services/orders/order.ts";

export type HoldfastOptions = Omit<EngineOptions, "broker" | "isApart"> & BrokerSettings;

export type ReservationReply = InventoryReply<"ReserveStock">;

/**
 * The engine within this process. Refusals are answers (`accepted: false` with a `code`); what is thrown is wrong
 * input, or trouble with the database. What was accepted is durable.
 */
export interface Holdfast {
  putProduct(id: string, content: ProductInput): Promise<CatalogReply>;
  reserve(
    id: string,
    lines: readonly Line[],
    options?: { ttl_seconds?: number; order_id?: string },
  ): Promise<ReservationReply>;
  confirm(id: string): Promise<ReservationReply>;
  /** All that is left, or a part; `key` names the part, so that it is committed once. */
  commit(id: string, options?: { lines?: readonly Line[]; key?: string }): Promise<ReservationReply>;
  release(id: string, reason?: string): Promise<ReservationReply>;
  /** From now on; `key` names the extension, so that it happens once. */
  extend(id: string, ttl_seconds: number, options?: { key?: string }): Promise<ReservationReply>;
  adjust(id: string, change: Change & { lines: readonly Line[] }): Promise<InventoryReply<"AdjustStock">>;
  count(
    key: StockKey,
    quantity_on_hand: number,
    change: Change & { expected_version?: number },
  ): Promise<InventoryReply<"CountStock">>;
  /** `request_id` names the order for ever: placed again, it is the same order. What becomes of it comes later. */
  placeOrder(request_id: string, order: CreateOrderInput): Promise<OrderReply>;
  /** The order as it ended, or undefined when it has not within this time. */
  orderEnded(order: Order, timeoutSeconds: number): Promise<Order | undefined>;
  cancelOrder(id: string, reason?: string): Promise<OrderReply>;
  order(id: string): Promise<Order | undefined>;
  stock(key: StockKey, at?: Date): Promise<StockRecord | undefined>;
  reservation(id: string): Promise<Reservation | undefined>;
  /** What the same calls would answer as things stand now, each after the ones before it; nothing is changed. */
  readonly rehearsal: Rehearsal;
  /** The services that run here; the server puts HTTP before them. */
  readonly services: readonly Service[];
  /** The services whose events are in this database, whether they run here or not. */
  readonly logs: readonly ServiceName[];
  /** What joins them: lag, replay, dead letters. */
  readonly bus: Bus;
  /** It is about to be closed: who waits for something to happen is answered with what there is. */
  hurry(): void;
  /** Answers what was accepted, then lets go of the database. */
  close(): Promise<void>;
}

interface Change {
  reason: string;
  actor?: string;
  /** Release holds, the newest unpaid ones first, until the rest fits. */
  force?: boolean;
}

export interface Rehearsal {
  putProducts(products: readonly { id: string; content: ProductInput }[]): Promise<CatalogReply[]>;
  count(counts: readonly (StockKey & { quantity_on_hand: number })[]): Promise<InventoryReply[]>;
}

export type ProductInput = Omit<ProductContent, "skus"> & {
  skus: readonly (Omit<ProductContent["skus"][number], "policy"> & { policy?: "hold" })[];
};

export async function createHoldfast(options: HoldfastOptions): Promise<Holdfast> {
  const { databaseUrl, logger = createLogger("warn"), registry = createRegistry() } = options;
  await untilReachable(databaseUrl, (message) => logger.warn(message));
  await migrate(databaseUrl, migrationsOf(options.bus ?? "postgres", options.services ?? serviceNames));

  const broker = await openBroker(options, { logger, registry });
  const engine = createEngine({ ...options, broker, logger, registry });
  const { pool, parts, bus, services, logs } = engine;
  engine.start();

  const inventory = () => running(parts.inventory, "inventory").inventory;
  const catalog = () => running(parts.catalog, "catalog").catalog;
  const orders = () => running(parts.orders, "orders").orders;

  return {
    services,
    logs,
    bus,
    async putProduct(id, content) {
      return catalog().put(checkProductId(id), checkProduct(withPolicies(content)));
    },
    async reserve(id, lines, hold = {}) {
      const body = checkReserve({ lines, ...hold });
      return inventory().submit({ type: "ReserveStock", reservation_id: checkId(id), ...body });
    },
    async confirm(id) {
      return inventory().submit({ type: "ConfirmReservation", reservation_id: checkId(id) });
    },
    async commit(id, { lines, key } = {}) {
      const part = lines === undefined ? {} : { lines: checkLines(lines), key: randomUUID() };
      const named = key === undefined ? {} : { key: checkId(key) };
      return inventory().submit({
        type: "CommitReservation",
        reservation_id: checkId(id),
        ...part,
        ...named,
      });
    },
    async release(id, reason = "cancelled") {
      return inventory().submit({
        type: "ReleaseReservation",
        reservation_id: checkId(id),
        reason: checkReason(reason),
      });
    },
    async extend(id, ttl_seconds, { key } = {}) {
      const named = key === undefined ? {} : { key: checkId(key) };
      const checked = { ...checkExtend({ ttl_seconds }), ...named };
      return inventory().submit({ type: "ExtendReservation", reservation_id: checkId(id), ...checked });
    },
    async adjust(id, { actor = "library", ...change }) {
      const { id: adjustment_id, force = false, ...body } = checkAdjust({ id, ...change });
      return inventory().submit({ type: "AdjustStock", adjustment_id, ...body, actor, force });
    },
    async count(key, quantity_on_hand, { actor = "library", expected_version, ...change }) {
      const { force = false, ...body } = checkCount({ quantity_on_hand, ...change });
      const version = expected_version === undefined ? {} : { expected_version };
      return inventory().submit({ type: "CountStock", ...checkKey(key), ...body, actor, force, ...version });
    },
    placeOrder: async (request_id, order) => orders().create(checkId(request_id), checkOrder(order)),
    orderEnded: async (order, timeoutSeconds) => orders().until(order, hasEnded, timeoutSeconds),
    cancelOrder: async (id, reason = "cancelled") => orders().cancel(checkId(id), checkReason(reason)),
    order: async (id) => orders().order(checkId(id)),
    stock: async (key, at) => inventory().stock(checkKey(key), at),
    reservation: async (id) => inventory().reservation(checkId(id)),
    rehearsal: {
      putProducts: (products) =>
        rehearse(
          pool,
          handleCatalog,
          products.map(({ id, content }) => ({
            type: "PutProduct",
            product_id: checkProductId(id),
            content: checkProduct(withPolicies(content)),
          })),
        ),
      count: (counts) =>
        rehearse(
          pool,
          inventory().handle,
          counts.map(({ quantity_on_hand, ...key }) => ({
            type: "CountStock",
            ...checkKey(key),
            ...checkCount({ quantity_on_hand, reason: "rehearsal" }),
            actor: "library",
            force: false,
          })),
        ),
    },
    hurry: engine.hurry,
    close: () => engine.close(),
  };
}

function withPolicies(content: ProductInput) {
  return { ...content, skus: content.skus.map((sku) => ({ policy: "hold" as const, ...sku })) };
}

const checkId = checker(ClientId);
const checkLines = checker(Lines);
const checkReason = checker(Reason);
const checkKey = checker(StockAddress);
const checkReserve = checker(ReserveBody);
const checkExtend = checker(ExtendBody);
const checkAdjust = checker(AdjustBody);
const checkCount = checker(CountBody);
const checkOrder = checker(CreateOrderBody);
const checkProductId = checker(ProductId);
const checkProduct = checker(PutProductBody);

function running<Part>(part: Part | undefined, name: ServiceName): Part {
  if (part === undefined) throw new Error(`the service ${name} does not run in this process`);
  return part;
}
