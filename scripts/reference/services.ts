import type { ProblemTable } from "../../src/platform/http/problem.ts";
import type { ServiceName } from "../../src/platform/settings.ts";
import * as carts from "../../src/services/carts/contract.ts";
import * as catalog from "../../src/services/catalog/contract.ts";
import * as fulfillment from "../../src/services/fulfillment/contract.ts";
import * as inventory from "../../src/services/inventory/contract/index.ts";
import * as orders from "../../src/services/orders/contract.ts";
import * as payments from "../../src/services/payments/contract.ts";
import * as storefront from "../../src/services/storefront/contract.ts";

export interface DescribedService {
  readonly contract: object;
  readonly problems: ProblemTable;
  /** The type of what it writes to its log, by its name in the contract. */
  readonly events: string | null;
}

/** What is said of each service beside its routes and figures. The compiler asks for one that is missing. */
export const services: Readonly<Record<ServiceName, DescribedService>> = {
  catalog: { contract: catalog, problems: catalog.catalogProblems, events: "ProductEvent" },
  inventory: { contract: inventory, problems: inventory.inventoryProblems, events: "RecordedEvent" },
  orders: { contract: orders, problems: orders.orderProblems, events: "OrderEvent" },
  payments: { contract: payments, problems: payments.paymentProblems, events: "PaymentEvent" },
  fulfillment: {
    contract: fulfillment,
    problems: fulfillment.fulfillmentProblems,
    events: "FulfillmentEvent",
  },
  carts: { contract: carts, problems: carts.cartProblems, events: "CartEvent" },
  storefront: { contract: storefront, problems: storefront.storefrontProblems, events: null },
};
