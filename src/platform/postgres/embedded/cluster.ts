import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  access,
  chown,
  constants,
  link,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { InfrastructureError } from "../../errors.ts";
import { type Account, handOver, runOn } from "./account.ts";
import type { Binaries } from "./binaries.ts";
import { isAlive } from "./postmaster.ts";

const run = promisify(execFile);

/** Brings the cluster into being if there is none, and makes sure that these binaries can run it. */
export async function prepareCluster(
  dataDir: string,
  cluster: string,
  binaries: Binaries,
  account: Account | undefined,
  report: (message: string) => void,
): Promise<void> {
  await removeHalfMade(dataDir);
  if ((await versionOf(cluster)) === undefined) {
    report("Creating the database (first start) …");
    await create(dataDir, cluster, binaries, account);
  }
  const version = await versionOf(cluster);
  if (version !== binaries.major) {
    throw new InfrastructureError(
      "postgres.version_mismatch",
      `${cluster} was made by PostgreSQL ${version ?? "of an unknown version"}, and this is PostgreSQL ` +
        `${binaries.major}. Dump it with the version that made it, or set HOLDFAST_DATA_DIR to another directory.`,
      { retryable: false },
    );
  }
  await handOver(cluster, account);
}

async function versionOf(cluster: string): Promise<string | undefined> {
  return (await readFile(join(cluster, "PG_VERSION"), "utf8").catch(() => undefined))?.trim();
}

/** Everything happens under a temporary name: whatever bears the real one is whole. */
async function create(dataDir: string, cluster: string, binaries: Binaries, account: Account | undefined) {
  const unfinished = await mkdtemp(join(dataDir, `postgres.new-${process.pid}-`));
  if (account) await chown(unfinished, account.uid, account.gid);
  const { dataDirectory, options } = runOn(unfinished, account);
  try {
    await run(
      binaries.initdb,
      [
        ...["-D", dataDirectory, "--username=postgres", "--encoding=UTF8", "--locale=C"],
        ...["--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
        ...["--auth-local=reject", "--auth-host=scram-sha-256"],
      ],
      options,
    );
    await createDatabase(binaries.postgres, dataDirectory, options, await ensurePassword(dataDir));
  } catch (cause) {
    await rm(unfinished, { recursive: true });
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InfrastructureError("postgres.create_failed", `The database could not be created: ${why}`, {
      retryable: false,
      cause,
    });
  }
  // Somebody else's finished cluster cannot be overwritten by this, and is as good as ours.
  await rename(unfinished, cluster).catch(() => rm(unfinished, { recursive: true }));
}

/** In single-user mode: the superuser needs no password then, and so nobody can log in as it. */
async function createDatabase(postgres: string, dataDirectory: string, options: object, password: string) {
  const single = run(postgres, ["--single", "-D", dataDirectory, "postgres"], options);
  single.child.stdin?.end(
    `CREATE ROLE holdfast LOGIN CREATEDB PASSWORD '${password}';\nCREATE DATABASE holdfast OWNER holdfast;\n`,
  );
  const { stderr } = await single;
  if (/ (ERROR|FATAL|PANIC): /.test(stderr)) throw new Error(stderr);
}

async function removeHalfMade(dataDir: string): Promise<void> {
  for (const entry of await readdir(dataDir)) {
    const maker = Number(/^postgres\.new-(\d+)-/.exec(entry)?.[1]);
    // In a restarted container the maker's pid is often our own.
    if (maker === process.pid || (maker > 0 && !isAlive(maker))) await removeWrittenTo(join(dataDir, entry));
  }
}

/** The initdb of a killed process writes on, or clears up by itself, until it notices: on a slow machine for many seconds. */
async function removeWrittenTo(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 50, retryDelay: 50 });
}

/** The password of the role holdfast; undefined before the first start. */
export async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    return await readFile(join(dataDir, "postgres.password"), "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw foreign(dataDir, cause);
  }
}

/** Told first and plainly: everything else would fail for the same reason, and say something obscure. */
export async function assertOurs(dataDir: string): Promise<void> {
  await access(dataDir, constants.W_OK).catch((cause) => Promise.reject(foreign(dataDir, cause)));
  await readPassword(dataDir);
}

function foreign(dataDir: string, cause: unknown): InfrastructureError {
  return new InfrastructureError(
    "postgres.not_owner",
    `${dataDir} belongs to another user, perhaps because it was first started as root. ` +
      "Start it as that user, or change the owner of all of it with chown -R.",
    { retryable: false, cause },
  );
}

async function ensurePassword(dataDir: string): Promise<string> {
  const unfinished = join(dataDir, `postgres.password.${process.pid}`);
  await writeFile(unfinished, randomBytes(24).toString("base64url"), { mode: 0o600 });
  // Unlike a rename this leaves a password alone that a start beside this one has already chosen.
  await link(unfinished, join(dataDir, "postgres.password")).catch(() => undefined);
  await rm(unfinished);
  return (await readPassword(dataDir)) as string;
}
