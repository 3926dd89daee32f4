interface Running {
  readonly until: number;
  giveUp(): void;
}

/**
 * Gives up on work that takes too long. All of it is given the same time, so the oldest is always the first to run out
 * of it, and one timer serves thousands of calls.
 */
export class Deadlines {
  private readonly timeoutMs: number;
  private readonly timeUp: () => Error;
  private readonly running = new Set<Running>();
  private timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, timeUp: () => Error) {
    this.timeoutMs = timeoutMs;
    this.timeUp = timeUp;
  }

  /** The signal tells the work that nobody waits for it any more. */
  keep<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const aborter = new AbortController();
      const running: Running = {
        until: performance.now() + this.timeoutMs,
        giveUp: () => {
          const error = this.timeUp();
          reject(error);
          aborter.abort(error);
        },
      };
      this.running.add(running);
      this.timer ??= this.wakeIn(this.timeoutMs);
      (async () => work(aborter.signal))()
        .finally(() => this.running.delete(running))
        .then(resolve, reject);
    });
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private wakeIn(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.sweep(), delayMs).unref();
  }

  private sweep(): void {
    this.timer = undefined;
    const now = performance.now();
    for (const running of this.running) {
      if (running.until > now) {
        this.timer = this.wakeIn(running.until - now);
        return;
      }
      this.running.delete(running);
      running.giveUp();
    }
  }
}
