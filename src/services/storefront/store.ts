import type { Transaction } from "../../platform/batch/transaction.ts";
import type { Reader, Statement } from "../../platform/postgres/statement.ts";
import type { AvailabilityRow } from "./contract.ts";

export const schema = "storefront";

/** The log that is followed: the inventory's, or our own copy of what a broker has brought of it. */
export type Followed = "inventory" | "storefront";

const rowsAtOnce = 10_000;

export async function readCursor(database: Reader, topic: Followed): Promise<number> {
  const [cursor] = await database.read<{ position: number }>(cursorOf, [topic]);
  return cursor?.position ?? 0;
}

/** All rows, a page at a time. */
export async function* readRows(database: Reader): AsyncGenerator<AvailabilityRow[]> {
  let after: AvailabilityRow | undefined;
  for (;;) {
    const rows: AvailabilityRow[] = await database.read<AvailabilityRow>(rowsPage, [
      after?.sku ?? null,
      after?.store_id ?? null,
      rowsAtOnce,
    ]);
    if (rows.length > 0) yield rows;
    if (rows.length < rowsAtOnce) return;
    after = rows.at(-1);
  }
}

/** Whoever saves locks the cursor first, so of several processes one saves at a time. */
export async function lockCursor(tx: Transaction, topic: Followed): Promise<number> {
  tx.write(openCursor, [topic]);
  const [cursor] = await tx.read<{ position: number }>(cursorForUpdate, [topic]);
  return cursor!.position;
}

export function saveRows(tx: Transaction, rows: readonly AvailabilityRow[]): void {
  if (rows.length === 0) return;
  tx.write(upsertRows, [
    rows.map((row) => row.sku),
    rows.map((row) => row.store_id),
    rows.map((row) => row.quantity_available),
    rows.map((row) => row.version),
    rows.map((row) => row.listed),
    rows.map((row) => row.listing_position),
    rows.map((row) => row.position),
    rows.map((row) => row.event_index),
  ]);
}

export function moveCursor(tx: Transaction, topic: Followed, position: number): void {
  tx.write(cursorMoved, [topic, position]);
}

/** How the log and the saved cursor stand to a place, with the database's clock. */
export interface Outlook {
  /** Before what is told here was looked at. */
  readonly now: Date;
  /** Whether anything is committed behind the place. */
  readonly has_more: boolean;
  readonly cursor: number | null;
}

export async function lookBehind(database: Reader, topic: Followed, position: number): Promise<Outlook> {
  const [outlook] = await database.read<Outlook>(outlookBehind(topic), [position, topic]);
  return outlook!;
}

const columns = `sku, store_id, quantity_available, version, listed, listing_position, position, event_index`;

const cursorOf: Statement = {
  name: "storefront_cursor",
  text: "select position from storefront.cursors where topic = $1 and partition = 0",
};
const openCursor: Statement = {
  name: "storefront_cursor_open",
  text: "insert into storefront.cursors (topic, position) values ($1, 0) on conflict do nothing",
};
const cursorForUpdate: Statement = {
  name: "storefront_cursor_lock",
  text: "select position from storefront.cursors where topic = $1 and partition = 0 for update",
};
const cursorMoved: Statement = {
  name: "storefront_cursor_move",
  text: "update storefront.cursors set position = $2, index = 0 where topic = $1 and partition = 0",
};
const rowsPage: Statement = {
  name: "storefront_rows_page",
  text: `select ${columns} from storefront.availability
         where $1::text is null or (sku, store_id) > ($1, $2) order by sku, store_id limit $3`,
};
const upsertRows: Statement = {
  name: "storefront_upsert_rows",
  // What another process has saved from further on in the log stays; what is the same is not written again.
  text: `insert into storefront.availability as a (${columns})
         select * from unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::boolean[], $6::bigint[],
                              $7::bigint[], $8::int[])
         on conflict (sku, store_id) do update set
           quantity_available = excluded.quantity_available, version = excluded.version, listed = excluded.listed,
           listing_position = excluded.listing_position, position = excluded.position,
           event_index = excluded.event_index
         where excluded.version >= a.version and excluded.listing_position >= a.listing_position
           and (excluded.version, excluded.listing_position, excluded.quantity_available, excluded.listed)
               is distinct from (a.version, a.listing_position, a.quantity_available, a.listed)`,
};
function outlookBehind(topic: Followed): Statement {
  return {
    name: `storefront_outlook_${topic}`,
    // statement_timestamp() is when the question arrived: whatever was committed by then is seen by it. For "exists",
    // the log would be read from its beginning until something is found; in its order, the index leads there.
    text: `select date_trunc('milliseconds', statement_timestamp()) as now,
                  (select position from ${topic}.log where position > $1 order by position limit 1) is not null
                    or exists (select 1 from ${topic}.log_base where position > $1 and events <> '[]') as has_more,
                  (select position from storefront.cursors where topic = $2 and partition = 0) as cursor`,
  };
}
