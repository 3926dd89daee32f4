import type { BatchHandler } from "../../platform/batch/road.ts";
import type { EventRecord, LogMark } from "../../platform/log/append.ts";
import { expire } from "./cart/customer.ts";
import type { Step } from "./cart/state.ts";
import { step } from "./cart/step.ts";
import type { Cart, CartCommand, CartReply, CartSettings, EndCarts } from "./contract.ts";
import { lockCarts, lockDueCarts, log, saveCarts } from "./store.ts";

export type CartHandler = BatchHandler<CartCommand, CartReply>;

/** The road of the service. The same handler serves HTTP, events and the sweep. */
export function cartHandler(settings: CartSettings): CartHandler {
  return async (tx, commands) => {
    const limit = commands.reduce(
      (sum, command) => sum + (command.type === "EndCarts" ? command.limit : 0),
      0,
    );
    const wanted = await lockCarts(tx, commands);
    const due = limit > 0 ? await lockDueCarts(tx, limit) : [];
    // Most of what the bus tells is about orders that come from no cart.
    if (wanted.length + due.length === 0 && commands.every(isHeard)) return commands.map(() => nothing);

    const batch = new CartBatch(settings, await log.mark(tx), wanted, due);
    const replies = commands.map((command) => batch.settle(command));
    saveCarts(tx, batch.created(), batch.updated());
    log.append(tx, batch.mark, batch.events);
    return replies;
  };
}

const nothing: CartReply = { accepted: true, carts: [], looked_at: 0 };

function isHeard({ type }: CartCommand): boolean {
  return type.startsWith("Hear");
}

/** The carts that a batch touches. Each command sees what the one before it did. */
class CartBatch {
  readonly mark: LogMark;
  readonly events: EventRecord[] = [];
  private readonly settings: CartSettings;
  private readonly before: ReadonlyMap<string, Cart>;
  private readonly carts: Map<string, Cart>;
  private readonly due: readonly Cart[];
  private readonly cartOf = new Map<string, string>();

  constructor(settings: CartSettings, mark: LogMark, wanted: readonly Cart[], due: readonly Cart[]) {
    this.settings = settings;
    this.mark = mark;
    this.due = due;
    this.before = new Map([...wanted, ...due].map((cart) => [cart.id, cart]));
    this.carts = new Map(this.before);
    for (const cart of this.before.values()) this.index(cart);
  }

  settle(command: CartCommand): CartReply {
    if (command.type === "EndCarts") return this.endDue(command);
    const id = "cart_id" in command ? command.cart_id : this.cartOf.get(ownerOf(command));
    if (id === undefined) return nothing;
    const before = this.carts.get(id);
    const reply = this.take(before, step(before, command, this.mark.now, this.settings), command);
    // Of what is asked for again, the answer is how it stands.
    return reply === nothing && before !== undefined
      ? { accepted: true, carts: [{ before, after: before }], looked_at: 0 }
      : reply;
  }

  created(): Cart[] {
    return this.changed().filter(({ id }) => !this.before.has(id));
  }

  updated(): Cart[] {
    return this.changed().filter(({ id }) => this.before.has(id));
  }

  private changed(): Cart[] {
    return [...this.carts.values()]
      .filter((cart) => this.before.get(cart.id) !== cart)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  private endDue(command: EndCarts): CartReply {
    const carts = this.due.flatMap(({ id }) => {
      const before = this.carts.get(id)!;
      const reply = this.take(before, expire(before, this.mark.now), command);
      return reply.accepted ? reply.carts : [];
    });
    return { accepted: true, carts, looked_at: this.due.length };
  }

  private take(before: Cart | undefined, done: Step, { traceparent, cause }: CartCommand): CartReply {
    if (!done.accepted) return done;
    const { cart: after, events } = done;
    if (after === undefined || after === before) return nothing;
    this.carts.set(after.id, after);
    this.index(after);
    for (const { type, data } of events) {
      this.events.push({
        type,
        subject: after.id,
        data,
        ...(traceparent === undefined ? {} : { traceparent }),
        ...(cause === undefined ? {} : { cause }),
      });
    }
    return { accepted: true, carts: [{ before, after }], looked_at: 0 };
  }

  /** Ids of reservations and of orders do not meet: the one has a prefix that the other lacks. */
  private index({ id, hold, order }: Cart): void {
    if (hold.reservation_id !== null) this.cartOf.set(hold.reservation_id, id);
    if (order !== null) this.cartOf.set(order.id, id);
  }
}

function ownerOf(command: Extract<CartCommand, { reservation_id: string } | { order_id: string }>): string {
  return "reservation_id" in command ? command.reservation_id : command.order_id;
}
