import { v7 as uuid } from "uuid";
import { setAside } from "../../platform/batch/dead-letters.ts";
import { Road } from "../../platform/batch/road.ts";
import type { Transaction } from "../../platform/batch/transaction.ts";
import type { AfterCommit, BusEvent } from "../../platform/bus/port.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import type { ServiceOptions } from "../../platform/service.ts";
import { commandsFrom, reservationIdFrom } from "./consumers.ts";
import type {
  Cart,
  CartCommand,
  CartRefusal,
  CartReply,
  CartSettings,
  CheckOutCart,
  DeleteCart,
  PutCart,
} from "./contract.ts";
import { cartHandler } from "./handle.ts";
import { cartMetrics } from "./metrics.ts";
import { findCart } from "./queries.ts";
import { refusalOf } from "./refusal.ts";
import { schema } from "./store.ts";
import { Waiting } from "./waiting.ts";

export interface CartOptions extends ServiceOptions {
  readonly settings: CartSettings;
  /** How long the stock is waited for, and for the order to be read. */
  readonly patienceMs?: number;
}

type Answer<Extra> = ({ accepted: true; cart: Cart } & Extra) | { accepted: false; refusal: CartRefusal };

/** What can be asked of the service within this process. */
export interface Carts {
  /** Waits a moment for the stock; `pending` when it has not answered by then. */
  put(
    command: Omit<PutCart, "type" | "new_reservation_id">,
  ): Promise<Answer<{ created: boolean; pending: boolean }>>;
  delete(command: Omit<DeleteCart, "type">): Promise<Answer<object>>;
  /** Waits a moment until the order can be read, and for its end as long as is asked for. */
  checkOut(
    command: Omit<CheckOutCart, "type" | "new_order_id">,
    waitForEndMs: number,
  ): Promise<Answer<{ isEnded: boolean }>>;
  cart(id: string): Promise<Cart | undefined>;
  /** For the bus. */
  hear(tx: Transaction, events: readonly BusEvent[]): Promise<AfterCommit | undefined>;
  /** Ends carts that were left alone; answers whether there may be more. */
  sweep(): Promise<boolean>;
  drain(): Promise<void>;
}

const defaultPatienceMs = 2_000;
const sweepLimit = 500;

export function createCarts(options: CartOptions): Carts {
  const { pool, reads, maxWaiting, stopping, registry, logger, tracer, settings } = options;
  const { patienceMs = defaultPatienceMs } = options;
  const database = readerOf(reads);
  const metrics = cartMetrics(registry);
  const handle = cartHandler(settings);
  const waiting = new Waiting((id) => findCart(database, id));
  const road = new Road<CartCommand, CartReply>({
    pool,
    handle,
    maxWaiting,
    stopping,
    workOf: (command) => (command.type === "EndCarts" ? command.limit : 1),
    observer: { poison: setAside(pool, schema, logger) },
    tracer,
    service: schema,
  });

  function settled(reply: CartReply): void {
    metrics.answered(reply);
    if (reply.accepted) for (const { after } of reply.carts) waiting.tell(after);
  }

  async function submit(command: CartCommand): Promise<CartReply> {
    const reply = await road.submit(command);
    settled(reply);
    return reply;
  }

  /** The cart once nothing more is to be answered; otherwise as it was. */
  async function answered(cart: Cart, isAnswered: (cart: Cart) => boolean): Promise<Cart> {
    if (isAnswered(cart)) return cart;
    return (await waiting.until(cart, isAnswered, patienceMs)) ?? cart;
  }

  /** An earlier change is waited for: the lines that are ordered shall be those that are held. */
  async function checkOutAnswered(command: CheckOutCart): Promise<CartReply> {
    const reply = await submit(command);
    if (reply.accepted || reply.refusal.code !== "carts.hold_pending") return reply;
    const cart = await findCart(database, command.cart_id);
    if (cart !== undefined) await answered(cart, (now) => now.unanswered.length === 0);
    return submit(command);
  }

  return {
    async put(wanted) {
      const new_reservation_id = reservationIdFrom(uuid());
      const reply = await submit({ type: "PutCart", ...wanted, new_reservation_id });
      if (!reply.accepted) return reply;
      const [{ before, after }] = reply.carts as [CartReplyCart];
      const key = String(after.revision);
      const cart = await answered(after, (now) => !now.unanswered.some((lines) => lines.key === key));
      if (cart.hold.refusal?.key === key)
        return { accepted: false, refusal: refusalOf(cart.hold.refusal.why) };
      const created = before === undefined || before.status === "deleted";
      return { accepted: true, cart, created, pending: cart.unanswered.length > 0 };
    },
    async delete(wanted) {
      const reply = await submit({ type: "DeleteCart", ...wanted });
      return reply.accepted ? { accepted: true, cart: reply.carts[0]!.after } : reply;
    },
    async checkOut(wanted, waitForEndMs) {
      const reply = await checkOutAnswered({ type: "CheckOutCart", ...wanted, new_order_id: uuid() });
      if (!reply.accepted) return reply;
      const created = await answered(reply.carts[0]!.after, ({ order }) => order?.priced !== undefined);
      const isEnded = ({ order }: Cart) => order !== null && order.status !== "pending";
      if (waitForEndMs === 0 || (isEnded(created) && created.order?.priced !== undefined)) {
        return { accepted: true, cart: created, isEnded: isEnded(created) };
      }
      const cart = (await waiting.until(created, isEnded, waitForEndMs)) ?? created;
      return { accepted: true, cart, isEnded: isEnded(cart) };
    },
    cart: (id) => findCart(database, id),
    async hear(tx, events) {
      const commands = commandsFrom(events, uuid);
      if (commands.length === 0) return undefined;
      const replies = await handle(tx, commands);
      return () => replies.forEach(settled);
    },
    async sweep() {
      const reply = await submit({ type: "EndCarts", limit: sweepLimit });
      return reply.accepted && reply.looked_at === sweepLimit;
    },
    drain: () => road.drain(),
  };
}

type CartReplyCart = Extract<CartReply, { accepted: true }>["carts"][number];
