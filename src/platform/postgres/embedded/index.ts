import { mkdir, realpath, stat } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { InfrastructureError } from "../../errors.ts";
import { accountFor } from "./account.ts";
import { packagedPrograms, usableBinaries } from "./binaries.ts";
import { assertOurs, prepareCluster, readPassword } from "./cluster.ts";
import { bringUp } from "./launch.ts";
import { findPostmaster } from "./postmaster.ts";
import { supervise } from "./supervisor.ts";

export interface EmbeddedPostgres {
  /** Stays the same when the server is restarted after a crash. */
  readonly url: string;
  /** It ran already, left over from a killed process or shared with a living one. */
  readonly adopted: boolean;
  stop(): Promise<void>;
}

/** An eighth of the memory that we may use, and no more than 1 GB: the database shares the machine with its clients. */
function sharedBuffersMb(): number {
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
  return Math.round(Math.min(1_024, Math.max(128, memory / 2 ** 20 / 8)));
}

const ourSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "100",
  shared_buffers: `${sharedBuffersMb()}MB`,
  // Few checkpoints and compressed page images: after a checkpoint every touched page goes to the log whole.
  checkpoint_timeout: "15min",
  max_wal_size: "4GB",
  wal_compression: "on",
  jit: "off",
};

/**
 * Starts the PostgreSQL whose data lives in `dataDir`, or adopts the one that runs on it, and restarts it should it
 * crash. `settings` are PostgreSQL's own and go before ours.
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  onProgress?: (message: string) => void;
  settings?: Record<string, string>;
}): Promise<EmbeddedPostgres> {
  const report = options.onProgress ?? (() => undefined);
  await makeDataDir(options.dataDir);
  const dataDir = await realpath(options.dataDir);
  const cluster = join(dataDir, "postgres");
  await assertOurs(dataDir);
  const account = await accountFor(cluster);
  const binaries = await usableBinaries(await packagedPrograms(), dataDir, account);
  await prepareCluster(dataDir, cluster, binaries, account, report);

  const launch = {
    cluster,
    account,
    postgres: binaries.postgres,
    logFile: join(dataDir, "postgres.log"),
    settings: { ...ourSettings, ...options.settings },
  };
  const server = await bringUp(launch);
  const stop = supervise(launch, server, report);
  const url = urlOf(await readPassword(dataDir), server.port);
  try {
    await connect(url);
  } catch (error) {
    await stop();
    throw error;
  }
  if (server.adopted) report(`Using the PostgreSQL that is running already (process ${server.pid}).`);
  return { url, adopted: server.adopted, stop };
}

async function makeDataDir(path: string): Promise<void> {
  try {
    await makeDirectory(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `The data directory ${path} cannot be made: ${why}. Choose another with HOLDFAST_DATA_DIR.`;
    throw new InfrastructureError("postgres.no_data_dir", message, { retryable: false, cause });
  }
}

/** Step by step: where nothing can be made, as in /proc, mkdir with `recursive` tries for ever. */
async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  if (parent !== path && !(await isDirectory(parent))) await makeDirectory(parent);
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await isDirectory(path))) throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** The url of the server that runs on this data directory now, for commands beside a running server. */
export async function findRunningPostgres(dataDir: string): Promise<string | undefined> {
  const path = await realpath(dataDir).catch(() => undefined);
  if (path === undefined) return undefined;
  const running = await findPostmaster(join(path, "postgres"));
  return running?.status === "ready" ? urlOf(await readPassword(path), running.port) : undefined;
}

function urlOf(password: string | undefined, port: number): string {
  return `postgres://holdfast:${password}@127.0.0.1:${port}/holdfast`;
}

/** Proves that the server answers and that the password is its own; it may be recovering, or full for a moment. */
async function connect(url: string): Promise<void> {
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
    // A server that is shut down at this moment would otherwise raise its farewell as an uncaught error.
    client.on("error", () => undefined);
    try {
      await client.connect();
      return await client.end();
    } catch (cause) {
      if (Date.now() > giveUpAt || wrongCredentials.test(String((cause as { code?: unknown }).code))) {
        const why = cause instanceof Error ? cause.message : String(cause);
        const message = `The embedded PostgreSQL runs, but does not let us in: ${why}`;
        throw new InfrastructureError("postgres.no_answer", message, { retryable: false, cause });
      }
    }
    await sleep(100);
  }
}

/** SQLSTATE classes: invalid authorization, and a database that does not exist. */
const wrongCredentials = /^(28|3D)/;
