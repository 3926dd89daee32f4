import type { Order } from "./contract.ts";

interface Waiter {
  readonly isDone: (order: Order) => boolean;
  readonly resolve: (order: Order | undefined) => void;
}

/** Whoever waits for something to become of an order. */
export class Waiters {
  private readonly waiting = new Map<string, Set<Waiter>>();
  private closed = false;

  /** The orders that somebody waits for. */
  get ids(): string[] {
    return [...this.waiting.keys()];
  }

  /** Nobody waits any longer. */
  close(): void {
    this.closed = true;
    for (const waiters of [...this.waiting.values()])
      for (const waiter of [...waiters]) waiter.resolve(undefined);
  }

  tell(orders: readonly Order[]): void {
    if (this.waiting.size === 0) return;
    for (const order of orders) {
      for (const waiter of [...(this.waiting.get(order.id) ?? [])])
        if (waiter.isDone(order)) waiter.resolve(order);
    }
  }

  /** The order as it is when it is done, or undefined when the time is over first. */
  until(order: Order, isDone: (order: Order) => boolean, seconds: number): Promise<Order | undefined> {
    if (isDone(order)) return Promise.resolve(order);
    if (seconds <= 0 || this.closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiters = this.waiting.get(order.id) ?? new Set();
      const leave = (found: Order | undefined) => {
        clearTimeout(timer);
        waiters.delete(waiter);
        if (waiters.size === 0) this.waiting.delete(order.id);
        resolve(found);
      };
      const waiter: Waiter = { isDone, resolve: leave };
      const timer = setTimeout(() => leave(undefined), seconds * 1_000);
      this.waiting.set(order.id, waiters.add(waiter));
    });
  }
}
