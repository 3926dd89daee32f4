import { transact } from "../platform/batch/transaction.ts";
import { coverAhead, listPartitions, type PartitionSizes } from "../platform/log/partitions.ts";
import type { Pool } from "../platform/postgres/pool.ts";
import { readerOf } from "../platform/postgres/statement.ts";

/** A handful of batches fills several of these. */
export const smallSizes: PartitionSizes = { min: 5, max: 5, ahead: 20 };

/** Begins the log anew, with partitions that are filled soon. */
export async function usePartitions(pool: Pool, schema: string, sizes = smallSizes): Promise<void> {
  for (const { name } of await listPartitions(readerOf(pool), schema)) {
    await pool.query(`drop table ${schema}.${name}`);
  }
  await pool.query(`truncate ${schema}.log_base, ${schema}.cursors`);
  await pool.query(`alter sequence ${schema}.log_position restart`);
  await transact(pool, (tx) => coverAhead(tx, schema, sizes));
}
