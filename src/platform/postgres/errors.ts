import type pg from "pg";

const connectionErrors = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
]);

const transientStates = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "55P03", // lock_not_available
  "57014", // query_canceled, by our own statement_timeout
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "25P03", // idle_in_transaction_session_timeout
  "53300", // too_many_connections
]);

/** Two processes inserted the same new key at once: the second one's next try will find the row. */
export const uniqueViolation = "23505";
export const lockTimeout = "55P03";

export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/** No session came about, so nothing was sent, and whatever the reason, nobody is to blame for it. */
export class NoSession extends Error {
  readonly code: string | undefined;

  constructor(cause: Error) {
    super(cause.message, { cause });
    this.code = codeOf(cause);
  }
}

/** The connection is gone, so what happened to the last statement is not known. */
export function isConnectionLoss(error: unknown): boolean {
  if (error instanceof NoSession) return true;
  const code = codeOf(error);
  if (code !== undefined)
    return connectionErrors.has(code) || code.startsWith("08") || code === "57P01" || code === "57P02";
  // The driver reports a closed socket, and a client or a pool that could not connect in time, by message alone.
  return (
    error instanceof Error &&
    /^(Connection terminated|timeout ex(pired|ceeded when trying to connect)|Client has encountered a connection error)/.test(
      error.message,
    )
  );
}

/**
 * The schema whose log had no partition for what was appended: there is room again once one is made. PostgreSQL calls
 * that a check violation, as it does a broken constraint, which has a name.
 */
export function schemaOfFullLog(error: unknown): string | undefined {
  const { code, schema, table, constraint } = (error ?? {}) as Partial<pg.DatabaseError>;
  const isFull = code === "23514" && table === "log" && constraint === undefined;
  return isFull ? schema : undefined;
}

/** The very same transaction may succeed if it is run again. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error);
  return (
    isConnectionLoss(error) ||
    (code !== undefined && transientStates.has(code)) ||
    schemaOfFullLog(error) !== undefined
  );
}
