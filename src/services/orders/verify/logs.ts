import type { EventRecord } from "../../../platform/log/append.ts";
import type { Reader, Statement } from "../../../platform/postgres/statement.ts";

export interface LoggedBatch {
  readonly schema: string;
  readonly position: number;
  readonly at: Date;
  readonly events: readonly EventRecord[];
}

const batchesAtOnce = 50;

/** Of several logs every batch that this view of the database holds, by time; within each log in its own order. */
export async function* readLogs(database: Reader, schemas: readonly string[]): AsyncGenerator<LoggedBatch> {
  const logs = schemas.map((schema) => ({ schema, batches: [] as LoggedBatch[], read: 0, more: true }));
  for (;;) {
    for (const log of logs) {
      if (log.batches.length > 0 || !log.more) continue;
      log.batches = await readPage(database, log.schema, log.read);
      log.more = log.batches.length === batchesAtOnce;
      log.read = log.batches.at(-1)?.position ?? log.read;
    }
    const [next] = logs
      .filter(({ batches }) => batches.length > 0)
      .sort((a, b) => a.batches[0]!.at.getTime() - b.batches[0]!.at.getTime());
    if (next === undefined) return;
    yield next.batches.shift()!;
  }
}

/** Up to when retention has dropped something of any of these logs. */
export async function droppedBefore(database: Reader, schemas: readonly string[]): Promise<Date> {
  let latest = new Date(0);
  for (const schema of schemas) {
    const horizon: Statement = {
      name: `orders_verify_${schema}_horizon`,
      text: `select at from ${schema}.log_base order by position desc limit 1`,
    };
    const [last] = await database.read<{ at: Date }>(horizon);
    if (last !== undefined && last.at > latest) latest = last.at;
  }
  return latest;
}

/** The services whose logs are not in this database. */
export async function missingLogs(database: Reader, schemas: readonly string[]): Promise<string[]> {
  const rows = await database.read<{ schema: string }>(missing, [schemas]);
  return rows.map(({ schema }) => schema);
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

const missing: Statement = {
  name: "orders_verify_missing_logs",
  text: "select schema from unnest($1::text[]) as schema where to_regclass(schema || '.log') is null",
};
