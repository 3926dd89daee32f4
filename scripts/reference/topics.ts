import type { ServiceName } from "../../src/platform/settings.ts";
import { StockMovement } from "../../src/services/inventory/contract/index.ts";
import type { Direction } from "./compatibility.ts";
import { type ContractReader, contractOf, type ReadEvent } from "./contract-reader.ts";
import type { JsonSchema } from "./json-schema.ts";
import { services } from "./services.ts";

export interface Topic {
  /** Its name on the broker, unless the settings say otherwise. */
  readonly address: string;
  readonly service: ServiceName;
  readonly direction: Direction;
  read(reader: ContractReader): readonly ReadEvent[];
  /** What the key of a message is: the first of these that there is. Absent: whoever sends it says. */
  keyOf?(data: JsonSchema): readonly string[];
}

const logs = Object.entries(services).flatMap(([name, { events }]): Topic[] => {
  const service = name as ServiceName;
  if (events === null) return [];
  return [
    {
      address: `holdfast.${service}`,
      service,
      direction: "sent",
      read: (reader) => [
        ...reader.events(contractOf(service), events),
        ...(service === "inventory" ? [snapshot(reader)] : []),
      ],
      keyOf: orderOrSubject,
    },
  ];
});

export const topics: readonly Topic[] = [
  {
    address: "inventory.sync",
    service: "inventory",
    direction: "sent",
    read: (reader) => [
      {
        types: ["InventorySync"],
        about: "What can be sold of a SKU in a store has changed, and to what.",
        data: reader.data(contractOf("inventory"), "InventorySync"),
      },
    ],
    keyOf: () => ["data.product_sku"],
  },
  {
    address: "inventory.inbound",
    service: "inventory",
    direction: "taken",
    read: () => {
      const data = JSON.parse(JSON.stringify(StockMovement)) as JsonSchema;
      return [
        { types: ["StockIn"], about: "Goods have come into a store: delivered, returned, found.", data },
        { types: ["StockOut"], about: "Goods have left a store: sold at a till, broken, lost.", data },
      ];
    },
  },
  ...logs,
];

export const sources = Object.entries(services).flatMap(([service, { events }]) =>
  events === null ? [] : [contractOf(service)],
);

/** Written by SQL alone, when the beginning of the log is dropped, and so not among the contract's events. */
function snapshot(reader: ContractReader): ReadEvent {
  const records = { type: "array", items: reader.data(contractOf("inventory"), "StockRecord") };
  return {
    types: ["StockSnapshot"],
    about: "What the log begins with once its beginning was dropped: how the records stood there.",
    data: { type: "object", properties: { records }, required: ["records"] },
  };
}

/** Whatever happens to an order belongs together. */
function orderOrSubject({ properties, required }: JsonSchema): readonly string[] {
  const order = properties?.order_id;
  if (order === undefined) return ["subject"];
  const isAlwaysThere = order.type === "string" && required?.includes("order_id");
  return isAlwaysThere ? ["data.order_id"] : ["data.order_id", "subject"];
}
