import { describe, expect, it } from "vitest";
import { topics } from "./consumers.ts";
import { summaryOf } from "./summary.ts";

const lines = [{ store_id: "main", sku: "mug", quantity: 2 }];
const refusal = { code: "inventory.insufficient_stock", detail: "mug in main: 2 requested, 0 available." };
const expires_at = "2030-01-07T09:00:00.000Z";

describe("what happened is told in one sentence", () => {
  it.each<[string, object, string]>([
    ["CartCheckedOut", {}, "The cart was checked out."],
    [
      "OrderCreated",
      { lines, total_minor: 500, currency: "EUR" },
      "The order was taken: 2 units for 5.00 EUR.",
    ],
    [
      "OrderCreated",
      { lines, total_minor: 500, currency: "JPY" },
      "The order was taken: 2 units for 500 JPY.",
    ],
    ["OrderPaid", {}, "The order is paid and its stock secured; it can be shipped."],
    [
      "OrderCancellationRequested",
      { reason: "too late" },
      "Fulfilment was asked to cancel the order: too late.",
    ],
    [
      "OrderCancelled",
      { reason: "shortfall", detail: "Gone." },
      "The order was cancelled (shortfall): Gone.",
    ],
    ["OrderFailed", { status: "rejected", detail: "None left." }, "The order was rejected: None left."],
    ["OrderFailed", { status: "expired", detail: "Too slow." }, "The order expired: Too slow."],
    [
      "OrderFailed",
      { status: "payment_failed", detail: "No" },
      "The order failed, because it was not paid: No.",
    ],
    ["OrderCompleted", {}, "The order is complete: paid, shipped and taken off the stock."],
    ["InventoryReserved", { lines, expires_at }, `Stock was reserved: 2 units, until ${expires_at}.`],
    [
      "InventoryReserved",
      { lines: [], expires_at },
      `The stock that the cart held became the order's, until ${expires_at}.`,
    ],
    ["InventoryRetaken", { lines, expires_at: null }, "The hold had expired, and the stock was taken again."],
    ["InventoryReservationFailed", { refusal }, `The stock could not be reserved: ${refusal.detail}`],
    ["InventoryConfirmed", {}, "The stock is secured for good."],
    [
      "InventoryConfirmationFailed",
      { refusal },
      `The stock was gone when the payment came: ${refusal.detail}`,
    ],
    ["InventoryExtended", { expires_at }, `The stock is held for longer, until ${expires_at}.`],
    ["InventoryReleased", { lines, reason: "expired", now: "expired" }, "The hold on the stock expired."],
    [
      "InventoryReleased",
      { lines, reason: "cancelled", now: "released" },
      "The stock was let go (cancelled).",
    ],
    ["InventoryReleased", { lines, reason: "amended", now: null }, "A part of the stock was let go."],
    ["InventoryCommitted", { lines, complete: true }, "2 units left the stock; nothing is left to ship."],
    ["InventoryCommitted", { lines, complete: false }, "2 units left the stock."],
    ["PaymentSucceeded", { amount_minor: 5, currency: "EUR" }, "0.05 EUR was paid."],
    ["PaymentFailed", { code: "declined", detail: "No money" }, "The payment failed (declined): No money."],
    [
      "PaymentDelayed",
      { detail: "timeout", retry_at: expires_at },
      `The payment gateway could not be reached, the next try is at ${expires_at}: timeout.`,
    ],
    [
      "PaymentRefunded",
      { amount_minor: 500, currency: "EUR", reason: "cancelled" },
      "5.00 EUR was paid back: cancelled.",
    ],
    ["ShipmentOpened", { lines }, "A shipment was opened: 2 units."],
    [
      "OrderPartlyShipped",
      { lines, part: 1, carrier: "DHL", tracking: "T1" },
      "Part 1 was shipped with DHL, tracking T1: 2 units.",
    ],
    ["OrderFulfilled", { lines, part: 1, carrier: "DHL", tracking: null }, "The order was shipped with DHL."],
    [
      "OrderFulfilled",
      { lines, part: 2, carrier: "DHL", tracking: null },
      "The last part was shipped with DHL: 2 units.",
    ],
    [
      "ShipmentCancelled",
      { reason: "cancelled" },
      "The shipment was cancelled before anything left: cancelled.",
    ],
    [
      "ShipmentCancellationRefused",
      { detail: "It left." },
      "It was too late to cancel the shipment: It left.",
    ],
    ["FulfillmentFailed", { detail: "No street." }, "The carrier did not take the shipment: No street."],
  ])("%s %o", (type, data, sentence) => {
    expect(summaryOf(type, data)).toBe(sentence);
  });

  it("for everything that is listened to", () => {
    const { catalog: _, ...told } = topics;
    for (const type of Object.values(told).flat()) {
      expect(summaryOf(type, { lines }), type).not.toBe(`${type}.`);
    }
  });
});
