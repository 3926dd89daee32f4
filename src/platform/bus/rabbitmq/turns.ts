import { setTimeout as pause } from "node:timers/promises";

const firstPauseMs = 50;
const longestPauseMs = 5_000;

/** How long to wait after the n-th failure in a row. */
export function pauseAfter(failures: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1));
}

/** Ends early once the signal says that nobody waits any more. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}

/** Resolves or fails with the work, and throws as soon as nobody waits for it any more. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let onAbort: (() => void) | undefined;
  const abortion = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([work, abortion]);
  } finally {
    signal.removeEventListener("abort", onAbort!);
  }
}

/** Does it again whenever it fails, after pauses that grow until there is progress. */
export async function persist(
  signal: AbortSignal,
  attempt: (onProgress: () => void) => Promise<void>,
  onFailure: (error: Error) => void,
): Promise<void> {
  let failures = 0;
  const onProgress = () => {
    failures = 0;
  };
  while (!signal.aborted) {
    try {
      await attempt(onProgress);
    } catch (error) {
      if (signal.aborted) return;
      onFailure(error as Error);
      failures++;
      await rest(pauseAfter(failures), signal);
    }
  }
}
