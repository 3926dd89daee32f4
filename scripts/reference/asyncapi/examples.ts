import type { JsonSchema } from "../json-schema.ts";
import type { PublishedEvent } from "../schemas.ts";
import { sourceOf } from "./headers.ts";

const order = "ord-0199e3c1";
const time = "2026-03-02T09:30:00.000Z";

/** Data has one spelling everywhere, so a field's name is enough to give it a value that looks like one. */
const values: Readonly<Record<string, unknown>> = {
  order_id: order,
  payment_id: order,
  shipment_id: order,
  reservation_id: "res-0199e3c1",
  cart_id: "cart-17",
  customer_id: "anna",
  product_id: "mug",
  adjustment_id: "count-2026-03",
  store_id: "main",
  sku: "MUG-BLUE",
  product_sku: "MUG-BLUE",
  name: "Mug",
  currency: "EUR",
  price_minor: 1_250,
  total_minor: 2_500,
  amount_minor: 2_500,
  quantity: 2,
  quantity_on_hand: 40,
  quantity_reserved: 6,
  quantity_available: 34,
  quantity_owed: 0,
  requested: 2,
  available: 1,
  threshold: 40,
  version: 58,
  part: 1,
  ttl_seconds: 900,
  key: "change-3",
  token: "tok_ok",
  gateway: "simulated",
  gateway_reference: "ch_1042",
  carrier: "simulated",
  tracking: "TRK1042",
  reason: "changed my mind",
  detail: "There is not enough stock.",
  actor: "holdfast",
  code: "inventory.insufficient_stock",
};

/** Fields whose name says less than the event that they are in. */
const special: Readonly<Record<string, object>> = {
  InventorySync: { event_type: "RESERVED" },
  StockIn: { reason: "delivery 4711" },
  StockOut: { reason: "sold at till 3" },
  InventoryReleased: { reason: "expired", now: "expired" },
  InventoryAdjusted: { reason: "stocktaking", actor: "lena" },
  PaymentFailed: { code: "declined", detail: "The card was declined." },
  PaymentDelayed: { detail: "The gateway does not answer." },
  FulfillmentFailed: { code: "fulfillment.refused", detail: "The carrier does not deliver there." },
  OrderFailed: { reason: "inventory.insufficient_stock" },
  ShipmentCancellationRefused: { detail: "It has been shipped already." },
};

export interface Example {
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

export function exampleOf({ topic, type, schema }: PublishedEvent): Example {
  const parts = schema.$defs ?? {};
  const payload = { ...(sampleOf("", schema, parts) as Record<string, unknown>), ...special[type] };
  const subject = subjectOf(topic.service, payload);
  const key = keyOf(schema["x-key"], subject, payload);
  const headers =
    topic.direction === "sent" ? sentHeaders(topic.service, type, subject, key) : takenHeaders(type);
  return { key, headers, payload };
}

function subjectOf(service: string, data: Readonly<Record<string, unknown>>): string {
  const names = [
    ...(service === "inventory" ? ["reservation_id", "adjustment_id"] : []),
    "order_id",
    "cart_id",
  ];
  const found = [...names, "product_id", "product_sku", "sku"].find((name) => typeof data[name] === "string");
  return found === undefined ? "stock" : String(data[found]);
}

function keyOf(
  rule: readonly string[] | undefined,
  subject: string,
  data: Readonly<Record<string, unknown>>,
): string {
  if (rule === undefined) return "main";
  const found = rule.map((place) => (place === "subject" ? subject : data[place.slice("data.".length)]));
  return String(found.find((value) => typeof value === "string"));
}

function sentHeaders(service: string, type: string, subject: string, key: string): Record<string, string> {
  return {
    "content-type": "application/json",
    ce_specversion: "1.0",
    ce_id: type === "InventorySync" ? "inventory-1041-0-0" : `${service}-1041-0`,
    ce_source: sourceOf(service),
    ce_type: type,
    ce_subject: subject,
    ce_time: time,
    ce_partitionkey: key,
    ce_logid: "5d41402abc4b2a76",
    ...(key === order && { ce_correlationid: order }),
  };
}

function takenHeaders(type: string): Record<string, string> {
  return {
    "content-type": "application/json",
    ce_specversion: "1.0",
    ce_id: "booking-4711",
    ce_source: "/warehouse/berlin",
    ce_type: type,
    ce_time: time,
  };
}

function sampleOf(name: string, schema: JsonSchema, parts: Readonly<Record<string, JsonSchema>>): unknown {
  if (schema.$ref !== undefined) return sampleOf(name, parts[schema.$ref.split("/").at(-1)!]!, parts);
  if (schema.anyOf !== undefined) return sampleOf(name, schema.anyOf[0]!, parts);
  if (schema.enum !== undefined) return schema.enum[0];
  const type = typeof schema.type === "object" ? schema.type[0] : schema.type;
  switch (type) {
    case "object": {
      const needed = Object.entries(schema.properties ?? {}).filter(([field]) =>
        schema.required?.includes(field),
      );
      return Object.fromEntries(needed.map(([field, value]) => [field, sampleOf(field, value, parts)]));
    }
    case "array":
      return [sampleOf(name, schema.items ?? {}, parts)];
    case "boolean":
      return true;
    case "integer":
      return values[name] ?? Math.max(schema.minimum ?? 1, 1);
    default:
      return schema.format === "date-time" ? time : (values[name] ?? name);
  }
}
