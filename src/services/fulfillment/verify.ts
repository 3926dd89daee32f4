import { withCommas } from "../../kernel/number.ts";
import type { EventRecord } from "../../platform/log/append.ts";
import { readSeen } from "../../platform/log/read.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { Finding } from "../../platform/service.ts";
import type { FulfillmentEvent, Shipment } from "./contract.ts";
import { evolve, isDone } from "./shipment.ts";
import { parseShipment, type ShipmentRow, schema, shipmentColumns } from "./store.ts";

const batchesAtOnce = 100;
const rowsAtOnce = 5_000;

/** Folds the whole log from nothing and compares every shipment with what comes of it. */
export async function verifyFulfillment(
  database: Reader,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  const fold = new ShipmentFold(database);
  for (let after = 0; ; ) {
    const batches = await readSeen(database, schema, after, batchesAtOnce);
    if (batches.length === 0) break;
    for (const { events, at } of batches) for (const event of events) fold.add(event, at);
    // What has ended changes no more, so it is compared at once and forgotten: memory holds the open ones alone.
    await fold.compare(fold.ended());
    after = batches.at(-1)!.position;
    onProgress(`${withCommas(fold.events)} events replayed`);
  }
  await fold.compare(fold.open());
  const [{ count }] = (await database.read<{ count: number }>(countShipments)) as [{ count: number }];
  if (count !== fold.compared) {
    fold.violations.push(`${count} shipments are kept, the log knows ${fold.compared}`);
  }
  const unsound = await database.read<{ id: string }>(unsoundShipments);
  return [
    {
      check: "promise 4: replaying the log from nothing gives every shipment",
      looked_at: `${withCommas(fold.events)} events against ${withCommas(count)} shipments`,
      violations: fold.violations,
    },
    {
      check: "promise 3: no order is shipped twice, and what is shipped has all left",
      looked_at: `the lines of ${withCommas(count)} shipments`,
      violations: unsound.map(({ id }) => id),
    },
  ];
}

class ShipmentFold {
  events = 0;
  compared = 0;
  readonly violations: string[] = [];
  private readonly shipments = new Map<string, Shipment>();
  private readonly database: Reader;

  constructor(database: Reader) {
    this.database = database;
  }

  add({ type, data, traceparent, cause }: EventRecord, at: Date): void {
    this.events++;
    const event = { type, data } as FulfillmentEvent;
    const origin = {
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(cause === undefined ? {} : { cause }),
    };
    const id = event.data.shipment_id;
    // It says no more than that it was too late, even of what has ended and is forgotten.
    if (event.type === "ShipmentCancellationRefused") return;
    this.shipments.set(id, evolve(this.shipments.get(id), event, at, origin));
  }

  ended(): string[] {
    return [...this.shipments.values()].filter(isDone).map(({ id }) => id);
  }

  open(): string[] {
    return [...this.shipments.keys()];
  }

  async compare(ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += rowsAtOnce) {
      const some = ids.slice(i, i + rowsAtOnce);
      const found = (await this.database.read<ShipmentRow>(shipmentsById, [some])).map(parseShipment);
      const rows = new Map(found.map((row) => [row.id, row]));
      for (const id of some) this.compareOne(this.shipments.get(id)!, rows.get(id));
    }
  }

  private compareOne(folded: Shipment, row: Shipment | undefined): void {
    this.shipments.delete(folded.id);
    this.compared++;
    if (row === undefined) this.violations.push(`${folded.id} is in the log but not in the table`);
    else if (spelled(row) !== spelled(folded)) {
      this.violations.push(`${folded.id}: the table has ${spelled(row)}, the log gives ${spelled(folded)}`);
    }
  }
}

/** What the log tells of a shipment; who is asked when, and how a part was named, it does not. */
function spelled(s: Shipment): string {
  const status = s.status === "handing_over" ? "open" : s.status;
  return JSON.stringify([
    [s.id, s.reservation_id, status, s.reason, s.created_at],
    s.lines.map((line) => [line.store_id, line.sku, line.quantity, line.quantity_shipped]),
    s.parts.map(({ part, carrier, tracking, lines, at }) => [
      part,
      carrier,
      tracking,
      lines.map((line) => [line.store_id, line.sku, line.quantity]),
      at,
    ]),
    [s.origin.cause, s.origin.traceparent],
  ]);
}

const countShipments: Statement = {
  name: "fulfillment_verify_count",
  text: "select count(*) from fulfillment.shipments where status <> 'called_off'",
};
const shipmentsById: Statement = {
  name: "fulfillment_verify_shipments",
  text: `select ${shipmentColumns} from fulfillment.shipments where id = any($1::text[])`,
};
const unsoundShipments: Statement = {
  name: "fulfillment_verify_unsound",
  text: `select s.id from fulfillment.shipments s,
                lateral (select bool_and(quantity_shipped = quantity) as all_left,
                                bool_or(quantity_shipped > 0) as some_left,
                                bool_or(quantity_shipped > quantity) as too_much
                         from json_to_recordset(s.lines) as line (quantity int, quantity_shipped int)) as l
         where l.too_much or (status = 'shipped') <> coalesce(l.all_left, false)
            or (status in ('open', 'handing_over', 'cancelled', 'failed') and l.some_left)
         limit 20`,
};
