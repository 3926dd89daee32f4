export { createHoldfast, type Holdfast, type HoldfastOptions, type ReservationReply } from "./holdfast.ts";
export { InvalidInput } from "./input.ts";
export { InfrastructureError } from "./platform/errors.ts";
export type { CatalogRefusal, Product } from "./services/catalog/contract.ts";
export type {
  Adjustment,
  InventoryRefusal,
  InventoryRefusalCode,
  InventoryReply,
  Line,
  Reservation,
  ReservationStatus,
  StockKey,
  StockRecord,
} from "./services/inventory/contract/index.ts";
export type {
  CreateOrderInput,
  Order,
  OrderLine,
  OrderReply,
  OrderStatus,
} from "./services/orders/contract.ts";
