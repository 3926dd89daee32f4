import { describe, expect, it } from "vitest";
import { orderSettings as settings } from "../../testing/orders.ts";
import type { Fact, Order, OrderEvent, OrderStatus, Price } from "./contract.ts";
import { orderStatuses } from "./contract.ts";
import { cancel, create, createFromCart, follow, giveUp } from "./decide.ts";
import { evolve, hasEnded, note } from "./order.ts";

const now = new Date("2030-01-07T09:00:00Z");
const inMinutes = (minutes: number) => new Date(now.getTime() + minutes * 60_000);
const reservation_id = "o1";
const of = { order_id: "o1", reservation_id };

const offered: Price = {
  sku: "mug",
  price_minor: 250,
  currency: "EUR",
  product_id: "p1",
  listed: true,
  position: 1,
  index: 0,
};
const prices = new Map<string, Price>([
  ["mug", offered],
  ["cup", { ...offered, sku: "cup", price_minor: 300 }],
  ["pen", { ...offered, sku: "pen", currency: "USD" }],
  ["hat", { ...offered, sku: "hat", listed: false }],
  ["gem", { ...offered, sku: "gem", price_minor: Number.MAX_SAFE_INTEGER }],
]);
const line = (sku: string, quantity = 1, store_id = "main") => ({ store_id, sku, quantity });

const command = {
  type: "CreateOrder" as const,
  order_id: "o1",
  request_id: "key",
  fingerprint: "print",
  customer_id: "ann",
  lines: [line("mug", 2)],
  token: "tok_ok",
};

const createdEvent: OrderEvent = {
  type: "OrderCreated",
  data: {
    ...of,
    customer_id: "ann",
    lines: [{ ...line("mug", 2), price_minor: 250 }],
    total_minor: 500,
    currency: "EUR",
    payment: { token: "tok_ok" },
    cart_id: null,
  },
};

const held: Fact = { type: "StockHeld", reservation_id, expires_at: inMinutes(15) };
const facts = {
  StockHeld: held,
  StockExtended: { type: "StockExtended", reservation_id, expires_at: inMinutes(30) },
  StockRefused: {
    type: "StockRefused",
    reservation_id,
    refusal: { code: "inventory.insufficient_stock", detail: "0 left." },
  },
  StockSecured: { type: "StockSecured", reservation_id },
  StockCommitted: { type: "StockCommitted", reservation_id },
  StockLost: {
    type: "StockLost",
    reservation_id,
    refusal: { code: "inventory.insufficient_stock", detail: "Gone." },
  },
  StockExpired: { type: "StockExpired", reservation_id },
  StockReleased: { type: "StockReleased", reservation_id, reason: "shortfall" },
  PaymentFailed: { type: "PaymentFailed", code: "declined", detail: "No money." },
  PaymentDelayed: { type: "PaymentDelayed", retry_at: inMinutes(1) },
  PaymentRefunded: { type: "PaymentRefunded" },
  PartShipped: { type: "PartShipped", part: 1, lines: [line("mug")] },
  AllShipped: { type: "AllShipped" },
  ShipmentCancelled: { type: "ShipmentCancelled", reason: "cancelled" },
  CancellationRefused: { type: "CancellationRefused" },
  ShipmentFailed: { type: "ShipmentFailed", detail: "No such street." },
} satisfies { [Type in Fact["type"]]: Extract<Fact, { type: Type }> };

/** Carries facts and events out as the handler does, and answers what was let happen. */
function play(order: Order, ...heard: Fact[]): { order: Order; events: OrderEvent[] } {
  const events: OrderEvent[] = [];
  for (const fact of heard) {
    order = note(order, fact, now, settings);
    for (const event of follow(order, fact)) {
      order = evolve(order, event, now, settings);
      events.push(event);
    }
  }
  return { order, events };
}

function orderIn(status: OrderStatus): Order {
  const pending = evolve(undefined, createdEvent, now, settings);
  switch (status) {
    case "pending":
      return pending;
    case "reserved":
      return play(pending, held).order;
    case "paid":
      return play(pending, held, facts.StockSecured).order;
    case "completed":
      return play(orderIn("paid"), facts.AllShipped, facts.StockCommitted).order;
    case "cancelled":
      return evolve(
        pending,
        { type: "OrderCancelled", data: { ...of, reason: "cancelled", detail: "." } },
        now,
        settings,
      );
    default:
      return evolve(
        pending,
        { type: "OrderFailed", data: { ...of, status, reason: "r", detail: "d." } },
        now,
        settings,
      );
  }
}

describe("an order is created", () => {
  it("at the catalogue's prices, lines of the same store and SKU added up", () => {
    const lines = [line("mug", 2), line("cup"), line("mug", 1), line("mug", 1, "other")];
    expect(create(undefined, { ...command, lines }, prices)).toMatchObject({
      accepted: true,
      events: [
        {
          type: "OrderCreated",
          data: {
            lines: [
              { ...line("mug", 3), price_minor: 250 },
              { ...line("cup"), price_minor: 300 },
              { ...line("mug", 1, "other"), price_minor: 250 },
            ],
            total_minor: 1_300,
            currency: "EUR",
          },
        },
      ],
    });
  });

  it("once for its key", () => {
    const order = { ...orderIn("rejected"), request_id: "key", fingerprint: "print" };
    expect(create(order, command, prices)).toEqual({ accepted: true, events: [] });
    expect(create(order, { ...command, fingerprint: "other" }, prices)).toMatchObject({
      refusal: { code: "orders.idempotency_key_reused" },
    });
  });

  it.each([
    ["orders.unknown_sku", [line("mug"), line("hat"), line("wat")]],
    ["orders.mixed_currencies", [line("mug"), line("pen")]],
    ["orders.quantity_too_large", [line("mug", 2_147_483_647), line("mug", 1)]],
    ["orders.total_too_large", [line("gem"), line("mug")]],
  ])("unless it is refused: %s", (code, lines) => {
    expect(create(undefined, { ...command, lines }, prices)).toMatchObject({
      accepted: false,
      refusal: { code },
    });
  });

  it("names the lines that the catalogue does not offer", () => {
    expect(
      create(undefined, { ...command, lines: [line("mug"), line("hat"), line("wat")] }, prices),
    ).toMatchObject({
      refusal: { errors: [{ field: "lines.1.sku" }, { field: "lines.2.sku" }] },
    });
  });

  it("at the highest total that can be kept", () => {
    expect(create(undefined, { ...command, lines: [line("gem")] }, prices)).toMatchObject({
      events: [{ data: { total_minor: Number.MAX_SAFE_INTEGER } }],
    });
  });
});

describe("an order from a cart", () => {
  const heard = { id: "carts-1-0", topic: "carts", type: "CartCheckedOut", at: now, data: {} };
  const checkout = {
    type: "CreateOrderFromCart" as const,
    order_id: "o1",
    cart_id: "c1",
    reservation_id: "hold",
    customer_id: "ann",
    lines: [line("mug")],
    token: "tok_ok",
    heard,
  };

  it("takes the cart's reservation over", () => {
    expect(createFromCart(undefined, checkout, prices)).toMatchObject({
      events: [{ type: "OrderCreated", data: { reservation_id: "hold", cart_id: "c1", total_minor: 250 } }],
    });
  });

  it("that cannot be priced is created and rejected at once", () => {
    expect(createFromCart(undefined, { ...checkout, lines: [line("hat", 2)] }, prices)).toMatchObject({
      events: [
        { type: "OrderCreated", data: { lines: [{ ...line("hat", 2), price_minor: 0 }], total_minor: 0 } },
        { type: "OrderFailed", data: { status: "rejected", reason: "orders.unknown_sku" } },
      ],
    });
  });

  it("is created once", () => {
    expect(createFromCart(orderIn("paid"), checkout, prices)).toEqual({ accepted: true, events: [] });
  });
});

type Outcome = readonly [status: OrderStatus, ...events: OrderEvent["type"][]];

/** For each state that is open: what each fact leads to; whatever is not named changes no status and tells nobody. */
const table: Record<"pending" | "reserved" | "paid", Partial<Record<Fact["type"], Outcome>>> = {
  pending: {
    StockHeld: ["reserved"],
    StockRefused: ["rejected", "OrderFailed"],
    StockSecured: ["paid", "OrderPaid"],
    StockCommitted: ["paid", "OrderPaid"],
    StockLost: ["expired", "OrderFailed"],
    PaymentFailed: ["payment_failed", "OrderFailed"],
  },
  reserved: {
    StockSecured: ["paid", "OrderPaid"],
    StockCommitted: ["paid", "OrderPaid"],
    StockLost: ["expired", "OrderFailed"],
    StockReleased: ["cancelled", "OrderCancelled"],
    PaymentFailed: ["payment_failed", "OrderFailed"],
  },
  paid: {
    StockReleased: ["paid", "OrderCancellationRequested"],
    ShipmentCancelled: ["cancelled", "OrderCancelled"],
    ShipmentFailed: ["cancelled", "OrderCancelled"],
  },
};

describe.each(orderStatuses)("an order that is %s", (status) => {
  it.each(Object.values(facts))("and hears $type", (fact) => {
    const order = orderIn(status);
    const [then, ...events] = (status in table && table[status as keyof typeof table][fact.type]) || [status];
    const after = play(order, fact);
    expect([after.order.status, ...after.events.map(({ type }) => type)]).toEqual([then, ...events]);
    expect(after.order.deadline === null).toBe(hasEnded(after.order));
    for (const { data } of after.events) expect(data).toMatchObject(of);
  });

  it("hears nothing of a reservation that is another one", () => {
    const order = orderIn(status);
    for (const fact of Object.values(facts)) {
      if (!("reservation_id" in fact)) continue;
      expect(play(order, { ...fact, reservation_id: "by-hand" })).toEqual({ order, events: [] });
    }
  });
});

describe("in whatever order it hears of them", () => {
  it.each<[string, Fact[]]>([
    ["shipped, committed", [facts.AllShipped, facts.StockCommitted]],
    ["committed, shipped", [facts.StockCommitted, facts.AllShipped]],
    ["a part, the rest, committed", [facts.PartShipped, facts.AllShipped, facts.StockCommitted]],
  ])("a paid order is completed once: %s", (_, heard) => {
    const { order, events } = play(orderIn("paid"), ...heard);
    expect([order.status, events.map(({ type }) => type)]).toEqual(["completed", ["OrderCompleted"]]);
  });

  it.each<[string, Fact[]]>([
    ["as usual", [held, facts.StockSecured, facts.AllShipped, facts.StockCommitted]],
    ["secured before held", [facts.StockSecured, held, facts.AllShipped, facts.StockCommitted]],
    ["shipped before anything", [facts.AllShipped, facts.StockSecured, held, facts.StockCommitted]],
    ["stock reduced with the payment", [held, facts.StockCommitted, facts.AllShipped]],
  ])("an order is paid, then completed: %s", (_, heard) => {
    const { order, events } = play(orderIn("pending"), ...heard);
    expect([order.status, events.map(({ type }) => type)]).toEqual([
      "completed",
      ["OrderPaid", "OrderCompleted"],
    ]);
  });

  it("a hold that has expired and was taken again is held", () => {
    const { order } = play(orderIn("reserved"), facts.StockExpired, { ...held, expires_at: inMinutes(60) });
    expect(order).toMatchObject({ status: "reserved", hold_expired: false, hold_expires_at: inMinutes(60) });
  });

  it("a payment that comes after the cancellation is taken down, and so is its return", () => {
    const { order, events } = play(orderIn("cancelled"), facts.StockSecured);
    expect([order.payment, order.status, events]).toEqual(["succeeded", "cancelled", []]);
    expect(play(order, facts.PaymentRefunded, facts.StockSecured).order.payment).toBe("refunded");
  });

  it("a payment that failed because the hold had expired lets the order expire", () => {
    const { order } = play(orderIn("reserved"), { ...facts.PaymentFailed, code: "hold_expired" });
    expect(order).toMatchObject({ status: "expired", reason: "hold_expired", payment: "failed" });
  });

  it("a payment that succeeded fails no more", () => {
    expect(play(orderIn("paid"), facts.PaymentFailed)).toMatchObject({
      order: { status: "paid", payment: "succeeded" },
      events: [],
    });
  });

  it("what is shipped can neither be cancelled nor fail", () => {
    const { order } = play(orderIn("paid"), facts.AllShipped);
    const { events } = play(order, facts.StockReleased, facts.ShipmentCancelled, facts.ShipmentFailed);
    expect(events).toEqual([]);
  });
});

describe("cancelling", () => {
  const cancelling = (order: Order | undefined) =>
    cancel(order, { type: "CancelOrder", order_id: "o1", reason: "changed my mind" });

  it.each<[OrderStatus, string[] | string]>([
    ["pending", ["OrderCancelled"]],
    ["reserved", ["OrderCancelled"]],
    ["paid", ["OrderCancellationRequested"]],
    ["cancelled", []],
    ["completed", "orders.already_shipped"],
    ["rejected", "orders.ended"],
    ["payment_failed", "orders.ended"],
    ["expired", "orders.ended"],
  ])("an order that is %s", (status, outcome) => {
    const decision = cancelling(orderIn(status));
    expect(decision.accepted ? decision.events.map(({ type }) => type) : decision.refusal.code).toEqual(
      outcome,
    );
  });

  it("asks fulfilment once, and again when it has refused", () => {
    const paid = orderIn("paid");
    const decision = cancelling(paid);
    const [asked] = decision.accepted ? decision.events : [];
    const waiting = evolve(paid, asked!, now, settings);
    expect(waiting.cancellation_requested).toBe("changed my mind");
    expect(cancelling(waiting)).toEqual({ accepted: true, events: [] });
    const { order: refused } = play(waiting, facts.CancellationRefused);
    expect(refused.cancellation_requested).toBeNull();
    expect(cancelling(refused)).toMatchObject({ events: [{ type: "OrderCancellationRequested" }] });
  });

  it("keeps the reason that was given, not the one that comes back", () => {
    const waiting = evolve(
      orderIn("paid"),
      { type: "OrderCancellationRequested", data: { ...of, reason: "changed my mind" } },
      now,
      settings,
    );
    expect(play(waiting, facts.ShipmentCancelled).order).toMatchObject({
      status: "cancelled",
      reason: "changed my mind",
      cancellation_requested: null,
    });
  });

  it.each([facts.PartShipped, facts.AllShipped])("is too late after $type", (fact) => {
    expect(cancelling(play(orderIn("paid"), fact).order)).toMatchObject({
      refusal: { code: "orders.already_shipped" },
    });
  });

  it("an order that is not there is refused", () => {
    expect(cancelling(undefined)).toMatchObject({ refusal: { code: "orders.not_found" } });
  });
});

describe("the deadline", () => {
  const delayed: Fact = { type: "PaymentDelayed", retry_at: inMinutes(30) };
  it.each<[string, Order, Date | null]>([
    ["of a pending order is a while from its creation", orderIn("pending"), inMinutes(15)],
    ["of a reserved one is its hold's end and two graces", orderIn("reserved"), inMinutes(15 + 1 + 10)],
    ["grows with its hold", play(orderIn("reserved"), facts.StockExtended).order, inMinutes(30 + 1 + 10)],
    [
      "grows while the gateway is away",
      play(orderIn("reserved"), delayed).order,
      inMinutes(30 + 15 + 1 + 10),
    ],
    [
      "never shrinks",
      play(orderIn("reserved"), { ...facts.StockExtended, expires_at: inMinutes(1) }).order,
      inMinutes(15 + 1 + 10),
    ],
    ["of a paid one is a week", orderIn("paid"), inMinutes(7 * 24 * 60)],
    ["is gone at the end", orderIn("completed"), null],
  ])("%s", (_, order, deadline) => {
    expect(order.deadline).toEqual(deadline);
  });

  it("leaves payments ten minutes when inventory was late to say that the hold had expired", () => {
    const late = note(orderIn("reserved"), facts.StockExpired, inMinutes(60), settings);
    expect(late.deadline).toEqual(inMinutes(70));
  });

  it.each<[OrderStatus, string, OrderStatus]>([
    ["pending", "OrderFailed", "expired"],
    ["reserved", "OrderFailed", "expired"],
    ["paid", "OrderCancellationRequested", "paid"],
  ])("of a %s order leads to %s", (status, type, then) => {
    const order = orderIn(status);
    const [event, ...others] = giveUp(order);
    expect([event!.type, others]).toEqual([type, []]);
    const after = evolve(order, event!, inMinutes(20_000), settings);
    expect(after.status).toBe(then);
    if (then === "paid") expect(after.deadline).toEqual(inMinutes(20_060));
  });

  it("does nothing to an order that has ended", () => {
    expect(giveUp(orderIn("completed"))).toEqual([]);
  });
});
