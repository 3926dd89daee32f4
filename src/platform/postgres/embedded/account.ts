import { chown, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** The operating-system user that PostgreSQL runs as where this process is root, which PostgreSQL refuses. */
export interface Account {
  uid: number;
  gid: number;
}

/** The owner of a cluster that exists, else a system user that is there already. Undefined: run as ourselves. */
export async function accountFor(cluster: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(cluster).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const users = await readFile("/etc/passwd", "utf8");
  return find(users, "postgres") ?? find(users, "nobody") ?? { uid: 65534, gid: 65534 };
}

function find(users: string, name: string): Account | undefined {
  const fields = users
    .split("\n")
    .find((line) => line.startsWith(`${name}:`))
    ?.split(":");
  // macOS gives nobody the id -2; spawn and chown want it unsigned.
  return fields && { uid: Number(fields[2]) >>> 0, gid: Number(fields[3]) >>> 0 };
}

/** PostgreSQL accepts only a cluster that its own user owns, and `cp -r` by root makes one that root owns. */
export async function handOver(cluster: string, account: Account | undefined): Promise<void> {
  if (account === undefined || (await stat(cluster)).uid === account.uid) return;
  for (const entry of ["", ...(await readdir(cluster, { recursive: true }))]) {
    await chown(join(cluster, entry), account.uid, account.gid);
  }
}

/** How to start a PostgreSQL program so that it finds its cluster, and nothing of our environment. */
export function runOn(cluster: string, account: Account | undefined) {
  const { PATH, SystemRoot } = process.env;
  return {
    // The account may not be allowed to walk the path (a 0700 home), but we are, and a working directory is
    // inherited: PostgreSQL names its cluster through it, and the data stays where its owner looks for it.
    dataDirectory: account !== undefined && process.platform === "linux" ? "/proc/self/cwd" : cluster,
    options: { cwd: cluster, env: { PATH, SystemRoot, LC_ALL: "C", TZ: "UTC" }, ...account },
  };
}
