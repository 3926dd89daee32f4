/** Wakes those who wait for something to get on. */
export class Progress {
  private readonly waiting = new Set<() => void>();

  made(): void {
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }

  /** Resolves at the next progress, or when the time is over. */
  next(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.delete(wake);
        resolve();
      }, timeoutMs);
      this.waiting.add(wake);
    });
  }
}
