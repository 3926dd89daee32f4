import type { HttpServer } from "../../../platform/http/server.ts";
import type { Inventory } from "../inventory.ts";
import { registerReservationRoutes } from "./reservations.ts";
import { registerStockRoutes } from "./stock.ts";

export function registerInventoryRoutes(app: HttpServer, inventory: Inventory): void {
  registerStockRoutes(app, inventory);
  registerReservationRoutes(app, inventory);
}
