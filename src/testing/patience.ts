/**
 * How long a test waits for what has to come. Only what never comes uses it up, so it is far longer than the slowest
 * machine takes, and shorter than a test may take (vitest.config.ts).
 */
export const patience = { timeout: 180_000, interval: 50 };
