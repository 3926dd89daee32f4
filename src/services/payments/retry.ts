export interface RetryRules {
  readonly first_retry_ms: number;
  readonly longest_retry_ms: number;
}

/**
 * Full jitter: anywhere between now and a ceiling that doubles with each failure, so that a thousand payments that
 * failed together do not come back together. `chance` is from 0 to 1.
 */
export function retryAt(now: Date, failures: number, chance: number, rules: RetryRules): Date {
  const ceiling = Math.min(rules.longest_retry_ms, rules.first_retry_ms * 2 ** Math.min(failures, 20));
  return new Date(now.getTime() + Math.ceil(chance * ceiling));
}
