import CircuitBreaker from "opossum";
import { InfrastructureError } from "../errors.ts";
import { Degraded, type Probe } from "../http/health.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Registry } from "../telemetry/metrics.ts";
import { Deadlines } from "./deadlines.ts";
import { outsideMetrics } from "./metrics.ts";
import { Turns } from "./turns.ts";

export interface OutsideOptions {
  /** Such as `gateway` or `carrier`: the label of its figures, and its name in `/health`. */
  readonly name: string;
  /** Calls at a time; the others wait for their turn. */
  readonly concurrency: number;
  /** How long a call may take once it has begun. */
  readonly timeoutMs: number;
  readonly breaker: {
    /** Opens when more than this share of the calls of the last 10 s have failed… */
    readonly failurePercent: number;
    /** …and there were at least so many. */
    readonly minCalls: number;
    /** How long nobody is called; then one call is let through, and its outcome decides. */
    readonly openMs: number;
  };
  readonly registry: Registry;
  readonly logger: Logger;
}

export type BreakerState = "closed" | "half_open" | "open";

/** Somebody who is not us: a bank, a carrier. Whoever calls sees to trying again, durably; nothing is retried here. */
export interface Outside {
  /**
   * What the outside answers is a value, a "no" too. Everything that is thrown counts as a failure of the outside and is
   * handed on as it is. Otherwise this throws `NotCalled`, or `outside.timed_out`: then the call may have had its effect,
   * and `signal` has told the work to end.
   */
  call<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  readonly state: BreakerState;
  /** After the outside was given up on, when it answers again. It is found out by a call, so somebody has to try. */
  onClose(listener: () => void): void;
  readonly probe: Probe;
  /** Sends away what waits for its turn, and lets the calls that have begun come to their end. */
  stop(): Promise<void>;
}

/** Nothing was sent: not now, or not any more. */
export class NotCalled extends InfrastructureError {}

export function createOutside(options: OutsideOptions): Outside {
  const { name, concurrency, timeoutMs, registry, logger } = options;
  const metrics = outsideMetrics(registry, name);
  const turns = new Turns(concurrency);
  const deadlines = new Deadlines(timeoutMs, () => timedOut(name, timeoutMs));
  const breaker = new CircuitBreaker(
    (work: (signal: AbortSignal) => Promise<unknown>) => deadlines.keep(work),
    {
      timeout: false, // would take a timer for each call
      errorThresholdPercentage: options.breaker.failurePercent,
      volumeThreshold: options.breaker.minCalls,
      resetTimeout: options.breaker.openMs,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    },
  );
  const listeners: (() => void)[] = [];
  let stopped = false;
  watch();

  function watch(): void {
    let given = false;
    breaker.on("open", () => {
      metrics.state("open");
      // Not again for each time that it was tried in vain.
      if (!given)
        logger.warn({ outside: name }, "too many calls to the outside fail; it is left alone for now");
      given = true;
    });
    breaker.on("halfOpen", () => metrics.state("half_open"));
    breaker.on("close", () => {
      given = false;
      metrics.state("closed");
      logger.info({ outside: name }, "the outside answers again");
      // Not from within the breaker: it would take a listener's error for a failure of the call.
      for (const listener of listeners) queueMicrotask(listener);
    });
  }

  function stateNow(): BreakerState {
    if (breaker.opened) return "open";
    return breaker.halfOpen ? "half_open" : "closed";
  }

  async function carryOut<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      const answer = await breaker.fire(work);
      metrics.called("answered", started);
      return answer as T;
    } catch (error) {
      if (CircuitBreaker.isOurError(Object(error))) {
        metrics.called("not_called", started);
        throw leftAlone(name);
      }
      metrics.called(isTimeout(error) ? "timed_out" : "failed", started);
      throw error;
    }
  }

  return {
    async call(work) {
      if (stopped) throw stopping(name);
      const turn = turns.take();
      if (turn !== undefined) await turn;
      try {
        return await carryOut(work);
      } finally {
        turns.pass();
      }
    },
    get state() {
      return stateNow();
    },
    onClose(listener) {
      listeners.push(listener);
    },
    probe: {
      name,
      async check() {
        const breaker = stateNow();
        const details = { breaker, calls_in_flight: turns.underWay, calls_waiting: turns.waiting };
        return breaker === "closed" ? details : new Degraded(details);
      },
    },
    async stop() {
      stopped = true;
      await turns.end(() => stopping(name));
      breaker.shutdown();
      deadlines.stop();
    },
  };
}

function timedOut(name: string, timeoutMs: number): InfrastructureError {
  return new InfrastructureError("outside.timed_out", `${name} has not answered within ${timeoutMs} ms`, {
    retryable: true,
  });
}

function isTimeout(error: unknown): boolean {
  return error instanceof InfrastructureError && error.code === "outside.timed_out";
}

function leftAlone(name: string): NotCalled {
  return new NotCalled("outside.breaker_open", `${name} is left alone, since too many calls have failed`, {
    retryable: true,
  });
}

function stopping(name: string): NotCalled {
  return new NotCalled("outside.stopping", `${name} is not called any more: the server is stopping`, {
    retryable: true,
  });
}
