import { readdir, readFile } from "node:fs/promises";
import { clusterName, runsOn, send } from "./postmaster.ts";

/**
 * Ends the processes that a killed postmaster has left: one that computes does not notice for as long as its query
 * takes, and until then no new server may start. Only Linux tells us which they are; elsewhere they are waited for.
 */
export async function endOrphans(cluster: string): Promise<void> {
  if (process.platform !== "linux") return;
  const title = `postgres: ${clusterName(cluster)}: `;
  for (const pid of (await readdir("/proc")).map(Number).filter((number) => number > 0)) {
    const [command, stat] = await Promise.all([read(pid, "cmdline"), read(pid, "stat")]);
    if (!command.startsWith(title)) continue;
    const parent = Number(/\) \S (\d+) /.exec(stat)?.[1]);
    if (!(await runsOn(cluster, parent))) send(pid, "SIGKILL");
  }
}

/** Empty when the process has ended meanwhile. */
function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}
