import { describe, expect, it } from "vitest";
import { eventOf, movementOf, RefusedMessage } from "./inbound.ts";

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const attributes = { source: "/tills/7", id: "4711", type: "StockOut", specversion: "1.0" };
const lines = [{ store_id: "main", sku: "MUG", quantity: 2 }];

function message(changed: Record<string, string | undefined> = {}, data: unknown = { lines }) {
  const given = Object.entries({ ...attributes, ...changed }).filter(([, value]) => value !== undefined);
  const body = typeof data === "string" ? data : JSON.stringify(data);
  return {
    attributes: Object.fromEntries(given) as Record<string, string>,
    body,
    place: "inventory.inbound/2@9",
  };
}

const read = (...given: Parameters<typeof message>) => movementOf(eventOf(message(...given)));

describe("a message from outside", () => {
  it("is a movement of stock, named by its source and id", () => {
    expect(read()).toEqual({
      type: "MoveStock",
      adjustment_id: "inbound/%2Ftills%2F7/4711",
      lines: [{ store_id: "main", sku: "MUG", quantity: -2 }],
      reason: "stock out",
      actor: "/tills/7",
      occurred_at: null,
      cause: "4711",
    });
    expect(read({ type: "StockIn" })).toMatchObject({ lines: [{ quantity: 2 }], reason: "stock in" });
  });

  it("gives its reason, its time and its trace", () => {
    const occurred_at = "2030-01-01T10:00:00+02:00";
    const reason = "delivery";
    const told = read({ time: "2030-01-02T00:00:00Z", traceparent }, { lines, reason, occurred_at });
    expect(told).toMatchObject({ reason, occurred_at: new Date("2030-01-01T08:00:00Z"), traceparent });
    expect(read({ time: "2030-01-02T00:00:00Z" }).occurred_at).toEqual(new Date("2030-01-02T00:00:00Z"));
    expect(read({ traceparent: "nonsense" })).not.toHaveProperty("traceparent");
  });

  it("cannot take the name of another one, however the two are spelled", () => {
    const names = [
      read({ source: "a/b", id: "c" }),
      read({ source: "a", id: "b/c" }),
      read({ source: "a%2Fb", id: "c" }),
    ].map(({ adjustment_id }) => adjustment_id);
    expect(new Set(names).size).toBe(3);
  });

  it.each<[string, Record<string, string | undefined>, unknown, string]>([
    ["no source", { source: undefined }, { lines }, "The message has no source."],
    ["no id", { id: "" }, { lines }, "The message has no id."],
    ["no type", { type: undefined }, { lines }, "The message has no type."],
    ["a source without end", { source: "x".repeat(129) }, { lines }, "source is not 1 to 128 printable"],
    ["an id that is not printable", { id: "a\u0000" }, { lines }, "id is not 1 to 128 printable"],
    ["another type", { type: "StockLost" }, { lines }, 'The type "StockLost" is not known here'],
    ["what every object has", { type: "constructor" }, { lines }, 'The type "constructor" is not known here'],
    ["no JSON", {}, "{", "not JSON"],
    ["no body", {}, "", "not JSON"],
    ["something else than an object", {}, "[]", "data must be object"],
    ["no lines", {}, {}, "must have required properties lines"],
    ["no line", {}, { lines: [] }, "lines must not have fewer than 1 items"],
    ["nothing", {}, { lines: [{ ...lines[0], quantity: 0 }] }, "lines.0.quantity must be >= 1"],
    ["half a unit", {}, { lines: [{ ...lines[0], quantity: 0.5 }] }, "lines.0.quantity must be integer"],
    ["text", {}, { lines: [{ ...lines[0], quantity: "2" }] }, "lines.0.quantity must be integer"],
    ["a misspelt field", {}, { lines, raeson: "x" }, "data must not have additional properties"],
    [
      "a misspelt line",
      {},
      { lines: [{ ...lines[0], size: 1 }] },
      "lines.0 must not have additional properties",
    ],
    ["no time", {}, { lines, occurred_at: "yesterday" }, "occurred_at must match format"],
    ["a time of nobody's clock", { time: "once upon" }, { lines }, '"once upon" is no moment'],
  ])("is refused with the reason for %s", (_, changed, data, reason) => {
    const refusal = expect(() => read(changed, data));
    refusal.toThrow(RefusedMessage);
    expect(() => read(changed, data)).toThrow(reason);
  });

  it("is the same when it is sent again, wherever it is found, and another one with another content", () => {
    const [first] = [eventOf(message())];
    expect(eventOf({ ...message({ time: "2030-01-01T00:00:00Z" }), place: "elsewhere" }).id).toBe(first.id);
    for (const other of [
      message({ id: "4712" }),
      message({ type: "StockIn" }),
      message({}, { lines, reason: "x" }),
    ]) {
      expect(eventOf(other).id).not.toBe(first.id);
    }
  });

  it("that nobody can read is refused with the reason, and is another one than the next such message", () => {
    const unreadable =
      "What stands at inventory.inbound/2@9-11 cannot be read: zstd needs Node.js 22.15 or newer.";
    const lost = { attributes: {}, body: "", place: "inventory.inbound/2@9-11", unreadable };
    expect(() => movementOf(eventOf(lost))).toThrow(new RefusedMessage(unreadable));
    expect(eventOf({ ...lost, place: "elsewhere" }).id).toBe(eventOf(lost).id);
    expect(eventOf({ ...lost, unreadable: "What stands elsewhere" }).id).not.toBe(eventOf(lost).id);
  });

  it("is read when it is as long as what is agreed can be", () => {
    const names = Array.from({ length: 2_000 }, (_, i) => `${i}`.padStart(4, "0") + "𝄞".repeat(124));
    const longest = names.map((sku) => ({ store_id: sku, sku, quantity: 2_147_483_647 }));
    expect(read({}, { lines: longest }).lines).toHaveLength(2_000);
  });

  it.each([
    ["body", { ...message(), body: "\0".repeat(120_000_000) }],
    ["attributes", message({ note: "x".repeat(11_000_000), id: "y".repeat(11_000_000) })],
  ])("that is too long is refused, whatever is too long: its %s", (_, long) => {
    const event = eventOf(long);
    expect(() => movementOf(event)).toThrow(
      /^The message has \d{8,9} characters; at most 10000000 are read\.$/,
    );
    expect(JSON.stringify(event).length).toBeLessThan(100_000);
    expect(event.data).toMatchObject({ attributes: { source: attributes.source, type: attributes.type } });
    expect(eventOf({ ...long, body: `${long.body}.` }).id).not.toBe(event.id);
  });
});
