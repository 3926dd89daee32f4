import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** What a running PostgreSQL says of itself in its postmaster.pid. */
export interface Postmaster {
  pid: number;
  port: number;
  /** starting, ready, stopping; empty in the first moments */
  status: string;
}

const run = promisify(execFile);

/** The postmaster that is running on this cluster now, if any. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const found = await readPidFile(cluster);
  return found && (await runsOn(cluster, found.pid)) ? found : undefined;
}

/** What postmaster.pid says, be it true or left behind by a crash. */
export async function readPidFile(cluster: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(cluster, "postmaster.pid"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split("\n");
  return { pid: Number(lines[0]), port: Number(lines[3]), status: lines[7]?.trim() ?? "" };
}

/** PostgreSQL shows it in the title of each of its processes. Copies of a cluster differ in it. */
export function clusterName(cluster: string): string {
  return `holdfast-${createHash("sha256").update(cluster).digest("hex").slice(0, 16)}`;
}

/** The last argument of a postmaster, to know it by: after a crash its pid may belong to another process. */
export function clusterMark(cluster: string): string {
  return `cluster_name=${clusterName(cluster)}`;
}

export async function runsOn(cluster: string, pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform === "win32") return true;
  const command =
    process.platform === "linux"
      ? await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")
      : await run("ps", ["-ww", "-o", "command=", "-p", String(pid)]).then(
          ({ stdout }) => stdout,
          () => "",
        );
  return command.replace(/[\0\n]+$/, "").endsWith(clusterMark(cluster));
}

/** PostgreSQL takes any living process with the pid in its file for itself, and would refuse to start. */
export async function discardStalePidFile(cluster: string, stale: Postmaster): Promise<void> {
  if (isAlive(stale.pid)) await rm(join(cluster, "postmaster.pid"), { force: true });
}

/** Fast shutdown, which ends open transactions; after 30 seconds an immediate one, which recovers at the next start. */
export async function stopPostmaster(cluster: string, pid: number): Promise<void> {
  for (const signal of ["SIGINT", "SIGQUIT"] as const) {
    if (!(await runsOn(cluster, pid))) return;
    send(pid, signal);
    const giveUpAt = Date.now() + 30_000;
    while (Date.now() < giveUpAt && (await runsOn(cluster, pid))) await sleep(20);
  }
}

/** A process that has ended by itself meanwhile is as good as one that obeys. */
export function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    // 0 and NaN would mean this very process group, or throw.
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
