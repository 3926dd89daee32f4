import CircuitBreaker from "opossum";

export type BreakerState = "closed" | "half-open" | "open";

export interface BreakerOptions {
  readonly call_timeout_ms: number;
  /** How long it stays open before a single call tries again. */
  readonly reset_ms: number;
  onStateChange(state: BreakerState): void;
}

/** Fewer calls than these in ten seconds say little about the gateway. */
const volumeThreshold = 10;

/** Calls fail fast while the gateway cannot be reached. What it decides, a decline too, is an answer and no failure. */
export class Breaker {
  private readonly circuit: CircuitBreaker<[() => Promise<unknown>], unknown>;

  constructor({ call_timeout_ms, reset_ms, onStateChange }: BreakerOptions) {
    this.circuit = new CircuitBreaker((call: () => Promise<unknown>) => call(), {
      timeout: call_timeout_ms,
      resetTimeout: reset_ms,
      errorThresholdPercentage: 50,
      volumeThreshold,
      rollingCountTimeout: 10_000,
      // As many as there are; the worker bounds them. Percentiles of the latency are in the histogram.
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
    this.circuit.on("open", () => onStateChange("open"));
    this.circuit.on("halfOpen", () => onStateChange("half-open"));
    this.circuit.on("close", () => onStateChange("closed"));
  }

  get state(): BreakerState {
    if (this.circuit.halfOpen) return "half-open";
    return this.circuit.opened ? "open" : "closed";
  }

  call<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    return this.circuit.fire(work) as Promise<Answer>;
  }

  stop(): void {
    this.circuit.shutdown();
  }
}

/** The call was not made at all. */
export function isRefusedByBreaker(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "EOPENBREAKER" || code === "ESHUTDOWN";
}
