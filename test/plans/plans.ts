import { expect, vi } from "vitest";
import type { BatchHandler } from "../../src/platform/batch/road.ts";
import { type Transaction, transact } from "../../src/platform/batch/transaction.ts";
import type { Pool } from "../../src/platform/postgres/pool.ts";
import { type Reader, readerOf } from "../../src/platform/postgres/statement.ts";
import { patience } from "../../src/testing/patience.ts";

export interface Call {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

/** More rows than any single statement needs: the largest batch, or all that is open, several times. */
const mostRows = 25_000;
const largeFromBytes = 2_000_000;

// ---- what is asked of the database ---------------------------------------------------------------------------------

/** The statements of a batch with these commands; what it would write is told, and left out. */
export function handled<Command, Reply>(
  pool: Pool,
  handle: BatchHandler<Command, Reply>,
  commands: readonly Command[],
): Promise<Call[]> {
  return transact(pool, (tx) => recorded(tx, (transaction) => handle(transaction, commands)));
}

/** The statements of a question. */
export function asked(pool: Pool, ask: (database: Reader) => Promise<unknown>): Promise<Call[]> {
  return recorded(readerOf(pool), ask);
}

async function recorded(database: Reader, work: (tx: Transaction) => Promise<unknown>): Promise<Call[]> {
  const calls: Call[] = [];
  await work({
    read(statement, values = []) {
      calls.push({ ...statement, values });
      return database.read(statement, values);
    },
    write: (statement, values) => void calls.push({ ...statement, values }),
    proveBy() {},
    appended() {},
  });
  return calls;
}

/** The statements of whatever wants a pool of connections; these are carried out. */
export async function askedOfPool(pool: Pool, ask: (pool: Pool) => Promise<unknown>): Promise<Call[]> {
  const calls: Call[] = [];
  await ask(listenedTo(pool, calls));
  return calls.filter(({ text }) => !/^(begin|commit|rollback)$/.test(text));
}

/** A pool, or a connection of it, that takes down what it is asked. */
function listenedTo<Target extends object>(target: Target, calls: Call[]): Target {
  return new Proxy(target, {
    get(_, property) {
      const method = Reflect.get(target, property) as (...args: unknown[]) => unknown;
      if (property === "connect") {
        return async () => listenedTo((await method.call(target)) as object, calls);
      }
      if (property !== "query") return typeof method === "function" ? method.bind(target) : method;
      return (query: string | Call, values?: unknown[]) => {
        if (typeof query === "string") calls.push({ name: query, text: query, values: values ?? [] });
        else calls.push({ ...query, values: query.values ?? [] });
        return method.call(target, query, values);
      };
    },
  });
}

// ---- how it would find it ------------------------------------------------------------------------------------------

/**
 * Neither reads a large table from end to end nor walks through much of it by an index; `name` is one of the statements.
 * A table that is `small` wherever all goes well may be read.
 */
export async function expectNoScan(
  pool: Pool,
  recording: Promise<Call[]>,
  { name, most = mostRows, small = [] }: { name?: string; most?: number; small?: readonly string[] } = {},
): Promise<void> {
  const calls = await recording;
  expect(calls.length).toBeGreaterThan(0);
  if (name !== undefined) expect(calls.map((call) => call.name)).toContain(name);
  for (const call of calls) {
    const found = await scans(pool, call, most);
    expect(
      found.filter((scan) => !small.some((table) => scan.includes(` of ${table}:`))),
      call.name,
    ).toEqual([]);
  }
}

interface PlanNode {
  readonly "Node Type": string;
  readonly Schema?: string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** The large tables of which PostgreSQL reads too much, and how. It is carried out to see that, and taken back. */
export async function scans(
  pool: Pool,
  { text, values }: Omit<Call, "name">,
  most = mostRows,
): Promise<string[]> {
  const client = await pool.connect();
  try {
    const large = await largeTables(client);
    await client.query("begin");
    const { rows } = await client.query(
      `explain (analyze, timing off, verbose, format json) ${text}`,
      values,
    );
    return nodesOf(rows[0]["QUERY PLAN"][0].Plan)
      .filter((node) => large.includes(`${node.Schema}.${node["Relation Name"]}`))
      .filter((node) => node["Node Type"] === "Seq Scan" || rowsOf(node) > most)
      .map((node) => `${node["Node Type"]} of ${node.Schema}.${node["Relation Name"]}: ${rowsOf(node)} rows`);
  } finally {
    await client.query("rollback");
    client.release();
  }
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** So many were looked at, whether they were wanted or not. */
function rowsOf(node: PlanNode): number {
  const { "Rows Removed by Filter": filtered = 0, "Rows Removed by Index Recheck": rechecked = 0 } = node;
  return Math.round((node["Actual Rows"] + filtered + rechecked) * node["Actual Loops"]);
}

/** As `schema.name`; of a log, its parts. */
export async function largeTables(pool: Pick<Pool, "query">): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select nspname || '.' || relname as name from pg_class join pg_namespace n on n.oid = relnamespace
     where relkind = 'r' and nspname not like 'pg\\_%' and pg_relation_size(pg_class.oid) > $1 order by 1`,
    [largeFromBytes],
  );
  return rows.map(({ name }) => name);
}

// ---- what an update costs ------------------------------------------------------------------------------------------

export interface Updates {
  readonly all: number;
  /** Those that wrote no index. */
  readonly inPlace: number;
}

/**
 * The updates of this table that the work came to. A page is cleared for them of the versions that nobody can see any
 * more; so whoever began before those went is waited for, in other databases of the server too.
 */
export async function updatesBy(pool: Pool, table: string, work: () => Promise<unknown>): Promise<Updates> {
  await untilPast(pool);
  const before = await updatesOf(pool, table);
  await work();
  const after = await updatesOf(pool, table);
  return { all: after.all - before.all, inPlace: after.inPlace - before.inPlace };
}

/** Old versions of rows can be cleared away once nobody sees them any more, on the whole server. */
export async function untilPast(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ tx: string }>("select pg_current_xact_id()::text as tx");
  const { tx } = rows[0]!;
  await vi.waitFor(async () => expect(await isPast(pool, tx)).toBe(true), patience);
}

async function updatesOf(pool: Pool, table: string): Promise<Updates> {
  await pool.query("select pg_stat_force_next_flush()"); // counts are published by the connection that made them
  const { rows } = await pool.query<Updates>(
    `select n_tup_upd as all, n_tup_hot_upd as "inPlace" from pg_stat_user_tables where relid = $1::regclass`,
    [table],
  );
  return rows[0]!;
}

/** Whether everybody sees what this transaction has left. */
async function isPast(pool: Pool, tx: string): Promise<boolean> {
  const { rows } = await pool.query<{ past: boolean }>(
    `select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8
            and not exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                            and backend_xmin is not null) as past`,
    [tx],
  );
  return rows[0]!.past;
}
