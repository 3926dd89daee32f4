import { describe, it } from "vitest";
import { maxQuantity } from "../../kernel/limits.ts";
import {
  adjust,
  adjusted,
  at,
  confirmed,
  count,
  delisted,
  given,
  inStore,
  line,
  listed,
  lowStock,
  move,
  opened,
  release,
  released,
  reserve,
  reserved,
  settleUp,
  shortfall,
  stock,
} from "../../testing/inventory.ts";

const mugs = stock("MUG", 10);
const forShortfall = { reason: "shortfall" };
const owes = { quantity_on_hand: 0, quantity_reserved: 0, quantity_available: 0 };
const sold = (id: string, quantities: Parameters<typeof adjusted>[1], occurred_at?: Date) =>
  adjusted(id, quantities, "sold", "till", occurred_at);

describe("goods that have gone", () => {
  it("are gone", () => {
    given(mugs)
      .when(move("m1", { MUG: -3 }))
      .then(sold("m1", { MUG: -3 }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_available: 7, quantity_owed: 0 });
  });

  it("leave alone what is promised, as long as there is enough beside it", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(move("m1", { MUG: -4 }))
      .then(sold("m1", { MUG: -4 }))
      .leaving("MUG", { quantity_on_hand: 6, quantity_available: 0 });
  });

  it("take what is promised to others, the newest unpaid first", () => {
    given(
      mugs,
      reserved("paid", { MUG: 4 }),
      confirmed("paid"),
      reserved("old", { MUG: 3 }),
      reserved("new", { MUG: 3 }),
    )
      .when(move("m1", { MUG: -2 }))
      .then(
        released("new", { MUG: 3 }, forShortfall),
        sold("m1", { MUG: -2 }),
        shortfall("MUG", { new: { status: "held", quantity: 3 } }),
      )
      .leaving("MUG", { quantity_on_hand: 8, quantity_reserved: 7, quantity_available: 1, quantity_owed: 0 });
  });

  it("are owed as far as they were not even on hand, which drives everybody out", () => {
    given(mugs, reserved("r1", { MUG: 6 }), confirmed("r1"))
      .when(move("m1", { MUG: -14 }))
      .then(
        released("r1", { MUG: 6 }, forShortfall),
        sold("m1", { MUG: -14 }),
        shortfall("MUG", { r1: { status: "confirmed", quantity: 6 } }, 4),
      )
      .leaving("MUG", { ...owes, quantity_owed: 4 });
  });

  it("are owed, and told so, each time that there are more of them", () => {
    given(stock("MUG", 1))
      .when(move("m1", { MUG: -2 }), move("m2", { MUG: -3 }))
      .then(
        sold("m1", { MUG: -2 }),
        shortfall("MUG", {}, 1),
        sold("m2", { MUG: -3 }),
        shortfall("MUG", {}, 4),
      )
      .leaving("MUG", { ...owes, quantity_owed: 4 });
  });

  it("open the record of a store that has never had the SKU", () => {
    given(mugs)
      .when(move("m1", inStore("north", { MUG: -2 })))
      .thenHappened(opened("MUG", "north"), sold("m1", inStore("north", { MUG: -2 })), {
        type: "StockShortfall",
        data: { store_id: "north", sku: "MUG", reservations: [], quantity_owed: 2 },
      })
      .leaving("MUG", { ...owes, quantity_owed: 2 }, "north");
  });

  it("of a SKU that is offered no more are gone as well, and its new record is not offered either", () => {
    given(mugs, delisted("MUG", "main"))
      .when(move("m1", [line("MUG", -3), line("MUG", 2, "north")]))
      .thenHappened(opened("MUG", "north"), sold("m1", [line("MUG", -3), line("MUG", 2, "north")]))
      .leaving("MUG", { quantity_on_hand: 7, listed: false })
      .leaving("MUG", { quantity_on_hand: 2, listed: false }, "north");
  });

  it("are told with the time at which they went", () => {
    given(mugs)
      .after(60)
      .when(move("m1", { MUG: -1 }, { occurred_at: at(20) }))
      .then(sold("m1", { MUG: -1 }, at(20)))
      .leaving("MUG", { last_updated_at: at(60) });
  });

  it("are counted once for each id, however often and in whatever pieces they are told", () => {
    given(mugs)
      .when(move("m1", { MUG: -12 }), move("m1", [line("MUG", -5), line("MUG", -7)]))
      .then(sold("m1", { MUG: -12 }), shortfall("MUG", {}, 2));
  });

  it("warn of low stock once, and not of what was low before", () => {
    given(stock("MUG", 3))
      .warningAt(2)
      .when(move("m1", { MUG: -5 }), move("m2", { MUG: -5 }), move("m3", { MUG: 1 }))
      .then(
        sold("m1", { MUG: -5 }),
        shortfall("MUG", {}, 2),
        lowStock("MUG", 0, 2),
        sold("m2", { MUG: -5 }),
        shortfall("MUG", {}, 7),
        sold("m3", { MUG: 1 }),
      );
    given(stock("MUG", 1))
      .warningAt(2)
      .when(move("m1", { MUG: -5 }))
      .then(sold("m1", { MUG: -5 }), shortfall("MUG", {}, 4));
  });
});

describe("what is refused even of goods that have moved is", () => {
  it("a SKU that the catalogue has never known", () => {
    given(mugs)
      .when(move("m1", { MUG: -1, GHOST: 1 }))
      .thenRefused("inventory.unknown_sku", { GHOST: { requested: 1, available: 0 } });
  });

  it.each([
    ["other lines", move("m1", { MUG: -2 })],
    ["the other way round", move("m1", { MUG: 1 })],
    ["for another reason", move("m1", { MUG: -1 }, { reason: "stolen" })],
  ])("the same id with %s", (_, command) => {
    given(mugs, sold("m1", { MUG: -1 }))
      .when(command)
      .thenRefused("inventory.adjustment_conflict");
  });

  it("more than can be kept, on hand or owed", () => {
    given(mugs)
      .when(move("m1", { MUG: maxQuantity - 9 }))
      .thenRefused("inventory.quantity_overflow");
    given(stock("MUG", 0), sold("m0", { MUG: -10 }))
      .when(move("m1", { MUG: -(maxQuantity - 9) }))
      .thenRefused("inventory.quantity_overflow");
    given(stock("MUG", 0), sold("m0", { MUG: -10 }))
      .when(move("m1", { MUG: -(maxQuantity - 10) }))
      .thenAnswers("adjusted")
      .leaving("MUG", { ...owes, quantity_owed: maxQuantity });
  });
});

describe("what is owed", () => {
  const owed = [...stock("MUG", 0), sold("m0", { MUG: -5 })];

  it.each([
    ["less than it", 3, { ...owes, quantity_owed: 2 }],
    ["just as much", 5, { ...owes, quantity_owed: 0 }],
    ["more than it", 12, { quantity_on_hand: 7, quantity_available: 7, quantity_owed: 0 }],
  ])("is made up for by what comes in, first of all: %s", (_, quantity, expected) => {
    given(owed)
      .when(move("m1", { MUG: quantity }))
      .then(sold("m1", { MUG: quantity }))
      .leaving("MUG", expected);
    given(owed)
      .when(adjust("a1", { MUG: quantity }))
      .then(adjusted("a1", { MUG: quantity }))
      .leaving("MUG", expected);
  });

  it("leaves nothing to be held, and nothing to be cut", () => {
    given(owed)
      .when(move("m1", { MUG: 3 }), reserve("r1", { MUG: 1 }), adjust("a1", { MUG: -1 }, { force: true }))
      .thenAnswers("adjusted", "inventory.insufficient_stock", "inventory.insufficient_stock");
  });

  it.each([
    ["nothing", 0, { MUG: 5 }],
    ["something", 4, { MUG: 9 }],
  ])("is over once somebody has counted what is there: %s", (_, found, change) => {
    given(owed)
      .when(count("MUG", found))
      .then(adjusted(null, change, "stocktaking"))
      .leaving("MUG", { quantity_on_hand: found, quantity_owed: 0 });
  });

  it("is made up for by what an order gives back", () => {
    given(mugs)
      .committingOnPayment()
      .when(reserve("r1", { MUG: 8 }, { order_id: "o1" }), settleUp("r1"), move("m1", { MUG: -5 }))
      .thenAnswers("held", "committed", "adjusted")
      .leaving("MUG", { ...owes, quantity_owed: 3 });
    given(mugs, reserved("r1", { MUG: 8 }, { order_id: "o1" }))
      .when(
        settleUp("r1"),
        move("m1", { MUG: -5 }),
        release("r1", "cancelled", { order_id: "o1", restock: true }),
      )
      .thenAnswers("committed", "adjusted", "committed")
      .leaving("MUG", { quantity_on_hand: 5, quantity_owed: 0 });
  });

  it("stays what it is when the SKU is listed anew", () => {
    given(owed, delisted("MUG", "main"), listed("MUG", "P1", "main"))
      .when(move("m1", { MUG: 6 }))
      .thenAnswers("adjusted")
      .leaving("MUG", { quantity_on_hand: 1, quantity_owed: 0, listed: true });
  });
});
