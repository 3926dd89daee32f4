export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after the `failures`-th failure in a row (1 or more): anywhere between nothing and a ceiling that
 * doubles each time, so that a thousand calls that failed together do not come back together.
 */
export function backoff(failures: number, { firstMs, maxMs }: BackoffLimits): number {
  return Math.round(Math.random() * Math.min(maxMs, firstMs * 2 ** (failures - 1)));
}
