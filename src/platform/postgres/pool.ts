import pg from "pg";
import { NoSession } from "./errors.ts";

export type Pool = pg.Pool;

const int8 = 20;
const int8Array = 1016;
const timestamptz = 1184;

/**
 * Every bigint of ours (versions, positions, counts) stays far below 2^53, so it is read as a number.
 * xid8 stays text: it is only compared, and only by PostgreSQL.
 */
const parsers: Record<number, (text: string) => unknown> = {
  [int8]: Number,
  [timestamptz]: parseMoment,
  [int8Array]: (text) => text.slice(1, -1).split(",").filter(Boolean).map(Number),
};

const parseAnyMoment = pg.types.getTypeParser(timestamptz);

/** Sessions of ours speak UTC (see below), and what they say is then quickly read. */
function parseMoment(text: string): unknown {
  if (!text.endsWith("+00") || text.charCodeAt(10) !== 0x20) return parseAnyMoment(text);
  return new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`);
}

const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    parsers[oid] ?? pg.types.getTypeParser(oid, format as "text")) as typeof pg.types.getTypeParser,
};

/**
 * plan_cache_mode: a generic plan that was cached while a table was empty scans it for ever after.
 * The timeouts bound what one transaction may cost the others: readers of the log wait for the oldest writer.
 */
const sessionSettings = {
  plan_cache_mode: "force_custom_plan",
  lock_timeout: "10s",
  statement_timeout: "60s",
  idle_in_transaction_session_timeout: "60s",
  timezone: "UTC",
};

/**
 * Tells why there is no session in a way of its own: a database that is closed for a restore refuses with the code of an
 * ordinary mistake.
 */
class Session extends pg.Client {
  override connect(): Promise<pg.Client>;
  override connect(callback: Connected): void;
  override connect(callback?: Connected): unknown {
    if (callback === undefined) {
      return super.connect().catch((error) => Promise.reject(new NoSession(error)));
    }
    const told = callback as (error: Error | null, client?: pg.Client) => void;
    return super.connect((error: Error | null, client?: pg.Client) =>
      told(error && new NoSession(error), client),
    );
  }
}

type Connected = ((error: Error) => void) | ((error: null, client: pg.Client) => void);

export function createPool(url: string, options: { max: number; name: string }): Pool {
  const pool = new pg.Pool({
    connectionString: url,
    Client: Session,
    max: options.max,
    application_name: options.name,
    pipeline: true,
    types,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    options: Object.entries(sessionSettings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(" "),
  });
  // A connection that breaks while it is idle, or between two statements, is reported to whoever uses it next;
  // without these listeners Node would end the process over it.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}
