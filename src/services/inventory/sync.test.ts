import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { busEventsOf } from "../../platform/bus/postgres/log-row.ts";
import { at, InventoryTables } from "../../testing/inventory.ts";
import { batches, runs, story } from "../../testing/inventory-story.ts";
import type { InventorySync, StockRecord } from "./contract/index.ts";
import { settle } from "./handle.ts";
import { syncMessagesOf } from "./sync.ts";

const result = { quantity_on_hand: 9, quantity_reserved: 2, quantity_available: 7, version: 5 };
const stated = { store_id: "main", sku: "MUG", quantity: 2, ...result };
const told = { store_id: "main", product_sku: "MUG", quantity: 2, quantity_available: 7, version: 5 };
const lines = [stated, { ...stated, sku: "PEN", version: 8 }];
const of = { reservation_id: "r1", order_id: "o1" };

const messagesOf = (type: string, data: object) => syncMessagesOf({ id: "inventory-7-3", type, data });
const dataOf = (type: string, data: object) => messagesOf(type, data).map((message) => message.data);

describe("the other channels are told", () => {
  it.each([
    ["InventoryReserved", { ...of, lines }, "RESERVED", "o1"],
    ["InventoryRetaken", { ...of, lines }, "RESERVED", "o1"],
    ["InventoryReleased", { ...of, lines, reason: "expired", now: "expired" }, "RELEASED", "o1"],
    ["InventoryReleased", { ...of, order_id: null, lines, reason: "amended", now: null }, "RELEASED", null],
    ["InventoryCommitted", { ...of, lines, key: null, complete: true }, "COMMITTED", "o1"],
    ["InventoryAdjusted", { adjustment_id: "a1", lines, reason: "delivery", actor: "me" }, "ADJUSTED", null],
  ])("each line of %s", (type, data, event_type, order_id) => {
    expect(dataOf(type, data)).toEqual([
      { ...told, event_type, order_id },
      { ...told, product_sku: "PEN", version: 8, event_type, order_id },
    ]);
  });

  it("under a name that is the same every time, in the order of the SKU", () => {
    const data = { ...of, lines };
    expect(messagesOf("InventoryReserved", data)).toMatchObject([
      { id: "inventory-7-3-0", key: "MUG", type: "InventorySync", subject: "MUG" },
      { id: "inventory-7-3-1", key: "PEN", type: "InventorySync", subject: "PEN" },
    ]);
    expect(messagesOf("InventoryReserved", data)).toEqual(messagesOf("InventoryReserved", data));
  });

  it("that a record is there, with nothing in it yet", () => {
    expect(dataOf("StockOpened", { store_id: "north", sku: "MUG", product_id: "P1" })).toEqual([
      {
        store_id: "north",
        product_sku: "MUG",
        quantity: 0,
        event_type: "ADJUSTED",
        order_id: null,
        quantity_available: 0,
        version: 1,
      },
    ]);
  });

  it.each([
    ["SkuDelisted", false, 0],
    ["SkuListed", undefined, 7],
  ])("what can be sold after %s", (type, isListed, quantity_available) => {
    const line = { ...stated, quantity: 0, ...(isListed === false && { listed: false }) };
    expect(dataOf(type, { product_id: "P1", sku: "MUG", lines: [line] })).toEqual([
      { ...told, quantity: 0, quantity_available, event_type: "ADJUSTED", order_id: null },
    ]);
  });

  it("that nothing can be sold of what moves while it is not offered", () => {
    const back = { ...of, lines: [{ ...stated, listed: false }], reason: "expired", now: "expired" };
    expect(dataOf("InventoryReleased", back)).toMatchObject([
      { quantity: 2, quantity_available: 0, version: 5 },
    ]);
  });

  it("how the records stood where the log begins", () => {
    const records = [
      { ...stated, listed: true },
      { ...stated, sku: "PEN", listed: false },
    ];
    expect(dataOf("StockSnapshot", { records })).toMatchObject([
      { ...told, quantity: 0, event_type: "ADJUSTED" },
      { product_sku: "PEN", quantity_available: 0, version: 5 },
    ]);
  });

  it.each([
    ["InventoryConfirmed", of],
    ["InventoryReservationFailed", { ...of, refusal: { code: "x", detail: "x" }, key: null }],
    ["StockShortfall", { store_id: "main", sku: "MUG", reservations: [], quantity_owed: 2 }],
    ["LowStock", { store_id: "main", sku: "MUG", quantity_available: 1, threshold: 2 }],
    ["SkuListed", { product_id: "P1", sku: "MUG" }],
    ["SomethingOfTomorrow", { lines }],
  ])("nothing by %s", (type, data) => {
    expect(messagesOf(type, data)).toEqual([]);
  });
});

// ---- whoever listens -----------------------------------------------------------------------------------------------

/** Takes what is newer than what it knows. */
function heard(messages: readonly InventorySync[]): Map<string, InventorySync> {
  const known = new Map<string, InventorySync>();
  for (const message of messages) {
    const place = `${message.product_sku} in ${message.store_id}`;
    if (message.version > (known.get(place)?.version ?? 0)) known.set(place, message);
  }
  return known;
}

function sellable(records: Iterable<StockRecord>): Record<string, [number, number]> {
  return Object.fromEntries(
    [...records].map(({ sku, store_id, listed, quantity_available, version }) => [
      `${sku} in ${store_id}`,
      [listed ? quantity_available : 0, version],
    ]),
  );
}

it("whoever hears it late, twice and in any order ends with what can be sold", () => {
  const disorder = fc.infiniteStream(fc.nat());
  fc.assert(
    fc.property(batches, disorder, (script, chance) => {
      const tables = new InventoryTables();
      let seconds = 0;
      for (const { wait, commands } of story(script)) {
        seconds += wait;
        const book = tables.open(commands, at(seconds));
        for (const command of commands) settle(book, command);
        tables.save(book);
      }
      const messages = tables.log
        .flatMap((batch, i) =>
          busEventsOf("inventory", { ...batch, position: i + 1, events: JSON.stringify(batch.events) }),
        )
        .flatMap(syncMessagesOf);
      const random = () => chance.next().value as number;
      const told = messages
        .flatMap((message) => (random() % 3 === 0 ? [message, message] : [message]))
        .map((message) => ({ message, place: random() }))
        .sort((a, b) => a.place - b.place)
        .map(({ message }) => message);
      const known = [...heard(told.map(({ data }) => data))].map(([place, message]) => [
        place,
        [message.quantity_available, message.version],
      ]);
      expect(Object.fromEntries(known)).toEqual(sellable(tables.stock.values()));
      expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length);
    }),
    runs(400),
  );
});
