import { describe, expect, it } from "vitest";
import { busEvent } from "../../../testing/inventory.ts";
import { commandsFrom, topics } from "./events.ts";

const lines = [{ store_id: "main", sku: "MUG", quantity: 2 }];
const order = { order_id: "o1", reservation_id: "c1" };
const payment = { payment_id: "o1", ...order };
const parcel = { shipment_id: "o1", ...order, carrier: "post", tracking: null, lines };

const asks: Record<string, [topic: string, data: object, command: object]> = {
  ProductCreated: [
    "catalog",
    { product_id: "P1", name: "Mug", skus: [{ sku: "MUG", price_minor: 5 }, { sku: "CUP" }] },
    { type: "SyncProduct", product_id: "P1", skus: ["MUG", "CUP"], position: 7, index: 0 },
  ],
  ProductUpdated: [
    "catalog",
    { product_id: "P1", name: "Mug", skus: [{ sku: "MUG" }] },
    { type: "SyncProduct", product_id: "P1", skus: ["MUG"], position: 7, index: 0 },
  ],
  OrderCreated: [
    "orders",
    { ...order, customer_id: "you", lines: [{ ...lines[0], price_minor: 250 }], total_minor: 500 },
    { type: "ReserveStock", ...order, lines, remember_refusal: true },
  ],
  OrderCancelled: [
    "orders",
    { ...order, reason: "changed_mind", detail: "" },
    { type: "ReleaseReservation", ...order, reason: "changed_mind", restock: true },
  ],
  OrderFailed: [
    "orders",
    { ...order, status: "payment_failed", reason: "declined", detail: "" },
    { type: "ReleaseReservation", ...order, reason: "declined", restock: true },
  ],
  PaymentSucceeded: [
    "payments",
    { ...payment, amount_minor: 500, currency: "EUR" },
    { type: "SecureReservation", ...order },
  ],
  PaymentDelayed: [
    "payments",
    { ...payment, detail: "", retry_at: "2030-01-01T00:00:00Z" },
    { type: "ExtendReservation", reservation_id: "c1", key: "payments-7-0", retake: true },
  ],
  OrderPartlyShipped: [
    "fulfillment",
    { ...parcel, part: 2 },
    { type: "CommitReservation", ...order, lines, key: "part-2" },
  ],
  OrderFulfilled: [
    "fulfillment",
    { ...parcel, part: 3 },
    { type: "CommitReservation", reservation_id: "c1", settle: true },
  ],
  CartHoldRequested: [
    "carts",
    { cart_id: "mine", reservation_id: "c1", key: "k1", lines, ttl_seconds: 1_800 },
    { type: "ReserveStock", reservation_id: "c1", key: "k1", lines, ttl_seconds: 1_800 },
  ],
  CartHoldReleased: [
    "carts",
    { cart_id: "mine", reservation_id: "c1", reason: "emptied" },
    { type: "ReleaseReservation", reservation_id: "c1", reason: "emptied", unless_adopted: true },
  ],
};

describe("what an event asks of the stock:", () => {
  it.each(Object.entries(asks))("%s", (type, [topic, data, command]) => {
    const event = busEvent(topic, 7, { type, data });
    expect(commandsFrom([event])).toEqual([{ ...command, cause: event.id }]);
  });

  it("for every event that is followed, and no other", () => {
    const followed = Object.entries(topics).flatMap(([topic, types]) => types.map((type) => [type, topic]));
    expect(Object.entries(asks).map(([type, [topic]]) => [type, topic])).toEqual(followed);
  });

  it("in the order of the events, each with the trace that it belongs to", () => {
    const [first, second] = [
      { ...busEvent("orders", 1, { type: "OrderFailed", data: order }), traceparent: "00-1-2-01" },
      busEvent("payments", 1, { type: "PaymentSucceeded", data: payment }),
    ];
    expect(commandsFrom([first, second])).toMatchObject([
      { type: "ReleaseReservation", traceparent: "00-1-2-01" },
      { type: "SecureReservation" },
    ]);
    expect(commandsFrom([second])[0]).not.toHaveProperty("traceparent");
  });
});
