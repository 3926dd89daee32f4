import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { InfrastructureError } from "../../errors.ts";
import { type Account, runOn } from "./account.ts";
import { endOrphans } from "./orphans.ts";
import {
  clusterMark,
  discardStalePidFile,
  findPostmaster,
  type Postmaster,
  readPidFile,
} from "./postmaster.ts";

export interface Launch {
  cluster: string;
  postgres: string;
  account: Account | undefined;
  logFile: string;
  settings: Record<string, string>;
}

export interface Server {
  pid: number;
  port: number;
  adopted: boolean;
}

const patienceMs = 120_000;

/**
 * Adopts the server that runs on this cluster, or starts one. PostgreSQL's own interlock lets only one through of
 * several starts at once; the others come round again and adopt it.
 */
export async function bringUp(launch: Launch, port?: number, signal?: AbortSignal): Promise<Server> {
  const giveUpAt = Date.now() + patienceMs;
  let obstacle: string;
  do {
    signal?.throwIfAborted();
    const running = await findPostmaster(launch.cluster);
    if (running?.status === "ready" && running.port === (port ?? running.port)) {
      return { pid: running.pid, port: running.port, adopted: true };
    }
    if (running) {
      obstacle = `Process ${running.pid} is ${running.status || "starting"} on port ${running.port}.`;
    } else {
      const left = await readPidFile(launch.cluster);
      if (left) {
        await discardStalePidFile(launch.cluster, left);
        await endOrphans(launch.cluster);
      }
      const started = await start(launch, port || left?.port || (await freePort()));
      if (typeof started === "object") return { ...started, adopted: false };
      obstacle = started;
    }
    await sleep(100);
  } while (Date.now() < giveUpAt);
  throw failed(`PostgreSQL did not become ready in ${patienceMs / 1000} s. ${obstacle}`, true);
}

/** The server when it is ready, or what kept it from starting this time. */
async function start(launch: Launch, port: number): Promise<Postmaster | string> {
  const { dataDirectory, options } = runOn(launch.cluster, launch.account);
  const settings = { ...launch.settings, port: String(port) };
  const log = await open(launch.logFile, "a", 0o600);
  const before = (await log.stat()).size;
  // Detached: a Ctrl-C in the terminal must reach us alone, who still need the database to shut down well.
  const child = spawn(
    launch.postgres,
    [
      ...["-D", dataDirectory],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ...["-c", clusterMark(launch.cluster)],
    ],
    { ...options, detached: true, windowsHide: true, stdio: ["ignore", log.fd, log.fd] },
  );
  await once(child, "spawn").finally(() => log.close());
  while (child.exitCode === null && child.signalCode === null) {
    const found = await readPidFile(launch.cluster);
    if (found?.pid === child.pid && found?.status === "ready") return found;
    await sleep(10);
  }
  const said = (await readFile(launch.logFile)).subarray(before).toString();
  if (passing.test(said)) return said.trim();
  throw failed(`PostgreSQL does not start; ${launch.logFile} says:\n${said.trim()}`, false);
}

/** A taken port, another start on this cluster, and processes of a killed postmaster that are still ending. */
const passing =
  /could not create any TCP\/IP sockets|lock file "postmaster.pid"|pre-existing shared memory block/;

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function failed(message: string, retryable: boolean): InfrastructureError {
  return new InfrastructureError("postgres.start_failed", message, { retryable });
}
