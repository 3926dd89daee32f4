import { describe, it } from "vitest";
import {
  adjust,
  adjusted,
  at,
  commit,
  committed,
  confirm,
  confirmationFailed,
  confirmed,
  count,
  delisted,
  expire,
  expired,
  extend,
  extended,
  given,
  line,
  reduced,
  refusedForGood,
  release,
  released,
  reserve,
  reserved,
  retaken,
  secure,
  settleUp,
  shortfall,
  stock,
} from "../../testing/inventory.ts";
import type { InventoryCommand, InventoryEvent } from "./contract/index.ts";

const mugs = stock("MUG", 10);
const o1 = { order_id: "o1" };
/** The order has asked for it by its own event. */
const byO1 = { ...o1, key: "order/o1" };

/** What the order flow asks for. */
const created = (id: string, quantities: Record<string, number>, order_id = "o1") =>
  reserve(id, quantities, { order_id, remember_refusal: true });
const paid = (id: string, order_id = "o1") => secure(id, order_id);
const ended = (id: string, order_id = "o1", reason = "cancelled") =>
  release(id, reason, { order_id, restock: true });
const delayed = (id: string, event = "payments-7-0"): InventoryCommand => ({
  type: "ExtendReservation",
  reservation_id: id,
  key: event,
  retake: true,
});
const asked = (id: string, key: string, quantities: Record<string, number>, ttl_seconds = 1_800) =>
  reserve(id, quantities, { key, ttl_seconds });
const letGo = (id: string) => release(id, "cart_emptied", { unless_adopted: true });

describe("an order", () => {
  it("is reserved, paid, and shipped as a whole", () => {
    const shop = given(mugs);
    shop.when(created("o1", { MUG: 3 })).then(reserved("o1", { MUG: 3 }, byO1));
    shop.when(paid("o1")).then(confirmed("o1", "o1"));
    shop
      .when(settleUp("o1"))
      .then(committed("o1", { MUG: 3 }, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 })
      .leavingReservation("o1", { status: "committed", order_id: "o1" });
  });

  it("does all of that within one batch", () => {
    given(mugs)
      .when(created("o1", { MUG: 3 }), paid("o1"), settleUp("o1"))
      .then(
        reserved("o1", { MUG: 3 }, byO1),
        confirmed("o1", "o1"),
        committed("o1", { MUG: 3 }, { ...o1, key: null }),
      );
  });

  it("is shipped in parts, and then the rest", () => {
    const shop = given(mugs, reserved("o1", { MUG: 5 }, byO1), confirmed("o1", "o1"));
    shop
      .when({ ...commit("o1", { MUG: 2 }, "part-1"), ...o1 })
      .then(committed("o1", { MUG: 2 }, { ...o1, key: "part-1", complete: false }));
    shop
      .when(settleUp("o1"))
      .then(committed("o1", { MUG: 3 }, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 5, quantity_reserved: 0 });
  });

  it("is refused for good when there is not enough", () => {
    const shop = given(mugs);
    shop.when(created("o1", { MUG: 11 })).thenRefusedForGood("o1", "inventory.insufficient_stock", {
      MUG: { requested: 11, available: 10 },
    });
    shop.when(adjust("a1", { MUG: 5 }), created("o1", { MUG: 11 })).thenHappened(adjusted("a1", { MUG: 5 }));
    shop.when(ended("o1")).thenNothing().leavingReservation("o1", { status: "refused", order_id: "o1" });
  });

  it("that is created again changes nothing, whatever has become of it", () => {
    const again = created("o1", { MUG: 3 });
    const held = reserved("o1", { MUG: 3 }, byO1);
    const stories: InventoryEvent[][] = [
      [held],
      [held, confirmed("o1", "o1")],
      [held, committed("o1", { MUG: 3 }, o1)],
      [held, released("o1", { MUG: 3 }, o1)],
      [held, expired("o1", { MUG: 3 }, "o1")],
      [held, expired("o1", { MUG: 3 }, "o1"), confirmationFailed("o1", "inventory.insufficient_stock", "o1")],
      [refusedForGood("o1", "inventory.insufficient_stock", o1)],
    ];
    for (const story of stories)
      given(mugs, ...story)
        .when(again)
        .thenHappened();
  });

  it("that is created again after its hold expired is not held a second time by the sweep's batch", () => {
    given(mugs, reserved("o1", { MUG: 3 }, { ...byO1, until: 60 }))
      .after(60)
      .when(expire(), created("o1", { MUG: 3 }))
      .then(expired("o1", { MUG: 3 }, "o1"));
  });

  it("pays in time up to the sweep: until then its stock is still its own", () => {
    given(mugs, reserved("o1", { MUG: 3 }, { ...byO1, until: 60 }))
      .after(3_600)
      .when(paid("o1"))
      .then(confirmed("o1", "o1"));
  });

  it("of another name cannot pay for it", () => {
    given(mugs, reserved("o1", { MUG: 3 }, byO1))
      .when(paid("o1", "o2"))
      .thenRefused("inventory.reservation_taken");
    given(mugs).when(paid("o1")).thenRefused("inventory.reservation_not_found");
  });
});

describe("every message a second time does nothing:", () => {
  const held = reserved("o1", { MUG: 5 }, byO1);
  const done = committed("o1", { MUG: 5 }, { ...o1, key: null });
  const gone = confirmationFailed("o1", "inventory.insufficient_stock", "o1");
  it.each<[string, InventoryEvent[], InventoryCommand]>([
    ["paid", [held, confirmed("o1", "o1")], paid("o1")],
    ["paid, once it is shipped", [held, done], paid("o1")],
    ["paid, once it has ended", [held, released("o1", { MUG: 5 }, o1)], paid("o1")],
    ["paid, once that came too late", [held, expired("o1", { MUG: 5 }, "o1"), gone], paid("o1")],
    ["paid, before it was refused", [refusedForGood("o1", "inventory.unknown_sku", o1)], paid("o1")],
    ["shipped", [held, done], settleUp("o1")],
    [
      "shipped in part",
      [held, committed("o1", { MUG: 2 }, { ...o1, key: "part-1", complete: false })],
      commit("o1", { MUG: 2 }, "part-1"),
    ],
    [
      "shipped in part, once all is shipped",
      [
        held,
        committed("o1", { MUG: 2 }, { ...o1, key: "part-1", complete: false }),
        committed("o1", { MUG: 3 }, { ...o1, key: null }),
      ],
      commit("o1", { MUG: 2 }, "part-1"),
    ],
    ["ended", [held, released("o1", { MUG: 5 }, o1)], ended("o1")],
    [
      "ended, with all of it back on the shelf",
      [held, done, adjusted("restock:o1", { MUG: 5 }, "cancelled", "orders")],
      ended("o1"),
    ],
    ["ended, before it was created", [released("o1", {})], ended("o1")],
    ["delayed", [held, extended("o1", 2_000, { ...o1, key: "payments-7-0" })], delayed("o1")],
    ["delayed, once it is paid", [held, confirmed("o1", "o1")], delayed("o1")],
    ["delayed, once it has ended", [held, released("o1", { MUG: 5 }, o1)], delayed("o1")],
    ["delayed, once it was too late", [held, expired("o1", { MUG: 5 }, "o1"), gone], delayed("o1")],
    ["the cart's wish", [reserved("c1", { MUG: 2 }, { key: "k1" })], asked("c1", "k1", { MUG: 2 })],
    [
      "the cart's wish, once it is overtaken",
      [reserved("c1", { MUG: 2 }, { key: "k1" }), reserved("c1", { MUG: 1 }, { key: "k2" })],
      asked("c1", "k1", { MUG: 2 }),
    ],
    [
      "the cart's wish, once it was refused",
      [refusedForGood("c1", "inventory.unknown_sku", { key: "k1" })],
      asked("c1", "k1", { MUG: 2 }),
    ],
    [
      "the cart's wish, once the hold is the order's",
      [reserved("c1", { MUG: 2 }, { key: "k1" }), reserved("c1", {}, byO1)],
      asked("c1", "k1", { MUG: 2 }),
    ],
    [
      "the cart's letting go",
      [reserved("c1", { MUG: 2 }, { key: "k1" }), released("c1", { MUG: 2 })],
      letGo("c1"),
    ],
  ])("%s", (_, story, again) => {
    const tables = given(mugs, ...story).after(100);
    tables.when(again).thenHappened();
  });
});

describe("a payment after the hold has expired", () => {
  const late = [mugs, reserved("o1", { MUG: 3 }, byO1), expired("o1", { MUG: 3 }, "o1")];

  it("takes the stock again", () => {
    given(...late)
      .after(1_000)
      .when(paid("o1"))
      .then(retaken("o1", { MUG: 3 }, { ...o1, until: 1_900 }), confirmed("o1", "o1"))
      .leaving("MUG", { quantity_reserved: 3 })
      .leavingReservation("o1", {
        status: "confirmed",
        reason: null,
        lines: [{ ...line("MUG", 3), quantity_committed: 0 }],
      });
  });

  it("takes again only what has not been shipped", () => {
    given(
      mugs,
      reserved("o1", { MUG: 5 }, byO1),
      committed("o1", { MUG: 2 }, { ...o1, complete: false }),
      expired("o1", { MUG: 3 }, "o1"),
    )
      .when(paid("o1"))
      .then(retaken("o1", { MUG: 3 }, o1), confirmed("o1", "o1"))
      .leavingReservation("o1", { lines: [{ ...line("MUG", 5), quantity_committed: 2 }] });
  });

  it("fails when it is gone, and stays so though it is there again", () => {
    const shop = given(...late, reserved("r2", { MUG: 8 }));
    shop
      .when(paid("o1"))
      .thenHappened(confirmationFailed("o1", "inventory.insufficient_stock", "o1"))
      .leavingReservation("o1", { status: "expired" })
      .leaving("MUG", { quantity_reserved: 8 });
    shop.when(release("r2"), paid("o1"), delayed("o1")).thenHappened(released("r2", { MUG: 8 }));
    shop.when(ended("o1")).then(released("o1", {}, o1));
  });

  it("fails for what is offered no more", () => {
    given(...late, delisted("MUG"))
      .when(paid("o1"))
      .thenHappened(confirmationFailed("o1", "inventory.unknown_sku", "o1"));
  });

  it("takes nothing once the order has ended", () => {
    const shop = given(...late);
    shop
      .when(ended("o1"))
      .then(released("o1", {}, o1))
      .leavingReservation("o1", { status: "released", reason: "cancelled" });
    shop.when(paid("o1"), delayed("o1")).thenHappened();
  });
});

describe("an order that ends", () => {
  it("gives back what it holds, paid or not", () => {
    const held = [mugs, reserved("o1", { MUG: 3 }, byO1)];
    given(...held)
      .when(ended("o1"))
      .then(released("o1", { MUG: 3 }, o1));
    given(...held, confirmed("o1", "o1"))
      .when(ended("o1"))
      .then(released("o1", { MUG: 3 }, o1));
  });

  it("before it is known leaves a tombstone, which answers the order that comes late", () => {
    const shop = given(mugs);
    shop.when(ended("o1")).then(released("o1", {}));
    shop
      .when(created("o1", { MUG: 1 }))
      .thenHappened(refusedForGood("o1", "inventory.reservation_closed", o1))
      .leavingReservation("o1", { status: "released", order_id: "o1" });
    shop.when(created("o1", { MUG: 1 }), paid("o1"), ended("o1")).thenHappened();
  });

  it("leaves the hold of another order alone", () => {
    given(mugs, reserved("r1", { MUG: 3 }, byO1))
      .when(ended("r1", "o2"))
      .thenNothing();
  });
});

describe("stock that is reduced with the payment", () => {
  const held = [mugs, reserved("o1", { MUG: 3 }, byO1)];

  it("is committed at once, and what is shipped then takes no more", () => {
    const shop = given(...held).committingOnPayment();
    shop
      .when(paid("o1"))
      .then(committed("o1", { MUG: 3 }, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 });
    shop.when(commit("o1", { MUG: 1 }, "part-1"), settleUp("o1"), paid("o1")).thenHappened();
  });

  it("is taken again first, when the hold has expired", () => {
    given(...held, expired("o1", { MUG: 3 }, "o1"))
      .committingOnPayment()
      .when(paid("o1"))
      .then(retaken("o1", { MUG: 3 }, o1), committed("o1", { MUG: 3 }, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 7, quantity_reserved: 0 });
  });

  it("comes back when the order ends, once", () => {
    const shop = given(...held, committed("o1", { MUG: 3 }, o1)).committingOnPayment();
    shop
      .when(ended("o1"))
      .then(adjusted("restock:o1", { MUG: 3 }, "cancelled", "orders"))
      .leaving("MUG", { quantity_on_hand: 10, quantity_available: 10 });
    shop.when(ended("o1"), ended("o1", "o1", "another reason"), paid("o1"), settleUp("o1")).thenNothing();
  });

  it("comes back though the SKU is offered no more", () => {
    given(...held, committed("o1", { MUG: 3 }, o1), delisted("MUG"))
      .when(ended("o1"))
      .then(adjusted("restock:o1", { MUG: 3 }, "cancelled", "orders"));
  });
});

describe("a payment that is delayed", () => {
  const held = reserved("o1", { MUG: 3 }, byO1);

  it("keeps the hold from now on, once for each delay", () => {
    const shop = given(mugs, held).after(100);
    shop.when(delayed("o1")).then(extended("o1", 1_000, { ...o1, key: "payments-7-0" }));
    shop.after(100).when(delayed("o1")).thenNothing();
    shop.when(delayed("o1", "payments-8-0")).then(extended("o1", 1_100, { ...o1, key: "payments-8-0" }));
  });

  it("keeps an overdue hold that nobody has swept yet", () => {
    given(mugs, held)
      .after(900)
      .when(delayed("o1"))
      .then(extended("o1", 1_800, { ...o1, key: "payments-7-0" }));
  });

  it("takes an expired hold again, once", () => {
    const shop = given(mugs, held, expired("o1", { MUG: 3 }, "o1")).after(1_000);
    shop
      .when(delayed("o1"))
      .then(
        retaken("o1", { MUG: 3 }, { ...o1, until: 1_900 }),
        extended("o1", 1_900, { ...o1, key: "payments-7-0" }),
      )
      .leavingReservation("o1", { status: "held", expires_at: at(1_900) });
    shop.after(100).when(delayed("o1")).thenNothing();
  });

  it("does nothing about a hold that has expired and is gone", () => {
    given(mugs, held, expired("o1", { MUG: 3 }, "o1"), reserved("r2", { MUG: 8 }))
      .when(delayed("o1"))
      .thenRefused("inventory.insufficient_stock");
  });

  it("is no way for clients to take an expired hold again", () => {
    given(mugs, held, expired("o1", { MUG: 3 }, "o1"))
      .when(extend("o1", 60))
      .thenRefused("inventory.reservation_closed");
  });
});

describe("goods that have left", () => {
  const confirmedOrder = [stock("MUG", 5), reserved("o1", { MUG: 4 }, byO1), confirmed("o1", "o1")];

  it("complete the order though a forced count has driven its hold out, and take nothing more", () => {
    const shop = given(...confirmedOrder);
    shop
      .when(count("MUG", 1, { force: true }))
      .then(
        released("o1", { MUG: 4 }, { ...o1, reason: "shortfall" }),
        adjusted(null, { MUG: -4 }, "stocktaking"),
        shortfall("MUG", { o1: { ...o1, quantity: 4, status: "confirmed" } }),
      );
    shop.when({ ...commit("o1", { MUG: 1 }, "part-1"), ...o1 }).thenRefused("inventory.reservation_closed");
    shop
      .when(settleUp("o1"))
      .then(committed("o1", {}, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 1, quantity_reserved: 0 })
      .leavingReservation("o1", { status: "committed" });
    shop.when(settleUp("o1"), ended("o1")).thenNothing();
  });

  it("are taken out of a hold that has expired, where it is still to be had", () => {
    const lapsed = [stock("MUG", 5), reserved("o1", { MUG: 4 }, byO1), expired("o1", { MUG: 4 }, "o1")];
    given(...lapsed)
      .when(settleUp("o1"))
      .then(retaken("o1", { MUG: 4 }, o1), committed("o1", { MUG: 4 }, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 1, quantity_reserved: 0 });
    given(...lapsed, reserved("r2", { MUG: 2 }))
      .when(settleUp("o1"))
      .then(committed("o1", {}, { ...o1, key: null }))
      .leaving("MUG", { quantity_on_hand: 5, quantity_reserved: 2 });
  });

  it("of an unknown order take nothing", () => {
    given(mugs).when(settleUp("o1")).thenRefused("inventory.reservation_not_found");
  });
});

describe("a cart's wish is always answered by an event that names it", () => {
  const first = reserved("c1", { MUG: 2 }, { key: "k1", until: 1_800 });

  it("when it is met", () => {
    given(mugs)
      .when(asked("c1", "k1", { MUG: 2 }))
      .then(first);
  });

  it("when it becomes more, less, or stays as it was; its time begins anew", () => {
    const renewed = { key: "k2", until: 1_900 };
    const cart = () => given(mugs, first).after(100);
    cart()
      .when(asked("c1", "k2", { MUG: 5 }))
      .then(reserved("c1", { MUG: 3 }, renewed));
    cart()
      .when(asked("c1", "k2", { MUG: 1 }))
      .then(reduced("c1", { MUG: 1 }), reserved("c1", {}, renewed))
      .leavingReservation("c1", {
        expires_at: at(1_900),
        lines: [{ ...line("MUG", 1), quantity_committed: 0 }],
      });
    cart()
      .when(asked("c1", "k2", { MUG: 2 }))
      .then(reserved("c1", {}, renewed));
  });

  it("when it cannot be met: the hold stays as it was, and the next wish may fare better", () => {
    const cart = given(mugs, first);
    cart
      .when(asked("c1", "k2", { MUG: 11 }))
      .thenHappened(refusedForGood("c1", "inventory.insufficient_stock", { key: "k2" }))
      .leavingReservation("c1", { status: "held", refusal: null, reason: null, expires_at: at(1_800) })
      .leaving("MUG", { quantity_reserved: 2 });
    cart.when(asked("c1", "k3", { MUG: 10 })).then(reserved("c1", { MUG: 8 }, { key: "k3", until: 1_800 }));
  });

  it("when not even the first can be met", () => {
    const cart = given(mugs);
    cart
      .when(asked("c1", "k1", { MUG: 11 }))
      .thenHappened(refusedForGood("c1", "inventory.insufficient_stock", { key: "k1" }))
      .leavingReservation("c1", { status: "refused" });
    cart
      .when(asked("c1", "k2", { MUG: 10 }))
      .then(reserved("c1", { MUG: 10 }, { key: "k2", until: 1_800 }))
      .leavingReservation("c1", { status: "held", refusal: null, reason: null });
  });

  it("when the hold has expired: it is taken again as a whole", () => {
    const cart = given(mugs, first, expired("c1", { MUG: 2 })).after(2_000);
    cart
      .when(asked("c1", "k2", { MUG: 3 }))
      .then(reserved("c1", { MUG: 3 }, { key: "k2", until: 3_800 }))
      .leavingReservation("c1", { status: "held", lines: [{ ...line("MUG", 3), quantity_committed: 0 }] });
    given(mugs, first, expired("c1", { MUG: 2 }))
      .when(asked("c1", "k2", { MUG: 11 }), asked("c1", "k3", { MUG: 1 }))
      .thenHappened(
        refusedForGood("c1", "inventory.insufficient_stock", { key: "k2" }),
        reserved("c1", { MUG: 1 }, { key: "k3", until: 1_800 }),
      );
  });

  it("when it was let go, or is an order's or a client's by now", () => {
    const refused = (code: Parameters<typeof refusedForGood>[1]) => refusedForGood("c1", code, { key: "k2" });
    given(mugs, first, released("c1", { MUG: 2 }))
      .when(asked("c1", "k2", { MUG: 1 }))
      .thenHappened(refused("inventory.reservation_closed"));
    given(mugs, first, reserved("c1", {}, byO1))
      .when(asked("c1", "k2", { MUG: 1 }))
      .thenHappened(refused("inventory.reservation_taken"))
      .leavingReservation("c1", { status: "held", order_id: "o1", refusal: null });
    given(mugs, reserved("c1", { MUG: 2 }))
      .when(confirm("c1"), asked("c1", "k2", { MUG: 1 }))
      .thenHappened(confirmed("c1"), refused("inventory.reservation_taken"));
  });
});

describe("no client but the one who asked for it may", () => {
  const ofOrder = [mugs, reserved("o1", { MUG: 3 }, byO1)];
  const ofCart = [mugs, reserved("c1", { MUG: 3 }, { key: "k1" })];

  it.each<[string, InventoryCommand, InventoryCommand]>([
    ["confirm it", confirm("o1"), confirm("c1")],
    ["commit it", commit("o1"), commit("c1")],
    ["commit a part of it", commit("o1", { MUG: 1 }), commit("c1", { MUG: 1 })],
    ["amend it", reserve("o1", { MUG: 1 }), reserve("c1", { MUG: 1 })],
    ["ask for it again", reserve("o1", { MUG: 3 }), reserve("c1", { MUG: 3 })],
  ])("%s, be it an order's or a cart's", (_, asksOrder, asksCart) => {
    given(...ofOrder)
      .when(asksOrder)
      .thenRefused("inventory.reservation_taken");
    given(...ofCart)
      .when(asksCart)
      .thenRefused("inventory.reservation_taken");
  });

  it("commit a part of it in the name of another order", () => {
    given(...ofOrder)
      .when({ ...commit("o1", { MUG: 1 }), order_id: "o2" })
      .thenRefused("inventory.reservation_taken");
  });

  it("but an order that a client has named for its own hold is the client's", () => {
    const shop = given(mugs, reserved("r1", { MUG: 3 }, o1));
    shop.when(confirm("r1")).then(confirmed("r1", "o1"));
    shop.when(commit("r1")).then(committed("r1", { MUG: 3 }, { ...o1, key: "parcel-1" }));
  });
});

describe("a cart's hold becomes the order's", () => {
  const cart = [
    stock("MUG", 3),
    stock("PEN", 4),
    reserved("c1", { MUG: 3, PEN: 1 }, { key: "k1", until: 1_800 }),
  ];

  it("without a gap: nothing is given back in between", () => {
    given(...cart)
      .after(60)
      .when(created("c1", { MUG: 3, PEN: 1 }), reserve("r2", { MUG: 1 }))
      .thenHappened(reserved("c1", {}, { ...byO1, until: 960 }))
      .leaving("MUG", { quantity_available: 0, version: 3 })
      .leavingReservation("c1", { status: "held", order_id: "o1", expires_at: at(960) });
  });

  it("with the difference, where the order wants other lines", () => {
    given(...cart)
      .when(created("c1", { MUG: 1, PEN: 2 }))
      .then(reduced("c1", { MUG: 2 }), reserved("c1", { PEN: 1 }, byO1));
  });

  it("though it is overdue and not yet swept", () => {
    given(...cart)
      .after(1_800)
      .when(created("c1", { MUG: 3, PEN: 1 }))
      .then(reserved("c1", {}, { ...byO1, until: 2_700 }));
  });

  it("and is let go as a whole when it cannot be made to fit the order", () => {
    const shop = given(...cart);
    shop
      .when(created("c1", { MUG: 4, PEN: 1 }))
      .thenHappened(
        released("c1", { MUG: 3, PEN: 1 }, { reason: "order_rejected" }),
        refusedForGood("c1", "inventory.insufficient_stock", o1),
      )
      .leaving("MUG", { quantity_available: 3 })
      .leavingReservation("c1", { status: "released", order_id: "o1" });
    shop.when(created("c1", { MUG: 4, PEN: 1 }), ended("c1")).thenHappened();
  });

  it("after it has expired, with the order's lines, where they are still to be had", () => {
    const lapsed = [...cart, expired("c1", { MUG: 3, PEN: 1 })];
    given(...lapsed)
      .after(2_000)
      .when(created("c1", { MUG: 2 }))
      .then(reserved("c1", { MUG: 2 }, { ...byO1, until: 2_900 }))
      .leavingReservation("c1", { order_id: "o1", lines: [{ ...line("MUG", 2), quantity_committed: 0 }] });
    const shop = given(...lapsed, reserved("r2", { MUG: 2 }));
    shop
      .when(created("c1", { MUG: 2 }))
      .thenHappened(refusedForGood("c1", "inventory.insufficient_stock", o1))
      .leavingReservation("c1", { status: "expired", order_id: "o1" });
    shop.when(release("r2"), created("c1", { MUG: 2 })).thenHappened(released("r2", { MUG: 2 }));
  });

  it("but not once it was let go", () => {
    given(...cart, released("c1", { MUG: 3, PEN: 1 }))
      .when(created("c1", { MUG: 3, PEN: 1 }))
      .thenHappened(refusedForGood("c1", "inventory.reservation_closed", o1));
  });

  it("even if the cart could not have it before", () => {
    given(mugs, refusedForGood("c1", "inventory.insufficient_stock", { key: "k1" }))
      .when(created("c1", { MUG: 1 }))
      .then(reserved("c1", { MUG: 1 }, byO1))
      .leavingReservation("c1", { status: "held", order_id: "o1", refusal: null });
  });

  it("for one order only; the other is refused, and its end ends nothing", () => {
    const shop = given(...cart, reserved("c1", {}, byO1));
    shop
      .when(created("c1", { MUG: 3, PEN: 1 }, "o2"))
      .thenHappened(refusedForGood("c1", "inventory.reservation_taken", { order_id: "o2" }))
      .leavingReservation("c1", { status: "held", order_id: "o1", refusal: null });
    shop.when(created("c1", { MUG: 3, PEN: 1 }, "o2"), ended("c1", "o2")).thenHappened();
    shop.when(paid("c1")).then(confirmed("c1", "o1"));
  });

  it("unless a client has confirmed it for itself", () => {
    const shop = given(mugs, reserved("c1", { MUG: 2 }), confirmed("c1"));
    shop
      .when(created("c1", { MUG: 2 }))
      .thenHappened(refusedForGood("c1", "inventory.reservation_taken", o1))
      .leavingReservation("c1", { status: "confirmed", order_id: null });
    shop.when(created("c1", { MUG: 2 }), ended("c1")).thenHappened();
  });

  it("and is the cart's to let go no more", () => {
    given(...cart)
      .when(letGo("c1"))
      .then(released("c1", { MUG: 3, PEN: 1 }, { reason: "cart_emptied" }));
    given(...cart, reserved("c1", {}, byO1))
      .when(letGo("c1"))
      .thenNothing();
    given(...cart, expired("c1", { MUG: 3, PEN: 1 }))
      .when(letGo("c1"))
      .thenNothing();
  });

  it("over HTTP too, where a refusal leaves it as it was", () => {
    given(...cart)
      .after(60)
      .when(reserve("c1", { MUG: 3, PEN: 1 }, { ...o1, ttl_seconds: 100 }))
      .then(reserved("c1", {}, { ...o1, until: 160 }));
    given(...cart)
      .when(reserve("c1", { MUG: 4 }, o1))
      .thenRefused("inventory.insufficient_stock")
      .leavingReservation("c1", { status: "held", order_id: null });
  });
});
