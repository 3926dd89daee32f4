import { describe, expect, it } from "vitest";
import { putOff } from "./answers.ts";
import type { ChargeOutcome, PaymentCommand, RefundOutcome, TakeOver, Unreachable } from "./contract.ts";
import { decide } from "./decide.ts";
import { claim, type Decided, type Desk, type Payment, stepOf } from "./payment.ts";

const start = new Date("2026-01-01T00:00:00.000Z");
const rules = {
  hold_ttl_seconds: 900,
  patience_seconds: 86_400,
  lease_ms: 45_000,
};

/** A story of one payment: commands at seconds since its start, by workers that are free. */
class Story {
  payment: Payment | undefined;
  readonly told: string[] = [];
  private desk: Desk = { now: start, rules, gateway: "simulated", worker: "w1" };

  at(seconds: number, worker: string | null = "w1"): this {
    this.desk = { ...this.desk, now: new Date(start.getTime() + seconds * 1_000), worker };
    return this;
  }

  do(command: Exclude<PaymentCommand, TakeOver>): this {
    return this.become(decide(this.payment, command, this.desk));
  }

  private become({ payment, events }: Decided<Payment | undefined>): this {
    this.payment = payment;
    for (const { type, data } of events) this.told.push("code" in data ? `${type} ${data.code}` : type);
    return this;
  }

  ordered(amount_minor = 500): this {
    return this.do({
      type: "RequestPayment",
      payment_id: "o1",
      reservation_id: "r1",
      amount_minor,
      currency: "EUR",
      token: "tok_ok",
    });
  }

  held(reservation_id = "r1"): this {
    return this.do({ type: "AllowCharge", payment_id: "o1", reservation_id, at: this.desk.now });
  }

  expired(at = this.desk.now, reservation_id = "r1"): this {
    const detail = "expired";
    return this.do({
      type: "UndoPayment",
      payment_id: "o1",
      reservation_id,
      code: "hold_expired",
      detail,
      at,
    });
  }

  orderEnded(): this {
    const { now: at } = this.desk;
    const detail = "changed my mind";
    return this.do({
      type: "UndoPayment",
      payment_id: "o1",
      reservation_id: "r1",
      code: "order_ended",
      detail,
      at,
    });
  }

  /** What the worker whose turn it is has found out. */
  charge(outcome: ChargeOutcome | Unreachable, turn = this.turn()): this {
    return this.do({ type: "RecordCharge", payment_id: "o1", outcome, turn });
  }

  refund(outcome: RefundOutcome | Unreachable): this {
    return this.do({ type: "RecordRefund", payment_id: "o1", outcome, turn: this.turn() });
  }

  webhook(outcome: ChargeOutcome = yes): this {
    return this.do({ type: "RecordCharge", payment_id: "o1", outcome });
  }

  swept(): this {
    this.payment = claim(this.payment!, this.desk);
    return this;
  }

  /** While the gateway is left alone. */
  putOff(): this {
    return this.become(putOff(this.payment!, 500, this.desk));
  }

  turn() {
    const { worker, attempts } = this.payment!;
    return { worker: worker ?? "nobody", attempt: attempts, step: stepOf(this.payment!), retry_in_ms: 500 };
  }

  get status() {
    return this.payment?.status;
  }
}

const story = () => new Story();
const charging = () => story().ordered().held();
const paid = () => charging().charge(yes);
const yes: ChargeOutcome = { status: "succeeded", reference: "ch_1" };
const no: ChargeOutcome = { status: "declined", detail: "no money" };
const cancelled: ChargeOutcome = { status: "cancelled" };
const pending: ChargeOutcome = { status: "pending" };
const lost: Unreachable = { status: "unreachable", detail: "timeout", sent: true };
const unsent: Unreachable = { status: "unreachable", detail: "down", sent: false };
const returned: RefundOutcome = { status: "succeeded", reference: "re_1" };

describe("a payment", () => {
  it.each<[string, () => Story, string, string[]]>([
    ["waits for its stock", () => story().ordered(), "open", []],
    ["waits for its amount", () => story().held(), "open", []],
    ["is charged when both are known", () => story().ordered().held(), "charging", []],
    ["is charged when both are known, stock first", () => story().held().ordered(), "charging", []],
    ["succeeds", paid, "succeeded", ["PaymentSucceeded"]],
    ["is declined", () => charging().charge(no), "failed", ["PaymentFailed declined"]],
    ["costs nothing", () => story().held().ordered(0), "succeeded", ["PaymentSucceeded"]],
    [
      "costs nothing, and is given back",
      () => story().held().ordered(0).orderEnded(),
      "refunded",
      ["PaymentSucceeded", "PaymentRefunded"],
    ],
    // The order or its hold ends before anything was asked of the gateway.
    [
      "ends with its order, not begun",
      () => story().ordered().orderEnded(),
      "failed",
      ["PaymentFailed order_ended"],
    ],
    ["ends with its order, not known", () => story().orderEnded(), "failed", ["PaymentFailed order_ended"]],
    [
      "ends for good: the order comes later",
      () => story().orderEnded().ordered().held(),
      "failed",
      ["PaymentFailed order_ended"],
    ],
    [
      "ends with its hold, amount unknown",
      () => story().held().expired().ordered(),
      "failed",
      ["PaymentFailed hold_expired"],
    ],
    ["does not begin with an expired hold of nobody's order", () => story().held().expired(), "open", []],
    [
      "is charged for the hold that was taken again before the amount was known",
      () => story().held().expired().at(1).held().ordered(),
      "charging",
      [],
    ],
    ["waits for its own stock, whoever else names it", () => story().ordered().held("gift"), "open", []],
    ["waits for it, whoever named it before", () => story().held("gift").ordered(), "open", []],
    ["is charged for it then", () => story().held("gift").ordered().held(), "charging", []],
    ["is charged for it, the latest before", () => story().held("gift").held().ordered(), "charging", []],
    [
      "goes on when another hold expires that names it",
      () => charging().expired(undefined, "gift").charge(yes),
      "succeeded",
      ["PaymentSucceeded"],
    ],
    [
      "ends with its hold while nothing was ever sent",
      () => charging().charge(unsent).expired(),
      "failed",
      ["PaymentDelayed", "PaymentFailed hold_expired"],
    ],
    // … while a call is in flight.
    [
      "cancel in flight, charged: refunded",
      () => charging().orderEnded().charge(yes).refund(returned),
      "refunded",
      ["PaymentSucceeded", "PaymentRefunded"],
    ],
    [
      "cancel in flight, declined",
      () => charging().orderEnded().charge(no),
      "failed",
      ["PaymentFailed declined"],
    ],
    [
      "cancel in flight, pending, cancelled",
      () => charging().orderEnded().charge(pending).charge(cancelled),
      "failed",
      ["PaymentFailed order_ended"],
    ],
    [
      "cancel in flight, lost, cancelled",
      () => charging().orderEnded().charge(lost).swept().charge(cancelled),
      "failed",
      ["PaymentFailed order_ended"],
    ],
    [
      "cancel in flight, never sent",
      () => charging().orderEnded().charge(unsent),
      "failed",
      ["PaymentFailed order_ended"],
    ],
    [
      "hold expired in flight, charged: it is inventory's turn",
      () => charging().expired().charge(yes),
      "succeeded",
      ["PaymentSucceeded"],
    ],
    [
      "hold expired while pending, charged",
      () => charging().charge(pending).expired().charge(yes),
      "succeeded",
      ["PaymentSucceeded"],
    ],
    [
      "hold expired while pending, cancelled",
      () => charging().charge(pending).expired().charge(cancelled),
      "failed",
      ["PaymentFailed hold_expired"],
    ],
    [
      "hold expired, still not known",
      () => charging().charge(pending).expired().charge(pending),
      "charging",
      [],
    ],
    [
      "hold expired, then the order ended, charged",
      () => charging().expired().orderEnded().charge(yes),
      "refunding",
      ["PaymentSucceeded"],
    ],
    [
      "hold expired after success: inventory's turn",
      () => paid().expired(),
      "succeeded",
      ["PaymentSucceeded"],
    ],
    // After its end.
    ["order ended after success", () => paid().orderEnded(), "refunding", ["PaymentSucceeded"]],
    [
      "order ended twice",
      () => paid().orderEnded().refund(returned).orderEnded(),
      "refunded",
      ["PaymentSucceeded", "PaymentRefunded"],
    ],
    [
      "success after it was given up",
      () => charging().charge(no).webhook().refund(returned),
      "refunded",
      ["PaymentFailed declined", "PaymentRefunded"],
    ],
    [
      "a refund that is refused stays owed",
      () => paid().orderEnded().refund({ status: "refused", detail: "" }),
      "refunding",
      ["PaymentSucceeded"],
    ],
    [
      "a refund that is lost stays owed",
      () => paid().orderEnded().refund(lost),
      "refunding",
      ["PaymentSucceeded"],
    ],
    // Said again.
    ["webhook twice", () => charging().webhook().webhook(), "succeeded", ["PaymentSucceeded"]],
    ["webhook, then the answer", () => charging().webhook().charge(yes), "succeeded", ["PaymentSucceeded"]],
    [
      "webhook after the refund",
      () => paid().orderEnded().refund(returned).webhook(),
      "refunded",
      ["PaymentSucceeded", "PaymentRefunded"],
    ],
    ["decline after success", () => paid().webhook(no), "succeeded", ["PaymentSucceeded"]],
    ["success of an unknown payment", () => story().webhook(), undefined as never, []],
    ["both events again", () => paid().ordered().held(), "succeeded", ["PaymentSucceeded"]],
    ["other amount again", () => story().ordered().ordered(9_999).held(), "charging", []],
  ])("%s", (_title, run, status, told) => {
    const { status: is, told: events } = run();
    expect([is, events]).toEqual([status, told]);
  });

  it("is asked about before it is charged again, unless nothing was ever sent", () => {
    expect(stepOf(charging().payment!)).toBe("charge");
    expect(stepOf(charging().charge(unsent).swept().payment!)).toBe("charge");
    expect(stepOf(charging().charge(lost).swept().payment!)).toBe("ask");
    expect(stepOf(charging().charge(lost).swept().charge(unsent).swept().payment!)).toBe("ask");
    // The worker died: nobody knows.
    expect(stepOf(charging().at(60).swept().payment!)).toBe("ask");
  });

  it("is cancelled at once when it only waits for an answer", () => {
    const { payment } = charging().charge(pending).expired();
    expect([payment!.worker, stepOf(payment!)]).toEqual(["w1", "cancel"]);
  });

  it("is not cancelled twice in a row without a pause", () => {
    expect(charging().charge(pending).expired().charge(pending).payment).toMatchObject({ worker: null });
  });

  it("is wanted again when its stock is taken again in time", () => {
    const { payment } = charging().at(1).expired().at(2).held();
    expect([payment!.code, stepOf(payment!)]).toEqual([null, "charge"]);
  });

  it("is not asked about at once because the same expiry is delivered again", () => {
    const told = charging().charge(pending).expired().charge(pending);
    const before = told.payment;
    expect(before?.worker).toBeNull();
    expect(told.expired(before!.hold_at!).payment).toBe(before);
  });

  it("does not end because an old expiry is replayed", () => {
    const expiry = new Date(start.getTime() + 1_000);
    const retaken = charging().at(1).expired().at(2).held();
    expect(retaken.at(9).expired(expiry).payment!.code).toBeNull();
  });

  it("is left to the sweep by a process that has its hands full", () => {
    const { payment } = story().at(0, null).ordered().held();
    expect(payment).toMatchObject({ status: "charging", worker: null, attempts: 0, next_try_at: start });
  });
});

describe("two workers with the same payment", () => {
  const twoTurns = () => {
    const both = charging();
    const late = both.turn();
    return { both: both.at(60, "w2").swept(), late };
  };

  it("an unanswered call of the one does not end the other's turn", () => {
    const { both, late } = twoTurns();
    const before = both.payment;
    expect(both.charge(lost, late).charge(pending, late).payment).toBe(before);
  });

  it("both are told yes: it succeeds once", () => {
    const { both, late } = twoTurns();
    expect(both.charge(yes).charge(yes, late).told).toEqual(["PaymentSucceeded"]);
  });

  it("one cancels, and the other's charge came through all the same: refunded", () => {
    const { both, late } = twoTurns();
    both.orderEnded().charge(cancelled).charge(yes, late);
    expect(both.refund(returned).told).toEqual(["PaymentFailed order_ended", "PaymentRefunded"]);
  });
});

describe("an unreachable gateway", () => {
  const unreachableFor = (minutes: number, outcome: Unreachable) => {
    const waiting = charging();
    for (let minute = 0; minute <= minutes && waiting.status === "charging"; minute++) {
      waiting.at(minute * 60);
      if (minute > 0) waiting.swept();
      waiting.charge(outcome);
    }
    return waiting;
  };

  it("is told at first and then at a third of the holds' time", () => {
    expect(unreachableFor(0, lost).told).toHaveLength(1);
    expect(unreachableFor(4, lost).told).toHaveLength(1);
    expect(unreachableFor(5, lost).told).toHaveLength(2);
    expect(unreachableFor(60, lost).told).toEqual(Array(13).fill("PaymentDelayed"));
  });

  it("is tried again when the turn says, and nobody has its turn until then", () => {
    for (const outcome of [lost, unsent, pending]) {
      expect(charging().charge(outcome).payment).toMatchObject({
        next_try_at: new Date(start.getTime() + 500),
        worker: null,
        leased_until: null,
        failures: 1,
      });
    }
  });

  it("is told without anybody's going there when it is left alone, until patience is over", () => {
    const waiting = story().at(0, null).ordered().held();
    expect(waiting.putOff().told).toEqual(["PaymentDelayed"]);
    expect(waiting.payment).toMatchObject({ attempts: 0, failures: 1, worker: null });
    expect(waiting.at(299).putOff().told).toHaveLength(1);
    expect(waiting.at(300).putOff().told).toHaveLength(2);
    expect(
      waiting
        .at(24 * 3_600)
        .putOff()
        .told.at(-1),
    ).toBe("PaymentFailed gateway_unreachable");
  });

  it("is told nothing that has to do with a refund", () => {
    const owed = paid().at(0, null).orderEnded();
    expect(owed.putOff().told).toEqual(["PaymentSucceeded"]);
    expect(owed.payment).toMatchObject({ status: "refunding", failures: 1 });
  });

  it("ends the payment when patience is over and nothing was ever sent", () => {
    const over = unreachableFor(24 * 60, unsent);
    expect([over.status, over.told.at(-1)]).toEqual(["failed", "PaymentFailed gateway_unreachable"]);
  });

  it("ends the payment only once it is sure that nothing was charged", () => {
    const over = unreachableFor(24 * 60, lost);
    expect([over.status, over.payment!.code]).toEqual(["charging", "gateway_unreachable"]);
    expect(stepOf(over.swept().payment!)).toBe("cancel");
    expect(over.charge(cancelled).told.at(-1)).toBe("PaymentFailed gateway_unreachable");
  });

  it("does not end a payment that turns out to be charged", () => {
    const over = unreachableFor(24 * 60, lost)
      .swept()
      .charge(yes);
    expect([over.status, over.payment!.code, over.told.at(-1)]).toEqual([
      "succeeded",
      null,
      "PaymentSucceeded",
    ]);
  });

  it("is given back untouched what was not begun", () => {
    const waiting = charging();
    waiting.do({ type: "GiveBack", payment_id: "o1", turn: waiting.turn() });
    expect(waiting.payment).toMatchObject({ worker: null, attempts: 0, next_try_at: start });
  });
});
