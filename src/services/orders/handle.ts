import { unreachable } from "../../kernel/decision.ts";
import type { BatchHandler } from "../../platform/batch/road.ts";
import { isNews, type OrderBook } from "./book.ts";
import type {
  CreateOrder,
  CreateOrderFromCart,
  HearOfOrder,
  Order,
  OrderCommand,
  OrderEvent,
  OrderReply,
  OrderSettings,
} from "./contract.ts";
import { cancel, create, createFromCart, follow, giveUp } from "./decide.ts";
import { isOverdue } from "./order.ts";
import { loadBook, saveBook } from "./store.ts";

export type OrdersHandler = BatchHandler<OrderCommand, OrderReply>;

/** The road of the service. The same handler serves HTTP, events and sweeps. */
export function ordersHandler(settings: OrderSettings): OrdersHandler {
  return async (tx, commands) => {
    const book = await loadBook(tx, settings, commands);
    const replies = commands.map((command) => settle(book, command));
    saveBook(tx, book);
    return replies;
  };
}

/** Decides one command on the book as the ones before have left it, and lets its events happen. */
function settle(book: OrderBook, command: OrderCommand): OrderReply {
  switch (command.type) {
    case "CreateOrder":
      return settleCreate(book, command);
    case "CreateOrderFromCart":
      return settleCart(book, command);
    case "CancelOrder": {
      const decision = cancel(book.order(command.order_id), command);
      if (!decision.accepted) return decision;
      return happen(book, command, decision.events, [command.order_id]);
    }
    case "HearOfOrder":
      return settleHeard(book, command);
    case "TellOfOrder":
      book.tell(command.order_id, command.heard);
      return happen(book, command, [], []);
    case "SweepOrders": {
      // A command before this one in the batch may have given an order more time.
      const events = book.overdue
        .map((id) => book.order(id)!)
        .flatMap((order) => (isOverdue(order, book.mark.now) ? giveUp(order) : []));
      return happen(book, command, events, book.overdue);
    }
    case "SyncPrices":
      book.sync(command);
      return happen(book, command, [], []);
    default:
      return unreachable(command);
  }
}

function settleCreate(book: OrderBook, command: CreateOrder): OrderReply {
  const known = book.orderOf(command.request_id);
  const decision = create(known, command, book.prices);
  if (!decision.accepted) return decision;
  if (known !== undefined) return happen(book, command, [], [known.id]);
  for (const event of decision.events) book.record(event, command);
  book.identify(command.order_id, command.request_id, command.fingerprint);
  return answer(book, true, [command.order_id], decision.events);
}

function settleCart(book: OrderBook, command: CreateOrderFromCart): OrderReply {
  const { order_id, heard } = command;
  const known = book.order(order_id);
  const decision = createFromCart(known, command, book.prices);
  if (!decision.accepted || known !== undefined) return happen(book, command, [], [order_id]);
  book.hear(order_id, heard);
  for (const event of decision.events) book.record(event, command, heard);
  book.remember(book.order(order_id)!, heard);
  return answer(book, true, [order_id], decision.events);
}

/** Whoever reserves stock may call it an order's, so an order that is not known here is nothing unusual. */
function settleHeard(book: OrderBook, command: HearOfOrder): OrderReply {
  const { order_id, fact, heard } = command;
  const order = book.order(order_id);
  if (order === undefined) return happen(book, command, [], []);
  if (!isNews(order, heard)) return happen(book, command, [], [order_id]);
  book.hear(order_id, heard);
  book.remember(order, heard);
  if (fact === null) return happen(book, command, [], [order_id]);
  const noted = book.take(book.order(order_id)!, fact);
  const events = follow(noted, fact);
  for (const event of events) book.record(event, command, heard);
  return answer(book, false, [order_id], events);
}

function happen(
  book: OrderBook,
  command: OrderCommand,
  events: readonly OrderEvent[],
  ids: readonly string[],
): OrderReply {
  for (const event of events) book.record(event, command);
  return answer(book, false, ids, events);
}

function answer(
  book: OrderBook,
  created: boolean,
  ids: readonly string[],
  events: readonly OrderEvent[],
): OrderReply {
  const orders = ids.map((id) => book.order(id)).filter((order): order is Order => order !== undefined);
  return { accepted: true, created, orders, events };
}
