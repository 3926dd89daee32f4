import { describe, expect, it } from "vitest";
import type { Cart, CartCommand, CartSettings, EndCarts, Line } from "../contract.ts";
import { expire } from "./customer.ts";
import { step } from "./step.ts";

const start = new Date("2030-01-07T09:00:00Z");
const at = (seconds: number) => new Date(start.getTime() + seconds * 1_000);
const mug: Line = { store_id: "main", sku: "MUG", quantity: 1 };
const pen: Line = { store_id: "main", sku: "PEN", quantity: 2 };
const short = {
  code: "inventory.insufficient_stock",
  detail: "There is too little.",
  lines: [{ store_id: "main", sku: "PEN", requested: 2, available: 1 }],
} as const;
const closed = { code: "inventory.reservation_closed", detail: "It is over." } as const;

const holding: CartSettings = { hold_on: "cart", hold_seconds: 1_800, cart_ttl_seconds: 86_400 };
const untilCheckout: CartSettings = { ...holding, hold_on: "checkout" };

type Told = Exclude<CartCommand, EndCarts>;
let ids = 0;
const put = (...lines: Line[]): Told => ({
  type: "PutCart",
  cart_id: "c1",
  lines,
  new_reservation_id: `cart-${++ids}`,
});
const checkOut: Told = {
  type: "CheckOutCart",
  cart_id: "c1",
  customer_id: "anna",
  payment: { token: "tok_ok" },
  new_order_id: "o1",
};
const remove: Told = { type: "DeleteCart", cart_id: "c1" };

/** One cart through one command after the other. */
class Story {
  cart: Cart | undefined;
  events: { type: string; data: Record<string, unknown> }[] = [];
  code: string | undefined;
  private readonly settings: CartSettings;
  private seconds = 0;

  constructor(settings: CartSettings) {
    this.settings = settings;
  }

  after(seconds: number): this {
    this.seconds += seconds;
    return this;
  }

  when(...commands: Told[]): this {
    for (const command of commands) {
      this.settle(step(this.cart, command, at(this.seconds), this.settings));
    }
    return this;
  }

  swept(): this {
    this.settle(expire(this.cart!, at(this.seconds)));
    return this;
  }

  private settle(done: ReturnType<typeof step>): void {
    this.code = done.accepted ? undefined : done.refusal.code;
    this.events = done.accepted ? ([...done.events] as never) : [];
    if (!done.accepted) return;
    this.cart = done.cart;
    if (done.cart !== undefined) {
      const { status, check_at, order } = done.cart;
      expect(check_at !== null, "what is open is looked at some day").toBe(status === "open");
      expect(order !== null, "only a checked-out cart has an order").toBe(status === "checked_out");
    }
  }

  /** The stock's answers; by default to the newest request. */
  held(key = this.newest, reservation_id = this.reservation): this {
    const expires_at = at(this.seconds + 1_800);
    return this.when({ type: "HearHeld", reservation_id, key, expires_at, at: at(this.seconds) });
  }

  refused(
    refusal: typeof short | typeof closed = short,
    key = this.newest,
    reservation_id = this.reservation,
  ): this {
    const new_reservation_id = `cart-${++ids}`;
    return this.when({
      type: "HearRefused",
      reservation_id,
      key,
      refusal,
      new_reservation_id,
      at: at(this.seconds),
    });
  }

  released(now: "released" | "expired", reservation_id = this.reservation, when = this.seconds): this {
    return this.when({ type: "HearReleased", reservation_id, now, at: at(when) });
  }

  get reservation(): string {
    return this.cart!.hold.reservation_id!;
  }

  get newest(): string {
    return String(this.cart!.revision);
  }

  get hold(): string {
    return this.cart!.hold.status;
  }
}

const cart = () => new Story(holding);

describe("putting lines into a cart that holds", () => {
  it("asks the stock, and has the lines once they are granted", () => {
    const story = cart().when(put(mug, mug));
    const lines = [{ ...mug, quantity: 2 }];
    expect(story.events).toEqual([
      {
        type: "CartHoldRequested",
        data: { cart_id: "c1", reservation_id: story.reservation, key: "1", lines, ttl_seconds: 1_800 },
      },
    ]);
    expect(story.cart).toMatchObject({ status: "open", lines: [], unanswered: [{ key: "1", lines }] });
    expect(story.held().cart).toMatchObject({
      lines,
      unanswered: [],
      hold: { status: "held" },
      expires_at: at(1_800),
    });
  });

  it("is empty, and says why, when the first lines are refused; the next ones ask under another id", () => {
    const story = cart().when(put(pen));
    const first = story.reservation;
    expect(story.refused().cart).toMatchObject({
      status: "open",
      lines: [],
      hold: { status: "refused", refusal: { key: "1", why: short } },
    });
    story.when(put(mug));
    expect(story.reservation).not.toBe(first);
    expect(story.held().cart).toMatchObject({ lines: [mug], hold: { status: "held", refusal: null } });
  });

  it("amends under the same id, and is as before when that is refused", () => {
    const story = cart().when(put(mug)).held();
    const { reservation } = story;
    const before = story.cart!;
    expect(story.when(put(mug, pen)).events).toMatchObject([
      { type: "CartHoldRequested", data: { reservation_id: reservation, key: "2" } },
    ]);
    expect(story.refused().cart).toMatchObject({
      lines: [mug],
      unanswered: [],
      hold: { ...before.hold, refusal: { key: "2", why: short } },
      expires_at: before.expires_at,
    });
  });

  it("keeps what was granted of two changes when the later one is refused", () => {
    const story = cart().when(put(mug)).when(put(pen));
    expect(story.cart!.unanswered.map(({ key }) => key)).toEqual(["1", "2"]);
    expect(story.held("1").cart).toMatchObject({ lines: [mug], unanswered: [{ key: "2" }] });
    expect(story.refused(short, "2").cart).toMatchObject({ lines: [mug], hold: { status: "held" } });
  });

  it("has the later one of two changes when the earlier one is refused", () => {
    const story = cart().when(put(mug)).when(put(pen));
    expect(story.refused(short, "1").cart).toMatchObject({ lines: [], unanswered: [{ key: "2" }] });
    expect(story.held("2").cart).toMatchObject({ lines: [pen], hold: { status: "held", refusal: null } });
  });

  it("passes over answers that it has heard, and those to a hold that it has let go", () => {
    const story = cart().when(put(mug)).held();
    const { reservation: first, cart: before } = story;
    expect(story.held("1").cart).toBe(before);
    expect(story.refused(short, "1").cart).toBe(before);
    expect(story.held("1", "cart-of-another").cart).toBe(before);
    story.when(put(), put(pen)); // revisions 2 and 3
    const { cart: asked } = story;
    expect(story.held("3", first).cart).toBe(asked);
    expect(story.released("released", first).cart).toBe(asked);
  });

  it("asks under another id when the reservation has ended under way", () => {
    const story = cart().when(put(mug)).held().when(put(pen));
    const first = story.reservation;
    story.refused(closed);
    expect(story.reservation).not.toBe(first);
    expect(story.events).toMatchObject([
      { type: "CartHoldRequested", data: { reservation_id: story.reservation, key: "2", lines: [pen] } },
    ]);
    expect(story.held("2").cart).toMatchObject({ lines: [pen], hold: { status: "held" } });
  });

  it("lets the hold go when it is emptied", () => {
    const story = cart().when(put(mug)).held();
    const { reservation } = story;
    expect(story.when(put()).events).toEqual([
      {
        type: "CartHoldReleased",
        data: { cart_id: "c1", reservation_id: reservation, reason: "emptied" },
      },
    ]);
    expect(story.cart).toMatchObject({ status: "open", lines: [], hold: { status: "none" } });
    expect(cart().when(put()).events).toEqual([]);
  });

  it("is refused when ten changes are unanswered, and when the quantity cannot be kept", () => {
    const story = cart();
    for (let i = 0; i < 10; i++) expect(story.when(put(mug)).code).toBeUndefined();
    expect(story.when(put(mug)).code).toBe("carts.hold_pending");
    const most = { ...mug, quantity: 2_147_483_647 };
    expect(cart().when(put(most, mug)).code).toBe("carts.quantity_overflow");
  });
});

describe("a cart that holds at checkout", () => {
  it("has its lines at once and tells nobody", () => {
    const story = new Story(untilCheckout).when(put(mug));
    expect(story).toMatchObject({ events: [], hold: "none", cart: { lines: [mug] } });
    expect(story.cart!.expires_at).toEqual(at(86_400));
  });

  it("lets go of what it holds from the time when carts did", () => {
    const story = cart().when(put(mug)).held();
    const later = new Story(untilCheckout);
    later.cart = story.cart;
    expect(later.when(put(pen)).events).toMatchObject([{ type: "CartHoldReleased" }]);
    expect(later.hold).toBe("none");
  });

  it("is checked out without a reservation", () => {
    const story = new Story(untilCheckout).when(put(mug), checkOut);
    expect(story.events).toMatchObject([{ type: "CartCheckedOut", data: { reservation_id: null } }]);
  });
});

describe("a hold that ends", () => {
  it("by itself ends the cart, which the next PUT opens again with a new one", () => {
    const story = cart().when(put(mug)).held();
    const first = story.reservation;
    expect(story.after(1_800).released("expired").cart).toMatchObject({ status: "expired", lines: [mug] });
    expect(story.when(checkOut).code).toBe("carts.expired");
    story.when(put(pen));
    expect(story.cart!.status).toBe("open");
    expect(story.reservation).not.toBe(first);
    expect(story.refused().cart).toMatchObject({ status: "expired", lines: [mug] });
    expect(story.when(put(mug)).held().cart).toMatchObject({ status: "open", lines: [mug] });
  });

  it("by itself while a change is under way leaves the cart to the answer", () => {
    const story = cart().when(put(mug)).held().when(put(pen)).after(1_800).released("expired");
    expect(story.cart!.status).toBe("open");
    expect(story.held("2").cart).toMatchObject({ status: "open", lines: [pen], hold: { status: "held" } });
  });

  it("because the stock is needed elsewhere leaves a cart that holds nothing", () => {
    const story = cart().when(put(mug)).held().released("released");
    expect(story.cart).toMatchObject({ status: "open", lines: [mug], hold: { status: "released" } });
    expect(story.when(checkOut).events).toMatchObject([{ data: { reservation_id: null } }]);
  });

  it("long ago, as a replay tells, is still in the past", () => {
    const story = cart()
      .when(put(mug))
      .held()
      .when(put(pen))
      .after(1_800)
      .released("expired")
      .after(1)
      .held("2");
    const { cart: before } = story;
    expect(story.released("expired", story.reservation, 1_800).cart).toBe(before);
  });

  it("later lives longer", () => {
    const story = cart().when(put(mug)).held();
    const { reservation: reservation_id } = story;
    story.when({ type: "HearHeldUntil", reservation_id, expires_at: at(9_000), at: at(1) });
    expect(story.cart).toMatchObject({ expires_at: at(9_000), hold: { expires_at: at(9_000) } });
    story.after(9_000).released("expired");
    story.when({ type: "HearHeldUntil", reservation_id, expires_at: at(9_900), at: at(9_001) });
    expect(story.cart).toMatchObject({ status: "open", hold: { status: "held" } });
  });
});

describe("checking out", () => {
  it("hands the hold over, with the lines as they are", () => {
    const story = cart().when(put(mug)).held();
    const { reservation: reservation_id } = story;
    expect(story.when(checkOut).events).toEqual([
      {
        type: "CartCheckedOut",
        data: {
          cart_id: "c1",
          order_id: "o1",
          reservation_id,
          customer_id: "anna",
          lines: [mug],
          payment: { token: "tok_ok" },
        },
      },
    ]);
    expect(story.cart).toMatchObject({ status: "checked_out", order: { id: "o1", status: "pending" } });
    expect(story.released("expired").cart).toMatchObject({ status: "checked_out" });
  });

  it("makes one order only, and nothing else of the cart any more", () => {
    const story = cart().when(put(mug)).held().when(checkOut);
    expect(story.when({ ...checkOut, new_order_id: "o2" } as Told)).toMatchObject({
      events: [],
      code: undefined,
      cart: { order: { id: "o1" } },
    });
    expect(story.when(put(pen)).code).toBe("carts.checked_out");
    expect(story.when(remove).code).toBe("carts.checked_out");
  });

  const anonymous = { ...checkOut, customer_id: undefined } as unknown as Told;

  it("knows the customer from the cart", () => {
    const story = cart()
      .when({ ...put(mug), customer_id: "berta" } as Told)
      .held();
    expect(story.when(put(mug)).held().when(anonymous).events).toMatchObject([
      { data: { customer_id: "berta" } },
    ]);
  });

  it.each<[string, Story, Told, string]>([
    ["it is not known", cart(), checkOut, "carts.not_found"],
    ["it was deleted", cart().when(put(mug)).held().when(remove), checkOut, "carts.not_found"],
    ["it is empty", cart().when(put()), checkOut, "carts.empty"],
    ["its lines were refused", cart().when(put(pen)).refused(), checkOut, "carts.empty"],
    ["a change is under way", cart().when(put(mug)).held().when(put(pen)), checkOut, "carts.hold_pending"],
    ["nobody is named", cart().when(put(mug)).held(), anonymous, "carts.customer_missing"],
  ])("is refused because %s", (_, story, command, code) => {
    expect(story.when(command).code).toBe(code);
  });

  it("hears of the order, each thing once", () => {
    const story = cart().when(put(mug)).held().when(checkOut);
    const priced = { lines: [{ ...mug, price_minor: 250 }], total_minor: 250, currency: "EUR" };
    const created: Told = { type: "HearOrderCreated", cart_id: "c1", order_id: "o1", priced };
    const ended: Told = { type: "HearOrderEnded", order_id: "o1", status: "completed" };
    expect(story.when({ ...created, order_id: "o2" } as Told).cart!.order!.priced).toBeUndefined();
    expect(story.when(ended, created).cart!.order).toEqual({ id: "o1", status: "completed", priced });
    const { cart: before } = story;
    expect(story.when(created, ended, { ...ended, status: "cancelled" } as Told).cart).toBe(before);
    expect(before!.status).toBe("checked_out");
  });
});

describe("letting a cart go", () => {
  it("releases what it holds or has asked for, once", () => {
    for (const story of [cart().when(put(mug)).held(), cart().when(put(mug))]) {
      const { reservation: reservation_id } = story;
      expect(story.when(remove).events).toMatchObject([
        { type: "CartHoldReleased", data: { reservation_id, reason: "deleted" } },
      ]);
      const { cart: before } = story;
      expect(story.when(remove)).toMatchObject({ code: undefined, events: [], cart: before });
    }
    expect(cart().when(remove).code).toBe("carts.not_found");
  });

  it("passes over the answer that comes later, and begins anew when it is filled again", () => {
    const story = cart().when({ ...put(mug), customer_id: "anna" } as Told);
    const { reservation } = story;
    const { cart: deleted } = story.when(remove);
    expect(story.held("1", reservation).cart).toBe(deleted);
    expect(story.when(put(pen)).cart).toMatchObject({ status: "open", revision: 2, customer_id: null });
    expect(story.reservation).not.toBe(reservation);
  });
});

describe("a cart that was left alone", () => {
  it("without a hold ends when its time is over", () => {
    const story = new Story(untilCheckout).when(put(mug));
    expect(story.after(86_399).swept().cart).toMatchObject({ status: "open" });
    expect(story.after(1).swept()).toMatchObject({ cart: { status: "expired" }, events: [] });
  });

  it("is not ended by a look that was planned before its last change", () => {
    const story = new Story(untilCheckout).when(put(mug));
    const planned = story.cart!.check_at;
    story.after(1_000).when(put(pen));
    expect(story.cart!.check_at).toEqual(planned);
    expect(story.after(85_400).swept().cart).toMatchObject({ status: "open", check_at: at(87_400) });
  });

  it("with a hold is left to the stock for a minute more, and then lets go of it", () => {
    const story = cart().when(put(mug)).held();
    const { reservation: reservation_id } = story;
    expect(story.after(1_859).swept().cart).toMatchObject({ status: "open" });
    expect(story.after(1).swept().events).toMatchObject([
      { type: "CartHoldReleased", data: { reservation_id, reason: "expired" } },
    ]);
    expect(story.cart).toMatchObject({ status: "expired", hold: { status: "expired" } });
  });

  it("whose lines the stock never answered lets go of what may come of them", () => {
    const story = cart().when(put(mug)).after(86_400).swept();
    expect(story.events).toMatchObject([{ type: "CartHoldReleased" }]);
    expect(story.cart).toMatchObject({ status: "expired", unanswered: [] });
    const { cart: before } = story;
    expect(story.held("1").cart).toBe(before);
  });
});
