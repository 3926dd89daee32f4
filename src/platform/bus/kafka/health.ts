import type { BrokerState } from "../broker/broker.ts";

const lookEveryMs = 2_000;

/** Whether Kafka can be reached, as the latest calls found it; when there are none, it is looked at now and then. */
export class Health {
  private state: BrokerState = { isUp: false, since: new Date(), reason: "Not connected yet." };
  private look: (() => Promise<void>) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;

  current(): BrokerState {
    return this.state;
  }

  up(): void {
    if (!this.state.isUp) this.state = { isUp: true, since: new Date() };
  }

  down(reason: string): void {
    const since = this.state.isUp ? new Date() : this.state.since;
    this.state = { isUp: false, since, reason };
  }

  /** A connection broke: look at once instead of later. */
  suspect(): void {
    if (!this.isLooking) this.schedule(0);
  }

  /** `look` says itself what it found. */
  watch(look: () => Promise<void>): void {
    this.look = look;
    this.schedule(0);
  }

  close(): void {
    this.look = undefined;
    clearTimeout(this.timer);
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      this.isLooking = true;
      await this.look?.();
      this.isLooking = false;
      if (this.look) this.schedule(lookEveryMs);
    }, delayMs).unref();
  }
}
