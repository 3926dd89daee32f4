import { describe, it } from "vitest";
import { maxQuantity } from "../../kernel/limits.ts";
import {
  adjust,
  adjusted,
  at,
  commit,
  committed,
  confirm,
  confirmed,
  delisted,
  expire,
  expired,
  extend,
  extended,
  given,
  line,
  listed,
  reduced,
  refusedForGood,
  release,
  released,
  reserve,
  reserved,
  stock,
} from "../../testing/inventory.ts";
import type { InventoryCommand, InventoryEvent } from "./contract/index.ts";

const mugs = stock("MUG", 10);
const pens = stock("PEN", 4);

/** Every way in which a reservation can have ended, as its own given. */
const endings: Record<string, readonly (readonly InventoryEvent[])[]> = {
  released: [[reserved("r1", { MUG: 2 })], [released("r1", { MUG: 2 })]],
  expired: [[reserved("r1", { MUG: 2 })], [expired("r1", { MUG: 2 })]],
  committed: [[reserved("r1", { MUG: 2 })], [committed("r1", { MUG: 2 }, { key: "earlier" })]],
  tombstoned: [[released("r1", {})]],
};

describe("a hold", () => {
  it("takes what it asks for out of what is available", () => {
    given(mugs)
      .when(reserve("r1", { MUG: 3 }))
      .then(reserved("r1", { MUG: 3 }))
      .leaving("MUG", { quantity_on_hand: 10, quantity_reserved: 3, quantity_available: 7, version: 3 })
      .leavingReservation("r1", { status: "held", expires_at: at(900), created_at: at(0) });
  });

  it("takes the very last unit", () => {
    given(mugs, reserved("r1", { MUG: 9 }))
      .when(reserve("r2", { MUG: 1 }))
      .then(reserved("r2", { MUG: 1 }))
      .leaving("MUG", { quantity_available: 0 });
  });

  it("lasts as long as it is asked to, and remembers its order", () => {
    given(mugs)
      .after(30)
      .when(reserve("r1", { MUG: 1 }, { ttl_seconds: 60, order_id: "o1" }))
      .then(reserved("r1", { MUG: 1 }, { until: 90, order_id: "o1" }));
  });

  it("adds up lines that name the same SKU", () => {
    given(mugs)
      .when(reserve("r1", [line("MUG", 2), line("MUG", 3)]))
      .then(reserved("r1", { MUG: 5 }));
  });

  it("is refused when lines of the same SKU are too much together", () => {
    given(mugs)
      .when(reserve("r1", [line("MUG", 6), line("MUG", 6)]))
      .thenRefused("inventory.insufficient_stock", { MUG: { requested: 12, available: 10 } });
  });

  it("is all or nothing, and names every line that is missing", () => {
    given(mugs, pens, stock("HAT", 0))
      .when(reserve("r1", { MUG: 1, PEN: 5, HAT: 1 }))
      .thenRefused("inventory.insufficient_stock", {
        PEN: { requested: 5, available: 4 },
        HAT: { requested: 1, available: 0 },
      })
      .leaving("MUG", { quantity_reserved: 0 });
  });

  it("takes from each store what is there", () => {
    given(mugs, stock("MUG", 1, "north"))
      .when(reserve("r1", [line("MUG", 2, "north"), line("MUG", 2)]))
      .thenRefused("inventory.insufficient_stock", [
        { store_id: "north", sku: "MUG", requested: 2, available: 1 },
      ]);
    given(mugs, stock("MUG", 1, "north"))
      .when(reserve("r1", [line("MUG", 1, "north"), line("MUG", 2)]))
      .then(reserved("r1", [line("MUG", 1, "north"), line("MUG", 2)]))
      .leaving("MUG", { quantity_available: 8 })
      .leaving("MUG", { quantity_available: 0 }, "north");
  });

  it("finds nothing where the SKU has never been, in this store or in any", () => {
    given(mugs, listed("CAP"))
      .when(reserve("r1", [line("MUG", 1, "north"), line("CAP", 1)]))
      .thenRefused("inventory.insufficient_stock", [
        { store_id: "north", sku: "MUG", requested: 1, available: 0 },
        { store_id: "main", sku: "CAP", requested: 1, available: 0 },
      ]);
  });
});

describe("a hold is refused, in this order, because", () => {
  const overflow = [line("MUG", maxQuantity), line("MUG", 1)];

  it.each(Object.entries(endings))("its id is %s already, whatever it asks for", (_, ending) => {
    given(mugs, ...ending)
      .when(reserve("r1", { GHOST: 99 }))
      .thenRefused("inventory.reservation_closed");
  });

  it("its time is over, though nobody has swept it yet", () => {
    given(mugs, reserved("r1", { MUG: 2 }, { until: 60 }))
      .after(60)
      .when(reserve("r1", { GHOST: 99 }))
      .thenRefused("inventory.reservation_closed");
  });

  it("it would take out what has been committed, before its SKUs are looked at", () => {
    given(mugs, reserved("r1", { MUG: 4 }), committed("r1", { MUG: 3 }, { complete: false }))
      .when(reserve("r1", { MUG: 2, GHOST: 99 }))
      .thenRefused("inventory.already_committed", { MUG: { requested: 2, available: 3 } });
  });

  it("a SKU is unknown, even if others are too many or too few", () => {
    given(mugs)
      .when(reserve("r1", [...overflow, line("GHOST", 5), line("PHANTOM", 1)]))
      .thenRefused("inventory.unknown_sku", {
        GHOST: { requested: 5, available: 0 },
        PHANTOM: { requested: 1, available: 0 },
      });
  });

  it("a SKU is delisted, although it is there", () => {
    given(mugs, delisted("MUG"))
      .when(reserve("r1", { MUG: 1 }))
      .thenRefused("inventory.unknown_sku", { MUG: { requested: 1, available: 0 } });
  });

  it("its lines add up to more than can be kept, which no stock could be enough for", () => {
    given(mugs)
      .when(reserve("r1", overflow))
      .thenRefused("inventory.quantity_overflow", {
        MUG: { requested: maxQuantity + 1, available: maxQuantity },
      });
  });

  it("there is not enough", () => {
    given(mugs)
      .when(reserve("r1", { MUG: maxQuantity }))
      .thenRefused("inventory.insufficient_stock", { MUG: { requested: maxQuantity, available: 10 } });
  });
});

describe("the same hold again", () => {
  it("does nothing", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(reserve("r1", { MUG: 2 }))
      .thenNothing();
  });

  it("does nothing though its lines come in another order and in pieces", () => {
    given(mugs, pens, reserved("r1", { MUG: 2, PEN: 1 }))
      .when(reserve("r1", [line("PEN", 1), line("MUG", 1), line("MUG", 1)]))
      .thenNothing();
  });

  it("does nothing to its time", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .after(60)
      .when(reserve("r1", { MUG: 2 }, { ttl_seconds: 9_999 }))
      .thenNothing();
  });

  it("does nothing when it is paid for, or the SKU was delisted, or all the rest is gone", () => {
    given(mugs, reserved("r1", { MUG: 10 }), confirmed("r1"), delisted("MUG"))
      .when(reserve("r1", { MUG: 10 }))
      .thenNothing();
  });

  it("is a retry within one batch too", () => {
    given(mugs)
      .when(reserve("r1", { MUG: 6 }), reserve("r1", { MUG: 6 }))
      .then(reserved("r1", { MUG: 6 }));
  });

  it("may succeed after a refusal, which leaves no trace", () => {
    given(mugs)
      .when(reserve("r1", { MUG: 11 }), adjust("a1", { MUG: 1 }), reserve("r1", { MUG: 11 }))
      .thenAnswers("inventory.insufficient_stock", "adjusted", "held");
  });
});

describe("within one batch each command sees what the ones before it did", () => {
  it("so the last unit is sold once", () => {
    given(stock("MUG", 1))
      .when(reserve("r1", { MUG: 1 }), reserve("r2", { MUG: 1 }))
      .thenAnswers("held", "inventory.insufficient_stock");
  });

  it("and what is released is there for the next", () => {
    given(stock("MUG", 1), reserved("r1", { MUG: 1 }))
      .when(reserve("r2", { MUG: 1 }), release("r1"), reserve("r3", { MUG: 1 }))
      .thenAnswers("inventory.insufficient_stock", "released", "held");
  });
});

describe("an amendment moves only the difference", () => {
  it("when it is more", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(reserve("r1", { MUG: 5 }))
      .then(reserved("r1", { MUG: 3 }))
      .leavingReservation("r1", { lines: [{ ...line("MUG", 5), quantity_committed: 0 }] });
  });

  it("when it is less", () => {
    given(mugs, reserved("r1", { MUG: 5 }))
      .when(reserve("r1", { MUG: 2 }))
      .then(reduced("r1", { MUG: 3 }))
      .leavingReservation("r1", { status: "held", reason: null, expires_at: at(900) });
  });

  it("when it is less of one, more of another, none of a third and a new one", () => {
    given(mugs, pens, stock("HAT", 3), stock("CAP", 3), reserved("r1", { MUG: 5, PEN: 1, HAT: 3 }))
      .when(reserve("r1", { MUG: 2, PEN: 4, CAP: 1 }))
      .then(reduced("r1", { MUG: 3, HAT: 3 }), reserved("r1", { PEN: 3, CAP: 1 }))
      .leaving("HAT", { quantity_reserved: 0 });
  });

  it("and keeps its time, unless it says otherwise", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .after(60)
      .when(reserve("r1", { MUG: 3 }))
      .then(reserved("r1", { MUG: 1 }));
    given(mugs, reserved("r1", { MUG: 2 }))
      .after(60)
      .when(reserve("r1", { MUG: 3 }, { ttl_seconds: 100 }))
      .then(reserved("r1", { MUG: 1 }), extended("r1", 160));
  });

  it("of a paid hold, which still expires no more", () => {
    given(mugs, reserved("r1", { MUG: 2 }), confirmed("r1"))
      .when(reserve("r1", { MUG: 3 }, { ttl_seconds: 100 }))
      .then(reserved("r1", { MUG: 1 }, { until: null }))
      .leavingReservation("r1", { status: "confirmed", expires_at: null });
  });

  it("for its own order, whoever sends it", () => {
    given(mugs, reserved("r1", { MUG: 2 }, { order_id: "o1" }))
      .when(reserve("r1", { MUG: 3 }, { order_id: "o2" }))
      .then(reserved("r1", { MUG: 1 }, { order_id: "o1" }));
  });

  it("down to what has been committed, and no further", () => {
    const shipped = [reserved("r1", { MUG: 5 }), committed("r1", { MUG: 3 }, { complete: false })];
    given(mugs, ...shipped)
      .when(reserve("r1", { MUG: 3 }))
      .then(reduced("r1", { MUG: 2 }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 });
    given(mugs, ...shipped)
      .when(reserve("r1", { MUG: 2 }))
      .thenRefused("inventory.already_committed", { MUG: { requested: 2, available: 3 } });
    given(mugs, pens, ...shipped)
      .when(reserve("r1", { PEN: 1 }))
      .thenRefused("inventory.already_committed", { MUG: { requested: 0, available: 3 } });
  });

  it("or nothing, when the more is not there", () => {
    given(mugs, pens, reserved("r1", { MUG: 5, PEN: 1 }))
      .when(reserve("r1", { MUG: 1, PEN: 9 }))
      .thenRefused("inventory.insufficient_stock", { PEN: { requested: 9, available: 4 } })
      .leaving("MUG", { quantity_reserved: 5 });
  });

  it("and may let go of a delisted SKU, but take no more of it", () => {
    const held = [mugs, reserved("r1", { MUG: 5 }), delisted("MUG")];
    given(...held)
      .when(reserve("r1", { MUG: 1 }))
      .then(reduced("r1", { MUG: 4 }));
    given(...held)
      .when(reserve("r1", { MUG: 6 }))
      .thenRefused("inventory.unknown_sku", { MUG: { requested: 1, available: 0 } });
  });

  it("never to more than can be kept, shipped and held together", () => {
    given(
      stock("MUG", maxQuantity),
      reserved("r1", { MUG: maxQuantity }),
      committed("r1", { MUG: 10 }, { complete: false }),
      adjusted("a1", { MUG: 10 }),
    )
      .when(reserve("r1", [line("MUG", maxQuantity), line("MUG", 1)]))
      .thenRefused("inventory.quantity_overflow", {
        MUG: { requested: maxQuantity + 1, available: maxQuantity },
      });
  });
});

describe("a refusal that is to be remembered", () => {
  const forAnOrder = { remember_refusal: true };

  it("is kept, and moves nothing", () => {
    given(mugs)
      .when(reserve("r1", { MUG: 11 }, forAnOrder))
      .thenRefusedForGood("r1", "inventory.insufficient_stock", { MUG: { requested: 11, available: 10 } })
      .leaving("MUG", { quantity_available: 10 })
      .leavingReservation("r1", {
        status: "refused",
        reason: "inventory.insufficient_stock",
        expires_at: null,
      });
  });

  it("is answered again, though there would be enough by now", () => {
    given(mugs, refusedForGood("r1", "inventory.insufficient_stock"))
      .when(reserve("r1", { MUG: 1 }, forAnOrder))
      .thenRefused("inventory.insufficient_stock");
    given(mugs, refusedForGood("r1", "inventory.insufficient_stock"))
      .when(reserve("r1", { MUG: 1 }))
      .thenRefused("inventory.insufficient_stock");
  });

  it("is answered again within one batch", () => {
    given(mugs)
      .when(
        reserve("r1", { MUG: 11 }, forAnOrder),
        adjust("a1", { MUG: 5 }),
        reserve("r1", { MUG: 11 }, forAnOrder),
      )
      .thenAnswers("inventory.insufficient_stock", "adjusted", "inventory.insufficient_stock");
  });

  it("holds nothing, so there is nothing to release, pay for, ship or extend", () => {
    const refused = given(mugs, refusedForGood("r1", "inventory.insufficient_stock"));
    refused.when(release("r1")).thenNothing().leavingReservation("r1", { status: "refused" });
    for (const command of [confirm("r1"), commit("r1"), extend("r1", 60)]) {
      refused.when(command).thenRefused("inventory.reservation_closed");
    }
  });
});

describe("confirming", () => {
  it("lets a hold expire no more", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(confirm("r1"))
      .then(confirmed("r1"))
      .leavingReservation("r1", { status: "confirmed", expires_at: null })
      .leaving("MUG", { quantity_on_hand: 10, quantity_reserved: 2 });
  });

  it("again, or after the shipment, does nothing", () => {
    given(mugs, reserved("r1", { MUG: 2 }), confirmed("r1"))
      .when(confirm("r1"))
      .thenNothing();
    given(mugs, reserved("r1", { MUG: 2 }), committed("r1", { MUG: 2 }))
      .when(confirm("r1"))
      .thenNothing();
  });

  it("comes in time up to the very last moment", () => {
    const held = [mugs, reserved("r1", { MUG: 2 }, { until: 60 })];
    given(...held)
      .after(59.999)
      .when(confirm("r1"))
      .then(confirmed("r1"));
    given(...held)
      .after(60)
      .when(confirm("r1"))
      .thenRefused("inventory.reservation_closed");
  });
});

describe("committing", () => {
  const held = [mugs, pens, reserved("r1", { MUG: 5, PEN: 2 })];

  it("takes the stock off the shelf and out of the reservation", () => {
    given(...held)
      .when(commit("r1"))
      .then(committed("r1", { MUG: 5, PEN: 2 }))
      .leaving("MUG", { quantity_on_hand: 5, quantity_reserved: 0, quantity_available: 5 })
      .leavingReservation("r1", { status: "committed", expires_at: null });
  });

  it("ships a part and keeps the rest", () => {
    given(...held)
      .when(commit("r1", { MUG: 2 }))
      .then(committed("r1", { MUG: 2 }, { complete: false }))
      .leaving("MUG", { quantity_on_hand: 8, quantity_reserved: 3, quantity_available: 5 })
      .leavingReservation("r1", { status: "held", keys: ['parcel-1 commit ["main","MUG",2]'] });
  });

  it("ends with the part that is the last", () => {
    given(...held, committed("r1", { MUG: 5 }, { complete: false }))
      .when(commit("r1", [line("PEN", 1), line("PEN", 1)], "parcel-2"))
      .then(committed("r1", { PEN: 2 }, { key: "parcel-2" }))
      .leavingReservation("r1", { status: "committed" });
  });

  it("takes what is left when it names no lines", () => {
    given(...held, committed("r1", { MUG: 2 }, { complete: false }))
      .when(commit("r1", undefined, "parcel-2"))
      .then(committed("r1", { MUG: 3, PEN: 2 }, { key: "parcel-2" }));
  });

  it("ships two equal parcels under two keys, and one under one", () => {
    given(...held)
      .when(commit("r1", { MUG: 1 }), commit("r1", { MUG: 1 }, "parcel-2"), commit("r1", { MUG: 1 }))
      .thenAnswers("held", "held", "held")
      .leaving("MUG", { quantity_on_hand: 8 });
  });

  it("does nothing under a key that is known for the same, in whatever pieces it comes, even after the end", () => {
    given(...held, committed("r1", { MUG: 3 }, { complete: false }))
      .when(commit("r1", [line("MUG", 1), line("MUG", 2)]))
      .thenNothing();
    given(...held, committed("r1", { MUG: 5, PEN: 2 }))
      .when(commit("r1"), commit("r1", { PEN: 2, MUG: 5 }))
      .thenNothing();
    given(...held, committed("r1", { MUG: 1 }, { complete: false }), released("r1", { MUG: 4, PEN: 2 }))
      .when(commit("r1", { MUG: 1 }))
      .thenNothing();
  });

  it("is refused under a key that was used for something else, whatever else there is to say", () => {
    const partly = [...held, committed("r1", { MUG: 1 }, { complete: false })];
    given(...partly)
      .when(commit("r1", { GHOST: 99 }))
      .thenRefused("inventory.key_reused");
    given(...partly)
      .when(commit("r1"))
      .thenRefused("inventory.key_reused");
    given(...partly, released("r1", { MUG: 4, PEN: 2 }))
      .when(commit("r1", { MUG: 2 }))
      .thenRefused("inventory.key_reused");
    given(...held)
      .when(extend("r1", 60, "k1"), commit("r1", { MUG: 1 }, "k1"), commit("r1", undefined, "k1"))
      .thenAnswers("held", "inventory.key_reused", "inventory.key_reused");
    given(...held)
      .when(commit("r1", { MUG: 1 }, "k1"), extend("r1", 60, "k1"))
      .thenAnswers("held", "inventory.key_reused");
    given(...held)
      .when(extend("r1", 60, "k1"), extend("r1", 60, "k1"), extend("r1", 61, "k1"))
      .thenAnswers("held", "held", "inventory.key_reused");
  });

  it("of the whole does nothing once the whole is committed, under any key", () => {
    given(...held, committed("r1", { MUG: 5, PEN: 2 }))
      .when(commit("r1", undefined, "parcel-2"))
      .thenNothing();
  });

  it("of a part is too late once the whole is committed", () => {
    given(...held, committed("r1", { MUG: 5, PEN: 2 }))
      .when(commit("r1", { MUG: 1 }, "parcel-2"))
      .thenRefused("inventory.reservation_closed");
  });

  it("takes no more than is left, nor what was never held, and says so line by line", () => {
    given(...held, committed("r1", { MUG: 3 }, { complete: false }))
      .when(commit("r1", { MUG: 3, PEN: 2, GHOST: 1 }, "parcel-2"))
      .thenRefused("inventory.exceeds_reservation", {
        MUG: { requested: 3, available: 2 },
        GHOST: { requested: 1, available: 0 },
      });
  });

  it("counts lines of the same SKU together", () => {
    given(...held)
      .when(commit("r1", [line("MUG", 3), line("MUG", 3)]))
      .thenRefused("inventory.exceeds_reservation", { MUG: { requested: 6, available: 5 } });
  });

  it("ships what is held of a delisted SKU", () => {
    given(...held, delisted("MUG"))
      .when(commit("r1"))
      .then(committed("r1", { MUG: 5, PEN: 2 }));
  });

  it("is refused from the moment at which the hold expires, unless it is paid", () => {
    const short = [mugs, reserved("r1", { MUG: 2 }, { until: 60 })];
    given(...short)
      .after(60)
      .when(commit("r1"))
      .thenRefused("inventory.reservation_closed");
    given(...short, confirmed("r1"))
      .after(60)
      .when(commit("r1"))
      .then(committed("r1", { MUG: 2 }));
  });
});

describe("releasing", () => {
  it("gives everything back, with the reason", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(release("r1", "payment_failed"))
      .then(released("r1", { MUG: 2 }, { reason: "payment_failed" }))
      .leaving("MUG", { quantity_reserved: 0, quantity_available: 10 })
      .leavingReservation("r1", { status: "released", reason: "payment_failed", expires_at: null });
  });

  it("ends a paid hold too", () => {
    given(mugs, reserved("r1", { MUG: 2 }), confirmed("r1"))
      .when(release("r1"))
      .then(released("r1", { MUG: 2 }));
  });

  it("gives back only what has not been shipped", () => {
    given(
      mugs,
      pens,
      reserved("r1", { MUG: 5, PEN: 2 }),
      committed("r1", { MUG: 3, PEN: 2 }, { complete: false }),
    )
      .when(release("r1"))
      .then(released("r1", { MUG: 2 }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 });
  });

  it("ends a hold whose time is over before the sweep does", () => {
    given(mugs, reserved("r1", { MUG: 2 }, { until: 60 }))
      .after(60)
      .when(release("r1"))
      .then(released("r1", { MUG: 2 }));
  });

  it.each(["released", "expired", "tombstoned"])("does nothing to what is %s already", (ending) => {
    given(mugs, ...endings[ending]!)
      .when(release("r1", "another reason"))
      .thenNothing();
  });

  it("is refused once everything is shipped", () => {
    given(mugs, ...endings.committed!)
      .when(release("r1"))
      .thenRefused("inventory.reservation_closed");
  });

  it.each(["amended", "expired"])("means a release, though the reason is a word of ours: %s", (reason) => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(release("r1", reason))
      .then(released("r1", { MUG: 2 }, { reason }))
      .leavingReservation("r1", { status: "released", reason });
  });
});

describe("a release that overtakes its reserve", () => {
  it("leaves a tombstone", () => {
    given(mugs)
      .when(release("r1"))
      .then(released("r1", {}))
      .leavingReservation("r1", { status: "released", reason: "cancelled", lines: [], expires_at: null });
  });

  it("makes sure that the late reserve holds nothing, in the same batch too", () => {
    given(mugs)
      .when(release("r1"), reserve("r1", { MUG: 1 }, { remember_refusal: true }))
      .thenAnswers("released", "inventory.reservation_closed")
      .leaving("MUG", { quantity_reserved: 0 });
  });
});

describe("extending", () => {
  it("counts from now", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .after(100)
      .when(extend("r1", 60))
      .then(extended("r1", 160))
      .leavingReservation("r1", { expires_at: at(160) });
  });

  it("again at the same moment does nothing", () => {
    given(mugs, reserved("r1", { MUG: 2 }))
      .when(extend("r1", 900))
      .thenNothing();
  });

  it("means nothing to a paid hold", () => {
    given(mugs, reserved("r1", { MUG: 2 }), confirmed("r1"))
      .when(extend("r1", 60))
      .thenNothing();
  });

  it("comes too late from the moment at which the hold expires", () => {
    const held = [mugs, reserved("r1", { MUG: 2 }, { until: 60 })];
    given(...held)
      .after(59.999)
      .when(extend("r1", 60))
      .then(extended("r1", 119.999));
    given(...held)
      .after(60)
      .when(extend("r1", 60))
      .thenRefused("inventory.reservation_closed");
  });
});

describe("the sweep", () => {
  it("ends a hold exactly when its time is over", () => {
    const held = [mugs, reserved("r1", { MUG: 2 }, { until: 60 })];
    given(...held)
      .after(59.999)
      .when(expire())
      .thenNothing();
    given(...held)
      .after(60)
      .when(expire())
      .then(expired("r1", { MUG: 2 }))
      .leaving("MUG", { quantity_reserved: 0 })
      .leavingReservation("r1", { status: "expired", reason: "expired", expires_at: null });
  });

  it("takes the oldest first, as many as it may", () => {
    given(
      mugs,
      reserved("late", { MUG: 1 }, { until: 30 }),
      reserved("first", { MUG: 1 }, { until: 10 }),
      reserved("second", { MUG: 1 }, { until: 20 }),
    )
      .after(60)
      .when(expire(2))
      .then(expired("first", { MUG: 1 }), expired("second", { MUG: 1 }));
  });

  it("leaves paid holds alone", () => {
    given(mugs, reserved("r1", { MUG: 2 }, { until: 60 }), confirmed("r1"))
      .after(60)
      .when(expire())
      .thenNothing();
  });

  it("gives back only what has not been shipped", () => {
    given(mugs, reserved("r1", { MUG: 5 }, { until: 60 }), committed("r1", { MUG: 3 }, { complete: false }))
      .after(60)
      .when(expire())
      .then(expired("r1", { MUG: 2 }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 });
  });

  it("finds nothing of what a release before it in the batch has ended", () => {
    given(mugs, reserved("r1", { MUG: 2 }, { until: 60 }))
      .after(60)
      .when(release("r1"), expire())
      .then(released("r1", { MUG: 2 }));
  });

  it("makes room for whoever comes next in the batch, and not before", () => {
    given(stock("MUG", 1), reserved("r1", { MUG: 1 }, { until: 60 }))
      .after(60)
      .when(reserve("r2", { MUG: 1 }), expire(), reserve("r2", { MUG: 1 }))
      .thenAnswers("inventory.insufficient_stock", "1 expired", "held");
  });
});

describe("what is not there", () => {
  it.each<InventoryCommand>([confirm("r1"), commit("r1"), commit("r1", { MUG: 1 }), extend("r1", 60)])(
    "is not found by $type",
    (command) => {
      given(mugs).when(command).thenRefused("inventory.reservation_not_found");
    },
  );
});

describe("what has ended", () => {
  it.each(
    ["released", "expired", "tombstoned"].flatMap((ending) =>
      [confirm("r1"), commit("r1"), commit("r1", { GHOST: 1 }), extend("r1", 60)].map(
        (command) => [ending, command.type, command] as const,
      ),
    ),
  )("%s: %s is refused", (ending, _, command) => {
    given(mugs, ...endings[ending]!)
      .when(command)
      .thenRefused("inventory.reservation_closed");
  });
});
