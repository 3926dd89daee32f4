import type { Logger } from "../telemetry/logger.ts";
import { askedGauges, type Registry } from "../telemetry/metrics.ts";
import type { Pool } from "./pool.ts";
import { readerOf, type Statement } from "./statement.ts";

export function databaseMetrics(registry: Registry, logger: Logger, pool: Pool): void {
  const database = readerOf(pool);
  const gauge = askedGauges(registry, logger, () => database.read<{ seconds: number }>(oldestTransaction));
  gauge({
    name: "database_oldest_transaction_seconds",
    help:
      "Age of the oldest open transaction in the database, whoever began it; 0 when there is none. Of those of other " +
      "roles only a member of pg_read_all_stats sees the age.",
    show: (metric, [oldest]) => metric.set(oldest!.seconds),
  });
}

const oldestTransaction: Statement = {
  name: "database_oldest_transaction",
  text: `select greatest(0, coalesce(extract(epoch from clock_timestamp() - min(since)), 0))::float8 as seconds
         from (select xact_start as since from pg_stat_activity
               where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
               union all
               select prepared from pg_prepared_xacts where database = current_database()) as open`,
};
