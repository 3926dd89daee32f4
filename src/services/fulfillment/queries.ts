import { decodeCursor, encodeCursor } from "../../kernel/page.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { KnownShipment, ShipmentStatus } from "./contract.ts";
import { parseShipment, type ShipmentRow, shipmentColumns } from "./store.ts";

export class UnknownCursor extends Error {}

export async function findShipment(database: Reader, id: string): Promise<KnownShipment | undefined> {
  const [row] = await database.read<ShipmentRow>(shipmentById, [id]);
  return row && (parseShipment(row) as KnownShipment);
}

/** In the order of their ids, which for orders that were named here is the order of time. */
export async function listShipments(
  database: Reader,
  status: KnownShipment["status"] | undefined,
  after: string | undefined,
  limit: number,
): Promise<{ items: KnownShipment[]; next: string | null }> {
  const start = after === undefined ? [""] : decodeCursor<[string]>(after, ["string"]);
  if (start === undefined) throw new UnknownCursor("`after` is not a `next` that this list has given");
  const rows = await database.read<ShipmentRow>(listOf(status), [start[0], limit, status ?? null]);
  const items = rows.map((row) => parseShipment(row) as KnownShipment);
  return { items, next: items.length === limit ? encodeCursor([items.at(-1)!.id]) : null };
}

function listOf(status: ShipmentStatus | undefined): Statement {
  switch (status) {
    case "open":
    case "handing_over":
    case "partly_shipped":
      return openShipments;
    case "cancelled":
    case "failed":
      return unsentShipments;
    default:
      return allShipments;
  }
}

const shipmentById: Statement = {
  name: "fulfillment_shipment_by_id",
  text: `select ${shipmentColumns} from fulfillment.shipments where id = $1 and status <> 'called_off'`,
};
const openShipments: Statement = {
  name: "fulfillment_open_shipments",
  text: `select ${shipmentColumns} from fulfillment.shipments
         where not done and id > $1 and status = $3::text order by id limit $2`,
};
const unsentShipments: Statement = {
  name: "fulfillment_unsent_shipments",
  text: `select ${shipmentColumns} from fulfillment.shipments
         where unsent_as = $3::text and id > $1 order by id limit $2`,
};
const allShipments: Statement = {
  name: "fulfillment_all_shipments",
  text: `select ${shipmentColumns} from fulfillment.shipments
         where id > $1 and status <> 'called_off' and ($3::text is null or status = $3) order by id limit $2`,
};
