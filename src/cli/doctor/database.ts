import { readdir } from "node:fs/promises";
import { parse } from "node:path";
import pg from "pg";
import { migrationsFor } from "../../main.ts";
import type { Config } from "../../platform/config.ts";
import { InfrastructureError } from "../../platform/errors.ts";
import { countActiveKeys } from "../../platform/http/api-keys.ts";
import { assertMayListen } from "../../platform/http/auth.ts";
import { codeOf } from "../../platform/postgres/errors.ts";
import { type Check, doubtful, failed, fine } from "./check.ts";

/** What one server process takes at most: see the pools of the engine, of the bus and of the server. */
const connectionsPerServer = 28;

export async function checkDatabase(url: string, config: Config): Promise<Check[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    const why = (error as Error).message || codeOf(error);
    const advice = "Start it, or put HOLDFAST_DATABASE_URL right.";
    return [failed(`The database cannot be reached: ${why}.`, advice)];
  }
  try {
    return [
      await checkVersion(client),
      await checkDurability(client),
      await checkMigrations(client, config),
      await checkConnections(client),
      await checkClock(client),
      await checkKeys(client, config),
    ];
  } finally {
    await client.end();
  }
}

async function checkVersion(client: pg.Client): Promise<Check> {
  const version = await setting(client, "server_version");
  if (Number.parseInt(version, 10) >= 15) return fine(`PostgreSQL ${version} answers.`);
  return failed(`PostgreSQL ${version} is too old.`, "Use 15 or newer.");
}

async function checkDurability(client: pg.Client): Promise<Check> {
  const off: string[] = [];
  for (const name of ["fsync", "full_page_writes", "synchronous_commit"]) {
    if ((await setting(client, name)) === "off") off.push(name);
  }
  if (off.length === 0) return fine("What is committed is on disk.");
  const advice =
    "Turn it on in postgresql.conf: otherwise a crash can lose reservations that were acknowledged.";
  return failed(`${off.join(", ")}: off.`, advice);
}

async function checkMigrations(client: pg.Client, config: Config): Promise<Check> {
  let missing = 0;
  for (const { schema, name, directory } of migrationsFor(config)) {
    const files = (await readdir(directory)).map((file) => parse(file).name);
    const applied = await namesIn(client, `${schema}.migrations_${name}`);
    missing += files.filter((file) => !applied.includes(file)).length;
  }
  if (missing === 0) return fine("The tables are up to date.");
  return doubtful(
    `${missing} migrations are waiting.`,
    "`holdfast migrate` runs them; so does `holdfast start`.",
  );
}

async function namesIn(client: pg.Client, table: string): Promise<string[]> {
  try {
    return (await client.query(`select name from ${table}`)).rows.map(({ name }) => name);
  } catch (error) {
    if (codeOf(error) === undefinedTable) return [];
    throw error;
  }
}

const undefinedTable = "42P01";

async function checkConnections(client: pg.Client): Promise<Check> {
  const { rows } = await client.query(
    `select current_setting('max_connections')::int as allowed,
            count(*) filter (where application_name not like 'holdfast%')::int as taken
     from pg_stat_activity where backend_type = 'client backend'`,
  );
  const { allowed, taken } = rows[0];
  const what = `${allowed} connections are allowed, others use ${taken}, a server takes up to ${connectionsPerServer}`;
  if (allowed - taken >= connectionsPerServer) return fine(`${what}.`);
  return doubtful(`${what}.`, "Raise max_connections, or give Holdfast a PostgreSQL of its own.");
}

async function checkClock(client: pg.Client): Promise<Check> {
  const before = Date.now();
  const { rows } = await client.query("select clock_timestamp() as now");
  const seconds = (rows[0].now.getTime() - (before + Date.now()) / 2) / 1_000;
  if (Math.abs(seconds) < 2) return fine("The clocks of this machine and of the database agree.");
  return doubtful(
    `The database's clock differs by ${seconds.toFixed(1)} s.`,
    "Holds end by the database's clock. Let both machines follow NTP.",
  );
}

async function checkKeys(client: pg.Client, { host }: Config): Promise<Check> {
  let active = 0;
  try {
    active = await countActiveKeys(client);
  } catch (error) {
    if (codeOf(error) !== undefinedTable) throw error;
  }
  try {
    assertMayListen(host, active);
  } catch (error) {
    if (!(error instanceof InfrastructureError)) throw error;
    return failed("There is no API key.", error.message);
  }
  if (active > 0) return fine(`${active} API keys are active.`);
  return fine(`No API key exists: the server is open, to this machine alone (${host}).`);
}

async function setting(client: pg.Client, name: string): Promise<string> {
  const { rows } = await client.query("select current_setting($1) as value", [name]);
  return rows[0].value;
}
