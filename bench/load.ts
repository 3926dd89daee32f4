export interface Measured {
  readonly rate: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** All calls, the ones that warmed up included. */
  readonly calls: number;
}

export interface Load {
  readonly callers: number;
  readonly seconds: number;
  readonly warmUpSeconds?: number;
}

/**
 * Each caller makes its next call when the one before is answered. What ends after the warm-up counts, whenever it began:
 * were only those counted that also began then, as many would be missing as end within the time that one call takes.
 */
export async function run(load: Load, call: (n: number) => Promise<void>): Promise<Measured> {
  const { callers, seconds, warmUpSeconds = 1 } = load;
  const begin = performance.now() + warmUpSeconds * 1_000;
  const end = begin + seconds * 1_000;
  const durations: number[] = [];
  let calls = 0;
  const caller = async () => {
    for (let now = performance.now(); now < end; ) {
      const began = now;
      await call(calls++);
      now = performance.now();
      if (now >= begin && now <= end) durations.push(now - began);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { ...summary(durations, seconds), calls };
}

export function summary(durations: number[], seconds: number): Omit<Measured, "calls"> {
  const sorted = Float64Array.from(durations).sort();
  const at = (share: number) =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { rate: Math.round(sorted.length / seconds), p50_ms: at(0.5), p99_ms: at(0.99) };
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
