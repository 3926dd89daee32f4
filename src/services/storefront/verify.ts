import { withCommas } from "../../kernel/number.ts";
import { droppedUpTo, type LogBatch, readLog } from "../../platform/log/read.ts";
import type { Reader } from "../../platform/postgres/statement.ts";
import type { Finding } from "../../platform/service.ts";
import { Availability, chain, rowOf } from "./availability.ts";
import { statementsOf } from "./consumers/statements.ts";
import type { AvailabilityRow } from "./contract.ts";
import { type Followed, readCursor, readRows } from "./store.ts";

const batchesAtOnce = 100;

/**
 * Folds the log up to the saved cursor and compares every row with what comes of it. A row may be further
 * than the cursor; then the log behind it must state just that.
 */
export async function verifyStorefront(
  database: Reader,
  topic: Followed,
  onProgress: (message: string) => void,
): Promise<Finding[]> {
  const cursor = await readCursor(database, topic);
  // Of what retention has dropped our copy keeps no sum: what moved only then cannot be looked at.
  const isWhole = topic === "inventory" || (await droppedUpTo(database, topic)) === 0;
  const folded = new Availability();
  const ahead = new Map<string, AvailabilityRow>();
  let events = 0;
  let comparison: Comparison | undefined;
  let position = 0;
  for (;;) {
    const batches = await readLog(database, topic, position, batchesAtOnce);
    for (const batch of batches) {
      if (batch.position > cursor) comparison ??= await compare(database, folded, ahead, isWhole);
      if (comparison === undefined) events += batch.events.length;
      else if (ahead.size > 0) removeStated(ahead, batch);
      apply(folded, batch);
    }
    position = batches.at(-1)?.position ?? position;
    const isDone = batches.length < batchesAtOnce || (comparison !== undefined && ahead.size === 0);
    if (isDone) break;
    onProgress(`${withCommas(events)} events replayed for the storefront`);
  }
  comparison ??= await compare(database, folded, ahead, isWhole);
  const unstated = [...ahead.values()].map(
    (row) => `${row.sku} in ${row.store_id}: the log never stated ${JSON.stringify(row)}`,
  );
  return [
    {
      check: "promise 4: replaying the inventory's log gives what the storefront sells",
      looked_at: `${withCommas(events)} events against ${withCommas(comparison.rows)} records`,
      violations: [...comparison.violations, ...unstated],
    },
  ];
}

interface Comparison {
  readonly rows: number;
  readonly violations: readonly string[];
}

async function compare(
  database: Reader,
  folded: Availability,
  ahead: Map<string, AvailabilityRow>,
  isWhole: boolean,
): Promise<Comparison> {
  const violations: string[] = [];
  let count = 0;
  for await (const rows of readRows(database)) {
    for (const row of rows) {
      const expected = find(folded, row);
      if (expected === undefined && !isWhole) continue;
      if (expected !== undefined) count++;
      if (row.version > (expected?.version ?? 0)) {
        ahead.set(keyOf(row), row);
      } else if (!isSame(row, expected!)) {
        violations.push(
          `${row.sku} in ${row.store_id}: the table has ${JSON.stringify(row)}, the log gives ${JSON.stringify(expected)}`,
        );
      }
    }
  }
  if (count !== folded.size) {
    violations.push(
      `${withCommas(count)} records are kept of the ${withCommas(folded.size)} that the log knows`,
    );
  }
  return { rows: count, violations };
}

/** Whether a SKU is listed is stated apart from its stock, and may be further too. */
function isSame(row: AvailabilityRow, expected: AvailabilityRow): boolean {
  return (
    row.version === expected.version &&
    row.quantity_available === expected.quantity_available &&
    (row.listing_position > expected.listing_position || row.listed === expected.listed)
  );
}

function removeStated(ahead: Map<string, AvailabilityRow>, { events }: LogBatch): void {
  for (const statement of statementsOf(events)) {
    if (statement.about !== "stock") continue;
    const row = ahead.get(keyOf(statement));
    if (row?.version === statement.version && row.quantity_available === statement.quantity_available) {
      ahead.delete(keyOf(statement));
    }
  }
}

function apply(folded: Availability, { position, events }: LogBatch): void {
  folded.apply(position, statementsOf(events), events.length - 1);
}

function find(folded: Availability, { sku, store_id }: AvailabilityRow): AvailabilityRow | undefined {
  for (const record of chain(folded.find(sku))) if (record.store_id === store_id) return rowOf(record);
  return undefined;
}

function keyOf({ sku, store_id }: { sku: string; store_id: string }): string {
  return JSON.stringify([sku, store_id]);
}
