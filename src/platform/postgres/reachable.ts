import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { InfrastructureError } from "../errors.ts";
import { codeOf, isTransient } from "./errors.ts";

const patienceMs = 30_000;
const oldestVersion = 150_000;

/** A database that is started together with us may need a moment; one that refuses us is not asked again. */
export async function untilReachable(url: string, onWaiting: (message: string) => void): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return assertSupported(await versionOf(url));
    } catch (error) {
      if (error instanceof InfrastructureError) throw error;
      if (!isTransient(error) || performance.now() > giveUpAt) throw unreachable(url, error);
      if (attempt === 0) {
        onWaiting(`${whereIs(url)} does not answer yet; waiting up to ${patienceMs / 1_000} s for it`);
      }
    }
    await sleep(Math.min(1_000, 50 * 2 ** attempt));
  }
}

async function versionOf(url: string): Promise<{ number: number; text: string }> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query(
      "select current_setting('server_version_num')::int as number, current_setting('server_version') as text",
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

function assertSupported({ number, text }: { number: number; text: string }): void {
  if (number >= oldestVersion) return;
  const message = `PostgreSQL ${text} is too old: Holdfast needs 15 or newer.`;
  throw new InfrastructureError("postgres.too_old", message, { retryable: false });
}

function unreachable(url: string, cause: unknown): InfrastructureError {
  const why = (cause as Error).message || codeOf(cause);
  const message = `${whereIs(url)} cannot be used: ${why}. Check HOLDFAST_DATABASE_URL.`;
  return new InfrastructureError("postgres.unreachable", message, { retryable: isTransient(cause), cause });
}

/** Without the user and the password. */
function whereIs(url: string): string {
  const { host, pathname } = new URL(url);
  return `The database ${host}${pathname}`;
}
