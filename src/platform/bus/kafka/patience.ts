import { setTimeout as sleep } from "node:timers/promises";
import { isWorthTrying, refused, unreachable } from "./errors.ts";

const longestPauseMs = 2_000;

/** 50 ms, and twice as long each time. */
export function pauseAfter(failures: number, longestMs = longestPauseMs): number {
  return Math.min(longestMs, 25 * 2 ** Math.min(failures, 20));
}

/**
 * Tries until it works, until the broker says that it never will, or until the time is over: then what is under way
 * is left to itself, so `work` must take that.
 */
export async function patiently<T>(deadline: number, work: () => Promise<T>): Promise<T> {
  const clock = new AbortController();
  const timeIsUp = sleep(Math.max(0, deadline - Date.now()), undefined, { signal: clock.signal });
  timeIsUp.catch(() => undefined);
  let last: unknown = new Error("no answer in time");
  try {
    for (let failures = 1; ; failures++) {
      const outcome = await Promise.race([outcomeOf(work), timeIsUp]);
      if (outcome === undefined) throw unreachable(last);
      if ("value" in outcome) return outcome.value;
      last = outcome.error;
      if (!isWorthTrying(last)) throw refused(last);
      const pause = pauseAfter(failures);
      if (Date.now() + pause >= deadline) throw unreachable(last);
      await sleep(pause);
    }
  } finally {
    clock.abort();
  }
}

async function outcomeOf<T>(work: () => Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}
