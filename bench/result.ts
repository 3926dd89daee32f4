/** What a benchmark found: rates a second, times in milliseconds, a ratio against the baseline of the same run. */
export interface Result {
  readonly rate: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly baseline_rate: number;
  readonly ratio: number;
  /** Units that were promised and are not there; absent where nothing is sold. */
  readonly oversold?: number;
  readonly [more: string]: number | string | undefined;
}
