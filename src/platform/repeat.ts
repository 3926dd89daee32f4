/** Does `work` again and again, `pauseMs` after it has ended; `work` sees to its own errors. */
export function repeat(pauseMs: number, work: () => Promise<void>) {
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let stopped = false;

  function wait(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      working = work().finally(wait);
    }, pauseMs).unref();
  }

  return {
    start: wait,
    async stop(): Promise<void> {
      stopped = true;
      clearTimeout(timer);
      await working;
    },
  };
}
