import type { Transaction } from "../../platform/batch/transaction.ts";
import { logWriter } from "../../platform/log/append.ts";
import type { Statement } from "../../platform/postgres/statement.ts";
import { type Loaded, ShipmentBook } from "./book.ts";
import type { FulfillmentCommand, Shipment } from "./contract.ts";
import { isDone } from "./shipment.ts";

export const schema = "fulfillment";
const log = logWriter(schema);

export async function loadBook(
  tx: Transaction,
  commands: readonly FulfillmentCommand[],
  carrier: Loaded["carrier"],
): Promise<ShipmentBook> {
  const ids: string[] = [];
  let limit = 0;
  for (const command of commands) {
    if (command.type === "ClaimShipments") limit += command.limit;
    else ids.push("order_id" in command ? command.order_id : command.shipment_id);
  }
  const [shipments, due, mark] = await Promise.all([
    ids.length > 0 ? tx.read<ShipmentRow>(lockShipments, [ids]) : [],
    limit > 0 ? tx.read<ShipmentRow>(lockDue, [limit]) : [],
    log.mark(tx),
  ]);
  return new ShipmentBook({
    mark,
    shipments: [...shipments, ...due].map(parseShipment),
    due: due.map(({ id }) => id),
    carrier,
  });
}

export function saveBook(tx: Transaction, book: ShipmentBook): void {
  const changed = book.changed();
  const created = changed.filter(({ id }) => book.created.has(id));
  const updated = changed.filter(({ id }) => !book.created.has(id));
  if (created.length > 0) {
    tx.write(insertShipments, [
      ...changingArrays(created),
      created.map(({ reservation_id }) => reservation_id),
    ]);
  }
  if (updated.length > 0) tx.write(updateShipments, changingArrays(updated));
  log.append(tx, book.mark, book.events);
}

function changingArrays(shipments: readonly Shipment[]): unknown[][] {
  return [
    shipments.map(({ id }) => id),
    shipments.map(({ status }) => status),
    shipments.map(isDone),
    shipments.map(({ lines }) => JSON.stringify(lines)),
    shipments.map(({ parts }) => JSON.stringify(parts)),
    shipments.map(({ reason }) => reason),
    shipments.map(({ cancel_wanted }) => cancel_wanted && JSON.stringify(cancel_wanted)),
    shipments.map(({ refused_requests }) =>
      refused_requests.length > 0 ? JSON.stringify(refused_requests) : null,
    ),
    shipments.map(({ attempts }) => attempts),
    shipments.map(({ next_try_at }) => next_try_at),
    shipments.map(({ origin }) => JSON.stringify(origin)),
    shipments.map(({ created_at }) => created_at),
    shipments.map(({ updated_at }) => updated_at),
  ];
}

export type ShipmentRow = Omit<Shipment, "parts" | "refused_requests"> & {
  readonly parts: readonly (Omit<Shipment["parts"][number], "at"> & { readonly at: string })[];
  readonly refused_requests: readonly string[] | null;
};

export function parseShipment(row: ShipmentRow): Shipment {
  return {
    ...row,
    parts: row.parts.map((part) => ({ ...part, at: new Date(part.at) })),
    refused_requests: row.refused_requests ?? [],
  };
}

export const shipmentColumns = `id, reservation_id, status, lines, parts, reason, cancel_wanted, refused_requests,
  attempts, next_try_at, origin, created_at, updated_at`;
const changingColumns = `id, status, done, lines, parts, reason, cancel_wanted, refused_requests, attempts, next_try_at,
  origin, created_at, updated_at`;
const changingTypes = `$1::text[], $2::text[], $3::boolean[], $4::json[], $5::json[], $6::text[], $7::json[], $8::json[],
  $9::int[], $10::timestamptz[], $11::json[], $12::timestamptz[], $13::timestamptz[]`;

const lockShipments: Statement = {
  name: "fulfillment_lock_shipments",
  text: `select ${shipmentColumns} from fulfillment.shipments where id = any($1::text[]) order by id for update`,
};
const lockDue: Statement = {
  name: "fulfillment_lock_due",
  // What another process is claiming, or somebody is using, is left to them.
  text: `select ${shipmentColumns} from fulfillment.shipments
         where not done and next_try_at <= date_trunc('milliseconds', clock_timestamp())
         order by id limit $1 for update skip locked`,
};
const insertShipments: Statement = {
  name: "fulfillment_insert_shipments",
  text: `insert into fulfillment.shipments (${changingColumns}, reservation_id)
         select * from unnest(${changingTypes}, $14::text[])`,
};
const updateShipments: Statement = {
  name: "fulfillment_update_shipments",
  text: `update fulfillment.shipments s
         set status = v.status, done = v.done, lines = v.lines, parts = v.parts, reason = v.reason,
             cancel_wanted = v.cancel_wanted, refused_requests = v.refused_requests, attempts = v.attempts,
             next_try_at = v.next_try_at, origin = v.origin, created_at = v.created_at, updated_at = v.updated_at
         from unnest(${changingTypes}) as v (${changingColumns}) where s.id = v.id`,
};
