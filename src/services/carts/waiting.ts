import type { Cart } from "./contract.ts";

/** Looked up now and then, since another process may be the one that hears of it. */
const askEveryMs = 500;

/** Those that wait for something to become of a cart. */
export class Waiting {
  private readonly waiters = new Map<string, Set<(cart: Cart) => void>>();
  private readonly find: (id: string) => Promise<Cart | undefined>;

  constructor(find: (id: string) => Promise<Cart | undefined>) {
    this.find = find;
  }

  /** The cart as soon as `isDone`; undefined when that takes longer than this. */
  async until(cart: Cart, isDone: (cart: Cart) => boolean, timeoutMs: number): Promise<Cart | undefined> {
    const giveUpAt = performance.now() + timeoutMs;
    const { heard, stop } = this.listen(cart.id, isDone);
    try {
      for (;;) {
        const left = giveUpAt - performance.now();
        // The first look comes at once: it may have happened before anybody listened.
        const found = await this.find(cart.id);
        if (found !== undefined && isDone(found)) return found;
        if (left <= 0) return undefined;
        const told = await within(heard, Math.min(left, askEveryMs));
        if (told !== undefined) return told;
      }
    } finally {
      stop();
    }
  }

  tell(cart: Cart): void {
    for (const waiter of this.waiters.get(cart.id) ?? []) waiter(cart);
  }

  private listen(id: string, isDone: (cart: Cart) => boolean) {
    const waiters = this.waiters.get(id) ?? new Set();
    this.waiters.set(id, waiters);
    let waiter: (cart: Cart) => void;
    const heard = new Promise<Cart>((resolve) => {
      waiter = (cart) => {
        if (isDone(cart)) resolve(cart);
      };
      waiters.add(waiter);
    });
    const stop = () => {
      waiters.delete(waiter);
      if (waiters.size === 0 && this.waiters.get(id) === waiters) this.waiters.delete(id);
    };
    return { heard, stop };
  }
}

async function within<Value>(value: Promise<Value>, ms: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([value, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
