import type { Logger } from "./logger.ts";

const sayAgainMs = 60_000;

/** Tells of what goes wrong again and again: at once when it is something new, and once a minute while it stays. */
export class Complaint {
  private readonly logger: Logger;
  private said: string | undefined;
  private saidAt = 0;
  private times = 0;

  constructor(logger: Logger) {
    this.logger = logger;
  }

  warn(context: { readonly err: unknown; readonly [about: string]: unknown }, message: string): void {
    const { err } = context;
    const what = `${message} ${err instanceof Error ? err.message : String(err)}`;
    const now = performance.now();
    this.times++;
    if (what === this.said && now - this.saidAt < sayAgainMs) {
      this.logger.debug(context, message);
      return;
    }
    const isOld = what === this.said;
    this.said = what;
    this.saidAt = now;
    this.logger.warn(isOld ? { ...context, times: this.times } : context, message);
    this.times = 0;
  }

  /** It goes well again: whatever comes next is new. */
  over(): void {
    this.said = undefined;
    this.times = 0;
  }
}
