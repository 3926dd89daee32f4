import { isBehind, placeOf } from "../../kernel/place.ts";
import type { EventRecord, LogMark } from "../../platform/log/append.ts";
import type {
  Fact,
  HeardEvent,
  Order,
  OrderCommand,
  OrderEvent,
  OrderSettings,
  Price,
  SyncPrices,
} from "./contract.ts";
import { evolve, note } from "./order.ts";

export interface BookContent {
  readonly mark: LogMark;
  readonly orders: readonly Order[];
  readonly prices: readonly Price[];
  /** The orders whose deadline is over. */
  readonly overdue: readonly string[];
  /** Ids of events that stand in their order's story already. */
  readonly told: readonly string[];
}

/** What was heard of an order, and before which event of the same batch in our own log. */
export interface HeardRecord {
  readonly order_id: string;
  readonly before: number;
  readonly event: HeardEvent;
}

/** Everything that a batch touches, as it stands after the commands so far. */
export class OrderBook {
  readonly mark: LogMark;
  readonly settings: OrderSettings;
  readonly overdue: readonly string[];
  readonly events: EventRecord[] = [];
  readonly heard: HeardRecord[] = [];
  readonly created = new Set<string>();
  readonly touched = new Set<string>();
  readonly repriced = new Set<string>();
  readonly asides: { readonly order_id: string; readonly event_id: string }[] = [];
  readonly prices = new Map<string, Price>();

  private readonly orders = new Map<string, Order>();
  private readonly requests = new Map<string, string>();
  private readonly told: Set<string>;

  constructor(settings: OrderSettings, content: BookContent) {
    this.settings = settings;
    this.mark = content.mark;
    this.overdue = content.overdue;
    this.told = new Set(content.told);
    for (const order of content.orders) this.keep(order);
    for (const price of content.prices) this.prices.set(price.sku, price);
  }

  order(id: string): Order | undefined {
    return this.orders.get(id);
  }

  orderOf(request_id: string): Order | undefined {
    return this.orders.get(this.requests.get(request_id) ?? "");
  }

  /** Lets an event happen. */
  record(event: OrderEvent, { traceparent }: OrderCommand, heard?: HeardEvent): void {
    const { order_id } = event.data;
    const before = this.orders.get(order_id);
    if (before === undefined) this.created.add(order_id);
    this.change(evolve(before, event, this.mark.now, this.settings));
    this.events.push({
      type: event.type,
      subject: order_id,
      data: event.data,
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(heard === undefined ? {} : { cause: heard.id }),
    });
  }

  /** The key that a new order was created with is nobody else's business, so it is in no event. */
  identify(order_id: string, request_id: string, fingerprint: string): void {
    this.keep({ ...this.orders.get(order_id)!, request_id, fingerprint });
  }

  /** Keeps an event for the order's story. What is heard of an order that is not there yet is what creates it. */
  hear(order_id: string, event: HeardEvent): void {
    this.heard.push({ order_id, before: this.events.length, event });
  }

  /** Keeps an event that changes nothing, once. */
  tell(order_id: string, event: HeardEvent): void {
    if (this.told.has(event.id)) return;
    this.told.add(event.id);
    this.hear(order_id, event);
    this.asides.push({ order_id, event_id: event.id });
  }

  /** The order has taken part in this event, so that it does not do so again. */
  remember(order: Order, { id, topic }: HeardEvent): void {
    const place = placeOf(id);
    if (place !== undefined) this.change({ ...order, heard_to: { ...order.heard_to, [topic]: place } });
  }

  take(order: Order, fact: Fact): Order {
    const noted = note(order, fact, this.mark.now, this.settings);
    this.change(noted);
    return noted;
  }

  sync({ product_id, skus, position, index }: SyncPrices): void {
    const offered = new Set(skus.map(({ sku }) => sku));
    for (const { sku, price_minor, currency } of skus) {
      this.reprice({ sku, price_minor, currency, product_id, listed: true, position, index });
    }
    for (const price of [...this.prices.values()]) {
      // What is delisted keeps its place: another product's word may stand between that one and this.
      if (price.product_id !== product_id || !price.listed || offered.has(price.sku)) continue;
      this.reprice({ ...price, listed: false, position, index });
    }
  }

  private reprice(price: Price): void {
    const known = this.prices.get(price.sku);
    if (known !== undefined && !isBehind([price.position, price.index], [known.position, known.index]))
      return;
    this.prices.set(price.sku, price);
    this.repriced.add(price.sku);
  }

  private change(order: Order): void {
    this.touched.add(order.id);
    this.keep(order);
  }

  private keep(order: Order): void {
    this.orders.set(order.id, order);
    if (order.request_id !== null) this.requests.set(order.request_id, order.id);
  }
}

/** Events of one topic about one order come in their order, so whatever is not behind the last one is a repetition. */
export function isNews({ heard_to }: Order, { id, topic }: HeardEvent): boolean {
  const place = placeOf(id);
  const last = heard_to[topic];
  return place === undefined || last === undefined || isBehind(place, last);
}
