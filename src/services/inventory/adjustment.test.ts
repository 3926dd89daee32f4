import { describe, it } from "vitest";
import { maxQuantity } from "../../kernel/limits.ts";
import {
  adjust,
  adjusted,
  at,
  commit,
  committed,
  confirmed,
  count,
  delisted,
  given,
  inStore,
  line,
  listed,
  opened,
  released,
  reserve,
  reserved,
  shortfall,
  stock,
  sync,
  syncAt,
} from "../../testing/inventory.ts";
import type { StockRecord, SyncProduct } from "./contract/index.ts";

const mugs = stock("MUG", 10);
const pens = stock("PEN", 4);
const byForce = { force: true };
const forShortfall = { reason: "shortfall" };

describe("an adjustment", () => {
  it("changes what is on hand by a signed quantity", () => {
    given(mugs, pens)
      .when(adjust("a1", { MUG: 5, PEN: -4 }))
      .then(adjusted("a1", { MUG: 5, PEN: -4 }))
      .leaving("MUG", { quantity_on_hand: 15, quantity_available: 15, version: 3 })
      .leaving("PEN", { quantity_on_hand: 0, quantity_available: 0 });
  });

  it("adds up lines of the same SKU, also to nothing", () => {
    given(mugs, pens)
      .when(adjust("a1", [line("MUG", 5), line("PEN", 2), line("MUG", -3), line("PEN", -2)]))
      .then(adjusted("a1", { MUG: 2, PEN: 0 }));
  });

  it("is refused for an unknown SKU even if its lines add up to nothing", () => {
    given(mugs)
      .when(adjust("a1", [line("GHOST", 1), line("GHOST", -1)]))
      .thenRefused("inventory.unknown_sku");
  });

  it("opens the record of a store that has never had the SKU", () => {
    given(mugs)
      .when(adjust("a1", inStore("north", { MUG: 5 })))
      .then(opened("MUG", "north"), adjusted("a1", inStore("north", { MUG: 5 })))
      .leaving("MUG", { quantity_on_hand: 5, product_id: "P1" }, "north")
      .leaving("MUG", { quantity_on_hand: 10 });
  });

  it("is carried out once for each id, in whatever pieces it comes", () => {
    given(mugs, pens, adjusted("a1", { MUG: 5, PEN: 1 }))
      .when(adjust("a1", [line("PEN", 1), line("MUG", 2), line("MUG", 3)]))
      .thenNothing();
  });

  it("is a retry within one batch too", () => {
    given(mugs)
      .when(adjust("a1", { MUG: 5 }), adjust("a1", { MUG: 5 }))
      .then(adjusted("a1", { MUG: 5 }));
  });

  it("is a retry even when by now it would be refused", () => {
    given(mugs, adjusted("a1", { MUG: -10 }), delisted("MUG"))
      .when(adjust("a1", { MUG: -10 }))
      .thenNothing();
  });

  it("leaves alone what is reserved, down to the last free unit", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(adjust("a1", { MUG: -4 }))
      .then(adjusted("a1", { MUG: -4 }))
      .leaving("MUG", { quantity_on_hand: 6, quantity_available: 0 });
  });
});

describe("an adjustment is refused, in this order, because", () => {
  it.each([
    ["lines", adjust("a1", { GHOST: 1 })],
    ["quantities", adjust("a1", { MUG: -99 })],
    ["reason", adjust("a1", { MUG: 5 }, { reason: "breakage" })],
  ])("its id has named one with other %s", (_, command) => {
    given(mugs, adjusted("a1", { MUG: 5 }))
      .when(command)
      .thenRefused("inventory.adjustment_conflict");
  });

  it("a SKU is unknown, even if another overflows and a third is cut too far", () => {
    given(mugs, pens)
      .when(adjust("a1", { MUG: maxQuantity, PEN: -5, GHOST: 1 }))
      .thenRefused("inventory.unknown_sku", { GHOST: { requested: 1, available: 0 } });
  });

  it("a SKU is delisted", () => {
    given(mugs, delisted("MUG"))
      .when(adjust("a1", { MUG: 1 }))
      .thenRefused("inventory.unknown_sku");
  });

  it("its lines add up to more than can be kept", () => {
    given(mugs, pens)
      .when(adjust("a1", [line("PEN", -5), line("MUG", maxQuantity), line("MUG", 1)]))
      .thenRefused("inventory.quantity_overflow", {
        MUG: { requested: maxQuantity + 1, available: maxQuantity },
      });
  });

  it("what is on hand would be more than can be kept, by one", () => {
    given(stock("MUG", 10), pens)
      .when(adjust("a1", { PEN: -5, MUG: maxQuantity - 9 }))
      .thenRefused("inventory.quantity_overflow", {
        MUG: { requested: maxQuantity + 1, available: maxQuantity },
      });
    given(mugs)
      .when(adjust("a1", { MUG: maxQuantity - 10 }))
      .then(adjusted("a1", { MUG: maxQuantity - 10 }));
  });

  it("it would cut below what is reserved; then nothing is changed at all", () => {
    given(mugs, pens, reserved("r1", { MUG: 6 }))
      .when(adjust("a1", { PEN: 1, MUG: -5 }))
      .thenRefused("inventory.below_reserved", { MUG: { requested: 5, available: 4 } })
      .leaving("PEN", { quantity_on_hand: 4 });
  });

  it("it would cut what is not there, and no force can help that", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(adjust("a1", { MUG: -11 }, byForce))
      .thenRefused("inventory.insufficient_stock", { MUG: { requested: 11, available: 10 } });
    given(mugs)
      .when(adjust("a1", inStore("north", { MUG: -1 }), byForce))
      .thenRefused("inventory.insufficient_stock");
  });
});

describe("a count", () => {
  it("says what is on hand, whatever was thought", () => {
    given(mugs, reserved("r1", { MUG: 3 }))
      .when(count("MUG", 7))
      .then(adjusted(null, { MUG: -3 }, "stocktaking"))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 3, quantity_available: 4 });
  });

  it("that finds what was thought does nothing", () => {
    given(mugs).when(count("MUG", 10)).thenNothing();
  });

  it("opens the record of a store that has never had the SKU, even at nothing", () => {
    given(mugs)
      .when(count("MUG", 0, { store_id: "north" }))
      .then(opened("MUG", "north"), adjusted(null, inStore("north", { MUG: 0 }), "stocktaking"));
  });

  it("is not taken for the other way of changing stock", () => {
    given(mugs)
      .when(count("MUG", 5), adjust("a1", { MUG: 1 }), count("MUG", 5))
      .thenAnswers("adjusted", "adjusted", "adjusted")
      .leaving("MUG", { quantity_on_hand: 5 });
  });
});

describe("a count that expects a version", () => {
  const expecting = (expected_version: number) => ({ expected_version });

  it("is taken at that version", () => {
    given(mugs)
      .when(count("MUG", 7, expecting(2)))
      .then(adjusted("count/main/MUG/2", { MUG: -3 }, "stocktaking"));
  });

  it("opens a record with version 0", () => {
    given(listed("MUG"))
      .when(count("MUG", 7, expecting(0)))
      .then(opened("MUG"), adjusted("count/main/MUG/0", { MUG: 7 }, "stocktaking"));
  });

  it("is written down even if it was right already, so that its retry finds it", () => {
    given(mugs)
      .when(count("MUG", 10, expecting(2)), adjust("a1", { MUG: 1 }), count("MUG", 10, expecting(2)))
      .thenAnswers("adjusted", "adjusted", "adjusted")
      .leaving("MUG", { quantity_on_hand: 11 });
  });

  it("is a retry when it comes again, though the version has moved on", () => {
    given(mugs, adjusted("count/main/MUG/2", { MUG: -3 }, "stocktaking"), reserved("r1", { MUG: 1 }))
      .when(count("MUG", 7, expecting(2)))
      .thenNothing();
  });

  it("is a retry within one batch, but another count of that version is not", () => {
    given(mugs)
      .when(
        count("MUG", 7, expecting(2)),
        count("MUG", 7, expecting(2)),
        count("MUG", 6, expecting(2)),
        count("MUG", 7, { ...expecting(2), reason: "theft" }),
      )
      .thenAnswers("adjusted", "adjusted", "inventory.version_mismatch", "inventory.version_mismatch");
  });

  it("does not take the count of another record for its own, however its name is spelled", () => {
    given(stock("b/MUG", 10, "a"), stock("MUG", 10, "a/b"))
      .when(
        count("b/MUG", 7, { ...expecting(2), store_id: "a" }),
        count("MUG", 7, { ...expecting(2), store_id: "a/b" }),
      )
      .thenAnswers("adjusted", "adjusted")
      .leaving("b/MUG", { quantity_on_hand: 7 }, "a")
      .leaving("MUG", { quantity_on_hand: 7 }, "a/b");
  });
});

describe("a count is refused, in this order, because", () => {
  it("the SKU is unknown or delisted, whatever version was expected", () => {
    given(mugs)
      .when(count("GHOST", 7, { expected_version: 99 }))
      .thenRefused("inventory.unknown_sku", { GHOST: { requested: 7, available: 0 } });
    given(mugs, delisted("MUG")).when(count("MUG", 7)).thenRefused("inventory.unknown_sku");
  });

  it("the version is another, even if it would cut too far or change nothing", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(count("MUG", 1, { expected_version: 2 }))
      .thenRefused("inventory.version_mismatch");
    given(mugs)
      .when(count("MUG", 10, { expected_version: 1 }))
      .thenRefused("inventory.version_mismatch");
  });

  it("it would cut below what is reserved", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(count("MUG", 5, { expected_version: 3 }))
      .thenRefused("inventory.below_reserved", { MUG: { requested: 5, available: 4 } });
  });
});

describe("a forced cut releases whole reservations until the rest fits", () => {
  it("none, when what is free is enough", () => {
    given(mugs, reserved("r1", { MUG: 6 }))
      .when(adjust("a1", { MUG: -4 }, byForce))
      .then(adjusted("a1", { MUG: -4 }));
  });

  it("the newest unpaid ones first, and no more of them than needed", () => {
    given(mugs, reserved("r1", { MUG: 3 }), reserved("r2", { MUG: 3 }), reserved("r3", { MUG: 3 }))
      .when(adjust("a1", { MUG: -5 }, byForce))
      .then(
        released("r3", { MUG: 3 }, forShortfall),
        released("r2", { MUG: 3 }, forShortfall),
        adjusted("a1", { MUG: -5 }),
        shortfall("MUG", { r3: { status: "held", quantity: 3 }, r2: { status: "held", quantity: 3 } }),
      )
      .leaving("MUG", { quantity_on_hand: 5, quantity_reserved: 3, quantity_available: 2 })
      .leavingReservation("r3", { status: "released", reason: "shortfall" });
  });

  it("and stops as soon as the rest fits exactly", () => {
    given(mugs, reserved("r1", { MUG: 3 }), reserved("r2", { MUG: 7 }))
      .when(adjust("a1", { MUG: -7 }, byForce))
      .then(
        released("r2", { MUG: 7 }, forShortfall),
        adjusted("a1", { MUG: -7 }),
        shortfall("MUG", { r2: { status: "held", quantity: 7 } }),
      )
      .leaving("MUG", { quantity_on_hand: 3, quantity_reserved: 3, quantity_available: 0 });
  });

  it("then the newest paid ones, however much older the unpaid ones are", () => {
    given(
      mugs,
      reserved("unpaid", { MUG: 2 }),
      reserved("paid", { MUG: 2 }),
      confirmed("paid"),
      reserved("paid later", { MUG: 2 }),
      confirmed("paid later"),
    )
      .when(adjust("a1", { MUG: -7 }, byForce))
      .then(
        released("unpaid", { MUG: 2 }, forShortfall),
        released("paid later", { MUG: 2 }, forShortfall),
        adjusted("a1", { MUG: -7 }),
        shortfall("MUG", {
          unpaid: { status: "held", quantity: 2 },
          "paid later": { status: "confirmed", quantity: 2 },
        }),
      );
  });

  it("newest by when they were first held, not by when they were changed", () => {
    given(mugs, reserved("old", { MUG: 4 }), reserved("new", { MUG: 4 }), reserved("old", { MUG: 1 }))
      .when(adjust("a1", { MUG: -2 }, byForce))
      .then(
        released("new", { MUG: 4 }, forShortfall),
        adjusted("a1", { MUG: -2 }),
        shortfall("MUG", { new: { status: "held", quantity: 4 } }),
      );
  });

  it("all of them, when nothing is left", () => {
    given(mugs, reserved("r1", { MUG: 6 }), confirmed("r1"))
      .when(count("MUG", 0, byForce))
      .then(
        released("r1", { MUG: 6 }, forShortfall),
        adjusted(null, { MUG: -10 }, "stocktaking"),
        shortfall("MUG", { r1: { status: "confirmed", quantity: 6 } }),
      )
      .leaving("MUG", { quantity_on_hand: 0, quantity_reserved: 0, quantity_available: 0 });
  });

  it("with everything else that they hold, and says whose they were", () => {
    given(mugs, pens, reserved("r1", { MUG: 8, PEN: 4 }, { order_id: "o1" }))
      .when(adjust("a1", { MUG: -5 }, byForce))
      .then(
        released("r1", { MUG: 8, PEN: 4 }, { ...forShortfall, order_id: "o1" }),
        adjusted("a1", { MUG: -5 }),
        shortfall("MUG", { r1: { status: "held", quantity: 8, order_id: "o1" } }),
      )
      .leaving("PEN", { quantity_available: 4 });
  });

  it("and counts a victim for each SKU that it held: one may be enough for several lines", () => {
    given(mugs, pens, reserved("other", { PEN: 1 }), reserved("both", { MUG: 8, PEN: 3 }))
      .when(adjust("a1", { MUG: -5, PEN: -2 }, byForce))
      .then(
        released("both", { MUG: 8, PEN: 3 }, forShortfall),
        adjusted("a1", { MUG: -5, PEN: -2 }),
        shortfall("MUG", { both: { status: "held", quantity: 8 } }),
        shortfall("PEN", { both: { status: "held", quantity: 3 } }),
      )
      .leavingReservation("other", { status: "held" });
  });

  it("for each line that lacks something, and names nobody for the others", () => {
    given(mugs, pens, reserved("r1", { MUG: 8 }), reserved("r2", { PEN: 2 }))
      .when(adjust("a1", { MUG: -3, PEN: -2 }, byForce))
      .then(
        released("r1", { MUG: 8 }, forShortfall),
        adjusted("a1", { MUG: -3, PEN: -2 }),
        shortfall("MUG", { r1: { status: "held", quantity: 8 } }),
      );
  });

  it("counting only what they have not shipped, and passing over those that have shipped it all", () => {
    given(
      mugs,
      pens,
      reserved("r1", { MUG: 4 }),
      reserved("r2", { MUG: 4 }),
      committed("r2", { MUG: 3 }, { complete: false }),
      reserved("r3", { MUG: 1, PEN: 1 }),
      committed("r3", { MUG: 1 }, { complete: false }),
    )
      .when(adjust("a1", { MUG: -3 }, byForce))
      .then(
        released("r2", { MUG: 1 }, forShortfall),
        released("r1", { MUG: 4 }, forShortfall),
        adjusted("a1", { MUG: -3 }),
        shortfall("MUG", { r2: { status: "held", quantity: 1 }, r1: { status: "held", quantity: 4 } }),
      );
  });

  it("only in the store that is cut", () => {
    given(
      mugs,
      stock("MUG", 5, "north"),
      reserved("here", { MUG: 10 }),
      reserved("there", inStore("north", { MUG: 5 })),
    )
      .when(adjust("a1", { MUG: -1 }, byForce))
      .then(
        released("here", { MUG: 10 }, forShortfall),
        adjusted("a1", { MUG: -1 }),
        shortfall("MUG", { here: { status: "held", quantity: 10 } }),
      )
      .leaving("MUG", { quantity_reserved: 5 }, "north");
  });

  it("and what a victim was to ship cannot be shipped any more", () => {
    given(mugs, reserved("r1", { MUG: 8 }), confirmed("r1"))
      .when(adjust("a1", { MUG: -5 }, byForce), commit("r1"), reserve("r2", { MUG: 5 }))
      .thenAnswers("adjusted", "inventory.reservation_closed", "held");
  });
});

describe("what the catalogue says", () => {
  it("opens a record with nothing on hand in the default store", () => {
    given()
      .when(sync("P1", "MUG", "PEN"))
      .then(listed("MUG"), opened("MUG"), listed("PEN"), opened("PEN"))
      .leaving("MUG", { product_id: "P1", quantity_on_hand: 0, version: 1, last_updated_at: at(0) });
  });

  it("again changes nothing", () => {
    given(mugs, pens)
      .when(sync("P1", "PEN", "MUG"))
      .thenNothing();
  });

  it("drops a SKU that the product no longer has, in every store, with its stock and holds kept", () => {
    given(mugs, stock("MUG", 3, "north"), pens, reserved("r1", { MUG: 2 }))
      .when(sync("P1", "PEN"))
      .then(delisted("MUG", "main", "north"))
      .leaving("MUG", { listed: false, quantity_on_hand: 10, quantity_reserved: 2 })
      .leaving("MUG", { listed: false, quantity_on_hand: 3 }, "north");
  });

  it("takes a SKU up again where it was", () => {
    given(mugs, delisted("MUG"))
      .when(sync("P1", "MUG"), reserve("r1", { MUG: 10 }))
      .then(listed("MUG", "P1", "main"), reserved("r1", { MUG: 10 }));
  });

  it("moves a SKU to another product, which the old one then no longer drops", () => {
    given(mugs, pens)
      .when(sync("P2", "MUG"), sync("P1", "PEN"))
      .then(listed("MUG", "P2", "main"))
      .leaving("MUG", { product_id: "P2", listed: true });
  });

  it("holds for the commands behind it in the batch", () => {
    given(mugs)
      .when(
        reserve("r1", { CAP: 1 }),
        sync("P2", "CAP"),
        adjust("a1", { CAP: 1 }),
        reserve("r1", { CAP: 1 }),
        sync("P2", "HAT"),
        reserve("r2", { CAP: 1 }),
      )
      .thenAnswers("inventory.unknown_sku", "synced", "adjusted", "held", "synced", "inventory.unknown_sku")
      .leaving("CAP", { listed: false });
  });
});

describe("what the catalogue said before", () => {
  const a = (position: number, ...skus: string[]) => syncAt(position, "A", ...skus);
  const b = (position: number, ...skus: string[]) => syncAt(position, "B", ...skus);

  it.each([
    ["lists a SKU that was dropped since", [a(1, "MUG", "PEN"), a(2, "PEN")], a(1, "MUG", "PEN")],
    ["drops a SKU that was listed again since", [a(1, "PEN"), a(2, "PEN", "MUG")], a(1, "PEN")],
    ["opens a SKU that has another product since", [b(2, "MUG")], a(1, "MUG")],
    ["drops a SKU that is as it was since", [a(1, "MUG", "PEN"), a(3, "MUG", "PEN")], a(2, "PEN")],
    ["takes the SKU of another product that says it again", [b(1, "MUG"), b(3, "MUG")], a(2, "MUG")],
    ["differs at the same place", [a(1, "MUG", "PEN")], a(1, "PEN")],
  ])("never %s", (_, said, before) => {
    const shop = given();
    for (const command of said) shop.when(command);
    const { product_id, skus } = said.at(-1)!;
    shop
      .when(before)
      .thenNothing()
      .leaving("MUG", { product_id, listed: skus.includes("MUG") });
  });

  it("counts for what has not been decided since", () => {
    const shop = given();
    shop.when(b(2, "MUG"));
    shop.when(a(1, "MUG", "PEN")).then(listed("PEN", "A"), opened("PEN", "main", "A"));
  });

  it("is told from what it says later in one batch of its log", () => {
    const batch = [a(1, "MUG", "PEN"), { ...a(1, "PEN"), index: 1 }];
    const shop = given();
    shop.when(...batch);
    shop
      .when(...batch)
      .thenNothing()
      .leaving("MUG", { listed: false });
  });
});

describe("in whatever order the events of two products come, a SKU", () => {
  const [a, b] = ["A", "B"];
  const there = syncAt(1, a, "MUG", "PEN");
  const gone = syncAt(2, a, "PEN");
  const taken = syncAt(3, b, "MUG", "CAP");
  const free = syncAt(4, b, "CAP");

  it.each<[string, SyncProduct[], Partial<StockRecord>]>([
    ["belongs to the second", [there, gone, taken], { product_id: b, listed: true }],
    [
      "stays with the second while the first changes",
      [there, gone, taken, syncAt(4, a, "PEN", "HAT")],
      { product_id: b, listed: true },
    ],
    ["is nobody's", [there, gone, taken, free], { product_id: b, listed: false }],
    [
      "is back at the first",
      [there, gone, taken, free, syncAt(5, a, "MUG", "PEN")],
      { product_id: a, listed: true },
    ],
  ])("%s", (_, story, outcome) => {
    const of = (product: string) => story.filter(({ product_id }) => product_id === product);
    for (const heard of interleaved(of(a), of(b))) {
      const shop = given();
      for (const command of heard) shop.when(command);
      shop
        .when(...story)
        .thenNothing()
        .leaving("MUG", outcome);
    }
  });
});

/** All orders of both lists in which each is in its own. */
function interleaved<Item>(one: readonly Item[], other: readonly Item[]): Item[][] {
  if (one.length === 0 || other.length === 0) return [[...one, ...other]];
  const [[first, ...rest], [otherFirst, ...otherRest]] = [one as [Item], other as [Item]];
  return [
    ...interleaved(rest, other).map((tail) => [first, ...tail]),
    ...interleaved(one, otherRest).map((tail) => [otherFirst, ...tail]),
  ];
}
