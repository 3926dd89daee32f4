import { randomUUID } from "node:crypto";
import { checker } from "./input.ts";
import { rehearse } from "./platform/batch/rehearsal.ts";
import { migrate } from "./platform/postgres/migrate.ts";
import { createPool } from "./platform/postgres/pool.ts";
import { untilReachable } from "./platform/postgres/reachable.ts";
import type { Service } from "./platform/service.ts";
import { createLogger, type Logger } from "./platform/telemetry/logger.ts";
import { createRegistry, type Registry } from "./platform/telemetry/metrics.ts";
import { type ProductContent, ProductId, PutProductBody } from "./services/catalog/contract.ts";
import { type CatalogReply, handleCatalog } from "./services/catalog/handle.ts";
import { type CatalogService, catalogMigrations, catalogService } from "./services/catalog/index.ts";
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
} from "./services/inventory/contract.ts";
import { type InventoryService, inventoryMigrations, inventoryService } from "./services/inventory/index.ts";

export type ServiceName = "catalog" | "inventory";

export interface HoldfastOptions {
  /** PostgreSQL 15 or newer. Its schemas `catalog` and `inventory` are created and kept up to date. */
  readonly databaseUrl: string;
  readonly services?: readonly ServiceName[];
  /** Where a new SKU's stock record is opened. */
  readonly defaultStore?: string;
  readonly holdTtlSeconds?: number;
  readonly lowStockThreshold?: number;
  /** Commands that may wait for one service; one more is refused. */
  readonly mailboxDepth?: number;
  readonly logger?: Logger;
  readonly registry?: Registry;
}

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
  stock(key: StockKey, at?: Date): Promise<StockRecord | undefined>;
  reservation(id: string): Promise<Reservation | undefined>;
  /** What the same calls would answer as things stand now, each after the ones before it; nothing is changed. */
  readonly rehearsal: Rehearsal;
  /** The services that run here; the server puts HTTP before them. */
  readonly services: readonly Service[];
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

/** What the engine keeps in its database. */
export const engineMigrations = [...catalogMigrations, ...inventoryMigrations];

const roadConnections = 6;
const readConnections = 6;

export async function createHoldfast(options: HoldfastOptions): Promise<Holdfast> {
  const { databaseUrl, logger = createLogger("warn") } = options;
  await untilReachable(databaseUrl, (message) => logger.warn(message));
  await migrate(databaseUrl, engineMigrations);

  const { pool, shop, stock, services, disconnect } = createServices({ ...options, logger });
  for (const service of services) service.start();

  const inventory = () => running(stock, "inventory").inventory;
  const catalog = () => running(shop, "catalog").catalog;

  return {
    services,
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
    async close() {
      for (const service of services) await service.stop();
      await disconnect();
    },
  };
}

/** The services on their connections, not started: whoever only looks at a database needs no more. */
export function createServices(options: HoldfastOptions) {
  const {
    databaseUrl,
    services: wanted = ["catalog", "inventory"],
    defaultStore = "main",
    holdTtlSeconds = 900,
    lowStockThreshold = 5,
    mailboxDepth = 20_000,
    logger = createLogger("warn"),
    registry = createRegistry(),
  } = options;
  // Readers have connections of their own: however many there are, the road never waits for one.
  const pool = createPool(databaseUrl, { max: roadConnections, name: "holdfast" });
  const reads = createPool(databaseUrl, { max: readConnections, name: "holdfast reads" });
  const common = { pool, reads, maxWaiting: mailboxDepth, logger };
  const settings = {
    default_store: defaultStore,
    hold_ttl_seconds: holdTtlSeconds,
    low_stock_threshold: lowStockThreshold,
  };
  const stock = wanted.includes("inventory")
    ? inventoryService({ ...common, settings, registry })
    : undefined;
  const followed = async (position: number) => stock?.catalogFollower.reached(position);
  const shop = wanted.includes("catalog") ? catalogService({ ...common, followed }) : undefined;
  return {
    pool,
    shop,
    stock,
    services: [shop, stock].filter(
      (service): service is CatalogService | InventoryService => service !== undefined,
    ),
    disconnect: () => Promise.all([pool.end(), reads.end()]),
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
const checkProductId = checker(ProductId);
const checkProduct = checker(PutProductBody);

function running<Part>(part: Part | undefined, name: ServiceName): Part {
  if (part === undefined) throw new Error(`the service ${name} does not run in this process`);
  return part;
}
