import { describe, expect, it } from "vitest";
import { transact } from "../platform/batch/transaction.ts";
import type { Attributes, Broker, OutgoingMessage } from "../platform/bus/broker/broker.ts";
import { relaySubscription } from "../platform/bus/broker/relay.ts";
import { Topics } from "../platform/bus/broker/topics.ts";
import type { BusEvent } from "../platform/bus/port.ts";
import { busEventsOf } from "../platform/bus/postgres/log-row.ts";
import { serviceNames } from "../platform/settings.ts";
import { createLogger } from "../platform/telemetry/logger.ts";
import { stockSnapshot } from "../services/inventory/store/snapshot.ts";
import { syncMessagesOf } from "../services/inventory/sync.ts";
import { type AsyncApiDocument, asyncApiDocument, asyncApiValidator } from "./async-api.ts";
import { line, type Shop, useShop } from "./shop.ts";

/** What other systems send, and so no log has it. */
const inbound = ["StockIn", "StockOut"];

describe("every event that the services write is as docs/reference/asyncapi.json says", () => {
  const shop = useShop();
  const byHand = useShop({ carrier: "manual" });
  const late = useShop({ carrier: "manual" });
  const validator = asyncApiValidator();

  it("in the logs of orders, carts and counts that come to all kinds of ends", async () => {
    await Promise.all([
      catalogue(shop),
      counts(shop),
      carts(shop),
      ends(shop),
      // Parcels are not about an outage, and both are about the same gateway.
      outage(byHand).then(() => parcels(byHand)),
      lateMoney(late),
    ]);
    const said: BusEvent[] = [];
    for (const each of [shop, byHand, late]) {
      await each.settled();
      said.push(...(await each.said()));
    }
    said.push(...(await snapshot(shop)));
    const messages = await relayed(said);

    const complaints = messages.flatMap(({ topic, key, attributes, body }) =>
      validator.check(topic, key, attributes, body),
    );
    expect([...new Set(complaints)]).toEqual([]);
    const checked = [...validator.counts.values()].reduce((sum, count) => sum + count, 0);
    expect(checked).toBe(messages.length);
    expect(messages.length).toBeGreaterThan(said.length);
    const never = [...validator.counts].flatMap(([type, count]) => (count === 0 ? [type] : []));
    expect(never).toEqual(inbound);

    const tampered = asyncApiValidator({ document: withoutField("OrderCreated", "total_minor") });
    const found = messages.flatMap((message) =>
      tampered.check(message.topic, message.key, message.attributes, message.body),
    );
    const created = messages.filter(({ attributes }) => attributes.type === "OrderCreated");
    expect(found).toEqual(
      created.map(() => "OrderCreated: data must NOT have additional properties (total_minor)"),
    );
  });
});

describe("the validator complains", () => {
  const data = { store_id: "main", product_sku: "MUG", quantity: 1, event_type: "RESERVED" };
  const right = { ...data, order_id: null, quantity_available: 4, version: 7 };
  const attributes = {
    specversion: "1.0",
    id: "inventory-7-0-0",
    source: "/holdfast/inventory",
    type: "InventorySync",
    subject: "MUG",
    time: "2026-03-02T09:30:00.000Z",
    datacontenttype: "application/json",
    partitionkey: "MUG",
    logid: "0123456789abcdef",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  };
  const untouched = asyncApiValidator();
  const check = (message: Partial<Sent> = {}, document?: AsyncApiDocument) => {
    const { topic = "inventory.sync", key = "MUG", body = JSON.stringify(right) } = message;
    const validator = document === undefined ? untouched : asyncApiValidator({ document });
    return validator.check(topic, key, message.attributes ?? attributes, body).join("; ");
  };
  const without = (name: keyof typeof attributes): Attributes => {
    const { [name]: _, ...others } = attributes;
    return others;
  };
  const saying = (changed: object) => ({ body: JSON.stringify({ ...right, ...changed }) });

  it("about nothing that is right", () => {
    expect(check()).toBe("");
    expect(check({ topic: "t1.inventory.sync" })).toContain("no channel");
    const prefixed = asyncApiValidator({ prefix: "t1." });
    expect(prefixed.check("t1.inventory.sync", "MUG", attributes, JSON.stringify(right))).toEqual([]);
    expect(prefixed.counts.get("InventorySync")).toBe(1);
    expect(prefixed.check("t1.holdfast.orders", "MUG", attributes, "{}")).toEqual([
      "there is no message InventorySync in t1.holdfast.orders",
    ]);
  });

  it.each<[string, Partial<Sent>, string]>([
    ["an unknown channel", { topic: "inventory.synk" }, "there is no channel inventory.synk"],
    ["an unknown type", { attributes: { ...attributes, type: "Sync" } }, "there is no message Sync"],
    ["no type", { attributes: without("type") }, "there is no message without a type"],
    ["a body that is no JSON", { body: "{" }, "the body is not JSON"],
    ["a body that is no object", { body: "null" }, "data must be object"],
    ["a field too much", saying({ colour: "blue" }), "data must NOT have additional properties (colour)"],
    ["a field too little", saying({ version: undefined }), "data must have required property 'version'"],
    ["a field of another type", saying({ quantity: "1" }), "data/quantity must be integer"],
    [
      "a value that is not in the list",
      saying({ event_type: "LOST" }),
      "data/event_type must be equal to one",
    ],
    ["a null", saying({ store_id: null }), "data/store_id must be string"],
    ["another key", { key: "PEN" }, "the key is PEN, and should be MUG"],
    ["another partitionkey", { attributes: { ...attributes, partitionkey: "PEN" } }, "partitionkey is PEN"],
    ["another source", { attributes: { ...attributes, source: "/holdfast/orders" } }, "headers/ce_source"],
    ["another specversion", { attributes: { ...attributes, specversion: "0.3" } }, "headers/ce_specversion"],
    [
      "a time that is none",
      { attributes: { ...attributes, time: "now" } },
      "headers/ce_time must match format",
    ],
    ["an unknown attribute", { attributes: { ...attributes, colour: "blue" } }, "(ce_colour)"],
    ["no id", { attributes: without("id") }, "required property 'ce_id'"],
    ["no content type", { attributes: without("datacontenttype") }, "required property 'content-type'"],
  ])("about %s", (_, message, complaint) => {
    expect(check(message)).toContain(complaint);
  });

  it("about the order that a message does not name", () => {
    const order = { order_id: "o1", reservation_id: "r1", reason: "changed my mind" };
    const about = {
      ...attributes,
      source: "/holdfast/orders",
      type: "OrderCancellationRequested",
      subject: "o1",
      partitionkey: "o1",
      logid: "0123456789abcdef",
    };
    const message = { topic: "holdfast.orders", key: "o1", body: JSON.stringify(order) };
    expect(check({ ...message, attributes: { ...about, correlationid: "o1" } })).toBe("");
    expect(check({ ...message, attributes: about })).toContain(
      "correlationid is undefined, and should be o1",
    );
  });

  it("as soon as the document says something else", () => {
    expect(check({}, withoutField("InventorySync", "version"))).toContain(
      "data must NOT have additional properties (version)",
    );
  });
});

function withoutField(type: string, field: string): AsyncApiDocument {
  const document = asyncApiDocument();
  const schema = document.components.schemas[type] as {
    properties: Record<string, unknown>;
    required: string[];
  };
  delete schema.properties[field];
  schema.required = schema.required.filter((name) => name !== field);
  return document;
}

// ---- how messages come about ---------------------------------------------------------------------------------------

interface Sent extends OutgoingMessage {
  readonly topic: string;
}

/** What the relay makes of events. */
async function relayed(events: readonly BusEvent[]): Promise<Sent[]> {
  const sent: Sent[] = [];
  const broker = {
    createTopics: async () => {},
    publish: async (topic: string, messages: readonly OutgoingMessage[]) => {
      sent.push(...messages.map((message) => ({ ...message, topic })));
    },
  } as Partial<Broker> as Broker;
  const publicTopics = new Map([["inventory", [{ topic: "inventory.sync", messagesOf: syncMessagesOf }]]]);
  const relay = relaySubscription({
    broker,
    topics: Object.assign(
      new Topics({ broker, prefix: "", logs: [], pool: undefined as never, logger: createLogger("silent") }),
      {
        identityOf: () => "0123456789abcdef",
      },
    ),
    services: serviceNames,
    publicTopics,
    metrics: { publishFailed: () => {} } as Parameters<typeof relaySubscription>[0]["metrics"],
  });
  await relay.handle({ write() {} } as never, events);
  return sent;
}

/** What a log begins with once its beginning is dropped. */
async function snapshot(shop: Shop): Promise<BusEvent[]> {
  const pool = shop.poolOf("inventory");
  const { rows } = await pool.query("select max(position) as position, max(at) as at from inventory.log");
  await transact(pool, async (tx) => stockSnapshot.take(tx, { after: 0, ...rows[0] }));
  const base = await pool.query("select position, at, events from inventory.log_base");
  return base.rows.flatMap((row) => busEventsOf("inventory", row));
}

// ---- what happens in a shop ----------------------------------------------------------------------------------------

async function catalogue(shop: Shop): Promise<void> {
  const sku = await shop.stocked(3);
  await shop.priced(sku, 300);
  const other = { name: "another", skus: [{ sku: shop.fresh("sku"), price_minor: 1, currency: "EUR" }] };
  expect((await shop.put(`/v1/products/${shop.productOf(sku)}`, other)).status).toBe(200);
}

async function counts(shop: Shop): Promise<void> {
  const sku = await shop.stocked(9);
  await shop.held(line(sku, 8));
  const count = { quantity_on_hand: 4, reason: "flood", force: true };
  expect((await shop.put(`/v1/stock/main/${sku}`, count)).status).toBe(200);
  const id = await shop.held(line(sku, 1));
  expect((await shop.post(`/v1/reservations/${id}/extend`, { ttl_seconds: 600 })).status).toBe(200);
}

async function carts(shop: Shop): Promise<void> {
  const sku = await shop.stocked(20);
  const [left, bought] = [shop.fresh("cart"), shop.fresh("cart")];
  for (const cart of [left, bought]) {
    await shop.put(`/v1/carts/${cart}`, { lines: [line(sku, 3)] });
    await shop.shows(`/v1/carts/${cart}`, { hold: { status: "held" } });
  }
  await shop.delete(`/v1/carts/${left}`);
  const checkout = { customer_id: "anna", payment: { token: "tok_ok" } };
  const { body } = await shop.post(`/v1/carts/${bought}/checkout`, checkout);
  await shop.becomes(body.id, "completed");
}

async function ends(shop: Shop): Promise<void> {
  const sku = await shop.stocked(5);
  const order = (quantity: number, token: string) => shop.ordered({ lines: [line(sku, quantity)], token });
  await shop.becomes(await order(1, "tok_ok"), "completed");
  await shop.becomes(await order(9, "tok_ok"), "rejected");
  await shop.becomes(await order(1, "tok_declined"), "payment_failed");
  const late = await shop.unpaid([line(sku, 1)]);
  await shop.cancel(late);
  await shop.moneyComes(late);
  await shop.shows(`/v1/payments/${late}`, { status: "refunded" });
}

async function outage(shop: Shop): Promise<void> {
  const gateway = "/v1/payments/gateways/simulated";
  const sku = await shop.stocked(5);
  await shop.put(gateway, { down: true });
  const id = await shop.ordered({ lines: [line(sku, 1)] });
  await shop.shows(`/v1/orders/${id}`, { payment: { status: "delayed" } });
  await shop.put(gateway, {});
  await shop.becomes(id, "paid");
}

async function parcels(shop: Shop): Promise<void> {
  const sku = await shop.stocked(20);
  const paid = async () => {
    const id = await shop.ordered({ lines: [line(sku, 2)] });
    await shop.shows(`/v1/shipments/${id}`, { status: "open" });
    return id;
  };
  const [parts, broken, unwanted, gone] = [await paid(), await paid(), await paid(), await paid()];
  await shop.post(`/v1/shipments/${parts}/ship`, { lines: [line(sku, 1)] }, { "idempotency-key": "a" });
  await shop.post(`/v1/shipments/${parts}/ship`, {}, { "idempotency-key": "b" });
  await shop.becomes(parts, "completed");
  await shop.post(`/v1/shipments/${broken}/fail`, { detail: "It fell off the shelf." });
  await shop.becomes(broken, "cancelled");
  await shop.cancel(unwanted);
  await shop.becomes(unwanted, "cancelled");
  await tooLate(shop, gone);
}

/** The parcel leaves before fulfilment hears that it is not wanted. */
async function tooLate(shop: Shop, id: string): Promise<void> {
  const [letGo, letOrdersGo] = [await shop.holdUp("fulfillment"), await shop.holdUp("orders")];
  await shop.post(`/v1/shipments/${id}/ship`, {});
  await shop.cancel(id);
  await letGo();
  await letOrdersGo();
  await shop.becomes(id, "completed");
}

/** Payments that succeed when their holds have expired: one finds the stock again, the other does not. */
async function lateMoney(shop: Shop): Promise<void> {
  const orders = [await shop.stocked(2), await shop.stocked(2)].map(async (sku) => {
    const id = await shop.unpaid([line(sku, 2)]);
    await shop.holdRunsOut(id);
    await shop.stockIs(sku, 2, 0);
    return { sku, id };
  });
  const [lucky, unlucky] = await Promise.all(orders);
  await shop.put(`/v1/stock/main/${unlucky!.sku}`, { quantity_on_hand: 0, reason: "flood" });
  for (const { id } of [lucky!, unlucky!]) await shop.moneyComes(id);
  await shop.becomes(unlucky!.id, "expired");
  await shop.becomes(lucky!.id, "paid");
}
