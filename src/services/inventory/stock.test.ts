import { describe, expect, it } from "vitest";
import { maxQuantity } from "../../kernel/limits.ts";
import {
  adjust,
  adjusted,
  at,
  commit,
  committed,
  count,
  given,
  InventoryTables,
  inStore,
  line,
  lowStock,
  opened,
  release,
  released,
  reserve,
  reserved,
  shortfall,
  stock,
} from "../../testing/inventory.ts";
import { InvariantViolation } from "./book.ts";
import type { StockRecord } from "./contract/index.ts";
import { isSound, mergeLines, openedRecord, StockMap } from "./stock.ts";

describe("stock moves", () => {
  const held = [stock("MUG", 10), reserved("r1", { MUG: 4 })];

  it.each([
    [
      "a hold",
      reserve("r2", { MUG: 1 }),
      { quantity_on_hand: 10, quantity_reserved: 5, quantity_available: 5 },
    ],
    ["a release", release("r1"), { quantity_on_hand: 10, quantity_reserved: 0, quantity_available: 10 }],
    ["a commit", commit("r1"), { quantity_on_hand: 6, quantity_reserved: 0, quantity_available: 6 }],
    [
      "a delivery",
      adjust("a1", { MUG: 5 }),
      { quantity_on_hand: 15, quantity_reserved: 4, quantity_available: 11 },
    ],
    ["a count", count("MUG", 5), { quantity_on_hand: 5, quantity_reserved: 4, quantity_available: 1 }],
  ])("with %s, which is one version and the time of the batch", (_, command, expected) => {
    given(...held)
      .after(60)
      .when(command)
      .thenAnswers(expect.any(String))
      .leaving("MUG", { ...expected, version: 4, last_updated_at: at(60) });
  });

  it("and every event states what came of each of its lines", () => {
    const tables = new InventoryTables();
    tables.replay([...stock("MUG", 10), ...stock("PEN", 4, "north")], at(0));
    tables.replay([reserved("r1", [line("MUG", 3), line("PEN", 4, "north")])], at(1));
    expect(tables.log[1]?.events).toMatchObject([
      {
        data: {
          lines: [
            {
              sku: "MUG",
              quantity: 3,
              quantity_on_hand: 10,
              quantity_reserved: 3,
              quantity_available: 7,
              version: 3,
            },
            {
              sku: "PEN",
              quantity: 4,
              quantity_on_hand: 4,
              quantity_reserved: 4,
              quantity_available: 0,
              version: 3,
            },
          ],
        },
      },
    ]);
  });
});

describe("the golden rule", () => {
  const sound: StockRecord = {
    ...openedRecord({ store_id: "main", sku: "MUG" }, "P1", at(0)),
    quantity_on_hand: 10,
    quantity_reserved: 4,
    quantity_available: 6,
  };

  it("holds for what is whole, bounded, and adds up", () => {
    expect(isSound(sound)).toBe(true);
    expect(isSound({ ...sound, quantity_on_hand: maxQuantity, quantity_available: maxQuantity - 4 })).toBe(
      true,
    );
  });

  it.each<[string, Partial<StockRecord>]>([
    ["more is promised than is there", { quantity_reserved: 11, quantity_available: -1 }],
    ["less than nothing is reserved", { quantity_reserved: -1, quantity_available: 11 }],
    ["it does not add up", { quantity_available: 5 }],
    ["a unit is cut in two", { quantity_on_hand: 10.5, quantity_available: 6.5 }],
    [
      "it is more than can be kept",
      { quantity_on_hand: maxQuantity + 1, quantity_available: maxQuantity - 3 },
    ],
  ])("is broken when %s", (_, change) => {
    expect(isSound({ ...sound, ...change })).toBe(false);
  });

  it("stops a book in which an event went too far", () => {
    const tables = new InventoryTables();
    tables.replay(stock("MUG", 10), at(0));
    expect(() => tables.replay([reserved("r1", { MUG: 11 })], at(1))).toThrow(InvariantViolation);
    expect(() => tables.replay([reserved("r1", { GHOST: 1 })], at(1))).toThrow(InvariantViolation);
  });
});

describe("low stock", () => {
  it("is said when the threshold is reached, by a hold or by a cut", () => {
    given(stock("MUG", 10))
      .warningAt(5)
      .when(reserve("r1", { MUG: 5 }))
      .then(reserved("r1", { MUG: 5 }), lowStock("MUG", 5, 5));
    given(stock("MUG", 10))
      .warningAt(5)
      .when(adjust("a1", { MUG: -8 }))
      .then(adjusted("a1", { MUG: -8 }), lowStock("MUG", 2, 5));
  });

  it("is not said above it", () => {
    given(stock("MUG", 10))
      .warningAt(5)
      .when(reserve("r1", { MUG: 4 }))
      .then(reserved("r1", { MUG: 4 }));
  });

  it("is said once, however far it falls from there", () => {
    given(stock("MUG", 10))
      .warningAt(5)
      .when(reserve("r1", { MUG: 6 }), reserve("r2", { MUG: 1 }), reserve("r3", { MUG: 3 }))
      .then(
        reserved("r1", { MUG: 6 }),
        lowStock("MUG", 4, 5),
        reserved("r2", { MUG: 1 }),
        reserved("r3", { MUG: 3 }),
      );
  });

  it("is said again once it was above in between", () => {
    given(stock("MUG", 10), reserved("r1", { MUG: 6 }))
      .warningAt(5)
      .when(release("r1"), reserve("r2", { MUG: 6 }))
      .then(released("r1", { MUG: 6 }), reserved("r2", { MUG: 6 }), lowStock("MUG", 4, 5));
  });

  it("is no news when a cut frees stock that was promised, and takes it away at once", () => {
    given(stock("MUG", 10), reserved("r1", { MUG: 8 }))
      .warningAt(5)
      .when(adjust("a1", { MUG: -8 }, { force: true }))
      .then(
        released("r1", { MUG: 8 }, { reason: "shortfall" }),
        adjusted("a1", { MUG: -8 }),
        shortfall("MUG", { r1: { status: "held", quantity: 8 } }),
      );
  });

  it("is said for each line on its own, in its own store", () => {
    given(stock("MUG", 10), stock("PEN", 10), stock("MUG", 10, "north"))
      .warningAt(5)
      .when(reserve("r1", [line("MUG", 5), line("PEN", 7), line("MUG", 1, "north")]))
      .then(
        reserved("r1", [line("MUG", 5), line("PEN", 7), line("MUG", 1, "north")]),
        lowStock("MUG", 5, 5),
        lowStock("PEN", 3, 5),
      );
  });

  it("is no news when what was promised is shipped, or a record begins with nothing", () => {
    given(stock("MUG", 10), reserved("r1", { MUG: 8 }))
      .warningAt(5)
      .when(commit("r1"))
      .then(committed("r1", { MUG: 8 }));
    given(stock("MUG", 10))
      .warningAt(5)
      .when(count("MUG", 3, { store_id: "north" }))
      .then(opened("MUG", "north"), adjusted(null, inStore("north", { MUG: 3 }), "stocktaking"));
  });
});

describe("keys", () => {
  it("are store and SKU together: neither alone, nor joined by any character", () => {
    const map = new StockMap<string>();
    map.set({ store_id: "a", sku: "b/c" }, "first");
    map.set({ store_id: "a/b", sku: "c" }, "second");
    map.set({ store_id: "a", sku: "c" }, "third");
    expect(map.get({ store_id: "a", sku: "b/c" })).toBe("first");
    expect(map.get({ store_id: "b", sku: "c" })).toBeUndefined();
    expect(map.values()).toHaveLength(3);
  });

  it("merge the lines that share one, in the order in which they came", () => {
    expect(mergeLines([line("MUG", 1), line("PEN", 2), line("MUG", 3, "north"), line("MUG", 4)])).toEqual([
      line("MUG", 5),
      line("PEN", 2),
      line("MUG", 3, "north"),
    ]);
  });
});
