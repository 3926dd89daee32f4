interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Lets so many at a time, the others in the order in which they came. */
export class Turns {
  private readonly atOnce: number;
  private taken = 0;
  private waiters: Waiter[] = [];
  private passed = 0; // waiters before this index have had their turn
  private onIdle: (() => void) | undefined;

  constructor(atOnce: number) {
    this.atOnce = atOnce;
  }

  get underWay(): number {
    return this.taken;
  }

  get waiting(): number {
    return this.waiters.length - this.passed;
  }

  /** Undefined when the turn is there at once; whoever has had it calls `pass`. */
  take(): Promise<void> | undefined {
    if (this.taken < this.atOnce) {
      this.taken++;
      return undefined;
    }
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  pass(): void {
    const next = this.waiters[this.passed];
    if (next === undefined) {
      this.taken--;
      if (this.taken === 0) this.onIdle?.();
      return;
    }
    this.passed++;
    // Moving the rest forward at every turn would cost more than the turn when thousands wait.
    if (this.passed * 2 > this.waiters.length) {
      this.waiters = this.waiters.slice(this.passed);
      this.passed = 0;
    }
    next.resolve();
  }

  /** Sends away whoever waits, and resolves when those whose turn it is are through. */
  async end(reason: () => Error): Promise<void> {
    for (const { reject } of this.waiters.splice(this.passed)) reject(reason());
    if (this.taken === 0) return;
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
  }
}
