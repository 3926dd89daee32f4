import { describe, expect, it } from "vitest";
import { about } from "./about.ts";

const trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${trace_id}-00f067aa0ba902b7-01`;

describe("a line is about", () => {
  it.each<[string, object, object]>([
    ["a command's order", { type: "CreateOrder", order_id: "o1", traceparent }, { order_id: "o1", trace_id }],
    ["a payment's order", { type: "RecordCharge", payment_id: "o1" }, { order_id: "o1" }],
    ["a shipment's order", { type: "Ship", shipment_id: "o1" }, { order_id: "o1" }],
    [
      "an event's order",
      { subject: "r1", data: { order_id: "o1" }, traceparent },
      { order_id: "o1", trace_id },
    ],
    ["no order", { type: "ReserveStock", order_id: null, traceparent }, { trace_id }],
    ["nothing", { type: "PutProduct", product_id: "mug", traceparent: "nonsense" }, {}],
  ])("%s", (_what, item, fields) => {
    expect(about(item)).toEqual(fields);
  });
});
