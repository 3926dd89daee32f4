import type { Pool } from "../../platform/postgres/pool.ts";

const schemas = ["catalog", "inventory", "orders", "payments", "fulfillment", "carts"];

/** A run begins as the first one did, without the price of a database of its own. */
export async function emptyTables(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname = any($1) and tablename not like 'migrations%' and tablename not like 'log_from_%'`,
    [schemas],
  );
  await pool.query(`truncate ${rows.map(({ name }) => name).join(", ")}`);
  await pool.query(`select ${schemas.map((s) => `setval('${s}.log_position', 1, false)`).join(", ")}`);
}

/** Table → what is in it. Logs, cursors and dead letters belong to the bus. */
export async function contents(pool: Pool, of = schemas): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname = any($1) and tablename not like 'migrations%' and tablename not like 'log%'
       and tablename not in ('cursors', 'dead_letters') order by 1`,
    [of],
  );
  const each = rows.map(
    ({ name }) => `select '${name}' as name, ${name.split(".")[1]}::text as row from ${name}`,
  );
  const found = await pool.query<{ name: string; row: string }>(`${each.join(" union all ")} order by 1, 2`);
  const tables: Record<string, string> = {};
  for (const { name, row } of found.rows) tables[name] = `${tables[name] ?? ""}${row}\n`;
  return tables;
}

/** Commands and events that a service could not carry out. */
export async function deadLetters(pool: Pool): Promise<string[]> {
  const each = schemas.map(
    (s) => `select '${s}: ' || command::text || ' ' || error as letter from ${s}.dead_letters`,
  );
  const { rows } = await pool.query<{ letter: string }>(each.join(" union all "));
  return rows.map(({ letter }) => letter);
}

export function changes(before: Record<string, string>, after: Record<string, string>): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => `${name} has changed: ${difference(before[name] ?? "", after[name] ?? "")}`);
}

function difference(before: string, after: string): string {
  const known = new Set(before.split("\n"));
  const now = new Set(after.split("\n"));
  const gone = [...known].filter((row) => !now.has(row));
  const come = [...now].filter((row) => !known.has(row));
  return `\n    - ${gone.join("\n    - ")}\n    + ${come.join("\n    + ")}`;
}
