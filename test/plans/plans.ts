import { expect } from "vitest";
import type { BatchHandler } from "../../src/platform/batch/road.ts";
import { type Transaction, transact } from "../../src/platform/batch/transaction.ts";
import type { Pool } from "../../src/platform/postgres/pool.ts";
import { type Reader, readerOf } from "../../src/platform/postgres/statement.ts";

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
  const recording = <Target extends { query: unknown }>(target: Target): Target =>
    new Proxy(target, {
      get(_, property) {
        const value = Reflect.get(target, property);
        if (property === "connect") return async () => recording(await pool.connect());
        if (property === "query") {
          return (query: string | Call, values: unknown[] = []) => {
            if (typeof query === "string") calls.push({ name: query, text: query, values });
            else calls.push({ ...query, values: query.values ?? [] });
            return value.call(target, query, values.length > 0 ? values : undefined);
          };
        }
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  await ask(recording(pool));
  return calls.filter(({ text }) => !/^(begin|commit|rollback)$/.test(text));
}

// ---- how it would find it ------------------------------------------------------------------------------------------

/** Neither reads a large table from end to end nor walks through much of it by an index; `name` is one of them. */
export async function expectNoScan(pool: Pool, recording: Promise<Call[]>, name?: string): Promise<void> {
  const calls = await recording;
  expect(calls.length).toBeGreaterThan(0);
  if (name !== undefined) expect(calls.map((call) => call.name)).toContain(name);
  for (const call of calls) expect(await scans(pool, call), call.name).toEqual([]);
}

interface PlanNode {
  readonly "Node Type": string;
  readonly Schema?: string;
  readonly "Relation Name"?: string;
  readonly "Plan Rows": number;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** The large tables of which PostgreSQL would read too much, and how. */
export async function scans(pool: Pool, { text, values }: Omit<Call, "name">): Promise<string[]> {
  // What a question looks at is counted; what a write would look at is what the planner expects.
  const isQuestion =
    /^\s*(select|with)\b/i.test(text) && !/\b(insert|update|delete)\b(?! skip| of)/i.test(withoutLocks(text));
  const options = isQuestion ? "analyze, timing off, verbose, format json" : "verbose, format json";
  const { rows } = await pool.query(`explain (${options}) ${text}`, values);
  const large = await largeTables(pool);
  return nodesOf(rows[0]["QUERY PLAN"][0].Plan)
    .filter((node) => large.includes(`${node.Schema}.${node["Relation Name"]}`))
    .filter((node) => node["Node Type"] === "Seq Scan" || rowsOf(node) > mostRows)
    .map((node) => `${node["Node Type"]} of ${node.Schema}.${node["Relation Name"]}: ${rowsOf(node)} rows`);
}

function withoutLocks(text: string): string {
  return text.replaceAll(/\bfor update\b/gi, "");
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

function rowsOf(node: PlanNode): number {
  const { "Actual Rows": rows, "Actual Loops": loops = 1 } = node;
  if (rows === undefined) return node["Plan Rows"];
  const { "Rows Removed by Filter": filtered = 0, "Rows Removed by Index Recheck": rechecked = 0 } = node;
  return Math.round((rows + filtered + rechecked) * loops);
}

/** As `schema.name`; of a log, its parts. */
export async function largeTables(pool: Pool): Promise<string[]> {
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

/** The updates of this table that the work came to. */
export async function updatesBy(pool: Pool, table: string, work: () => Promise<unknown>): Promise<Updates> {
  const before = await updatesOf(pool, table);
  await work();
  const after = await updatesOf(pool, table);
  return { all: after.all - before.all, inPlace: after.inPlace - before.inPlace };
}

async function updatesOf(pool: Pool, table: string): Promise<Updates> {
  await pool.query("select pg_stat_force_next_flush()"); // counts are published by the connection that made them
  const { rows } = await pool.query<Updates>(
    `select n_tup_upd as all, n_tup_hot_upd as "inPlace" from pg_stat_user_tables where relid = $1::regclass`,
    [table],
  );
  return rows[0]!;
}
