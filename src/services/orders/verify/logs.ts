import type { EventRecord } from "../../../platform/log/append.ts";
import type { Reader, Statement } from "../../../platform/postgres/statement.ts";

export interface LoggedBatch {
  readonly schema: string;
  readonly position: number;
  readonly at: Date;
  readonly events: readonly EventRecord[];
}

const batchesAtOnce = 50;

/** The logs that there are of these services, each with a view of the database that it is kept in. */
export type Logs = ReadonlyMap<string, Reader>;

export async function findLogs(databases: readonly Reader[], schemas: readonly string[]): Promise<Logs> {
  const logs = new Map<string, Reader>();
  for (const database of databases) {
    const found = await database.read<{ schema: string }>(present, [schemas]);
    for (const { schema } of found) logs.set(schema, database);
  }
  return logs;
}

/** Every batch of all logs, by time; within each log in its own order. */
export async function* readLogs(logs: Logs): AsyncGenerator<LoggedBatch> {
  const reads = [...logs].map(([schema, database]) => ({
    schema,
    database,
    batches: [] as LoggedBatch[],
    read: 0,
    more: true,
  }));
  for (;;) {
    for (const log of reads) {
      if (log.batches.length > 0 || !log.more) continue;
      log.batches = await readPage(log.database, log.schema, log.read);
      log.more = log.batches.length === batchesAtOnce;
      log.read = log.batches.at(-1)?.position ?? log.read;
    }
    const [next] = reads
      .filter(({ batches }) => batches.length > 0)
      .sort((a, b) => a.batches[0]!.at.getTime() - b.batches[0]!.at.getTime());
    if (next === undefined) return;
    yield next.batches.shift()!;
  }
}

/** Up to when retention has dropped something of any of these logs. */
export async function droppedBefore(logs: Logs): Promise<Date> {
  let latest = new Date(0);
  for (const [schema, database] of logs) {
    const horizon: Statement = {
      name: `orders_verify_${schema}_horizon`,
      text: `select at from ${schema}.log_base order by position desc limit 1`,
    };
    const [last] = await database.read<{ at: Date }>(horizon);
    if (last !== undefined && last.at > latest) latest = last.at;
  }
  return latest;
}

async function readPage(database: Reader, schema: string, after: number): Promise<LoggedBatch[]> {
  const page: Statement = {
    name: `orders_verify_${schema}_log`,
    text: `select position, at, events from ${schema}.log where position > $1 order by position limit $2`,
  };
  const rows = await database.read<{ position: number; at: Date; events: string }>(page, [
    after,
    batchesAtOnce,
  ]);
  return rows.map((row) => ({ ...row, schema, events: JSON.parse(row.events) }));
}

const present: Statement = {
  name: "orders_verify_present_logs",
  text: "select schema from unnest($1::text[]) as schema where to_regclass(schema || '.log') is not null",
};
