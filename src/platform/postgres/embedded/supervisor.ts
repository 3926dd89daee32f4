import { setTimeout as sleep } from "node:timers/promises";
import { bringUp, type Launch, type Server } from "./launch.ts";
import { runsOn, stopPostmaster } from "./postmaster.ts";

/** Keeps the server alive, on the same port, until the returned function stops it. */
export function supervise(launch: Launch, first: Server, report: (message: string) => void) {
  const stopping = new AbortController();
  const { signal } = stopping;
  let pid = first.pid;

  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => undefined);

  // An adopted server is not our child, so looking for its process is what works for both.
  async function watch(): Promise<void> {
    while (!signal.aborted) {
      await pause(250);
      if (!signal.aborted && !(await runsOn(launch.cluster, pid))) await restart();
    }
  }

  async function restart(): Promise<void> {
    report("PostgreSQL ended unexpectedly; starting it again …");
    for (let delayMs = 100; !signal.aborted; delayMs = Math.min(delayMs * 2, 5_000)) {
      try {
        pid = (await bringUp(launch, first.port, signal)).pid;
        return report("PostgreSQL is back.");
      } catch (error) {
        if (!signal.aborted) report(String(error));
      }
      await pause(delayMs);
    }
  }

  const watching = watch();
  let stopped: Promise<void> | undefined;
  return function stop(): Promise<void> {
    stopping.abort();
    stopped ??= watching.then(() => stopPostmaster(launch.cluster, pid));
    return stopped;
  };
}
