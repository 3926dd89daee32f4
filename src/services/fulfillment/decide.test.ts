import { describe, expect, it } from "vitest";
import { ShipmentBook } from "./book.ts";
import type {
  CancelShipment,
  FulfillmentCommand,
  FulfillmentReply,
  HandoverOutcome,
  Line,
  OpenShipment,
  Shipment,
} from "./contract.ts";

const start = new Date("2030-01-07T09:00:00Z");
const mugs: Line = { store_id: "main", sku: "MUG", quantity: 3 };
const pens: Line = { store_id: "main", sku: "PEN", quantity: 2 };
const of = { order_id: "o1", reservation_id: "r1" };

const paid: OpenShipment = { type: "OpenShipment", ...of, lines: [mugs, pens], cause: "orders-1-0" };
const wanted: CancelShipment = {
  type: "CancelShipment",
  ...of,
  reason: "changed my mind",
  order_ended: false,
  cause: "orders-2-0",
};
const orderEnded: CancelShipment = { ...wanted, order_ended: true, cause: "orders-3-0" };
const shipAll = { type: "Ship", shipment_id: "o1", carrier: "DHL", tracking: "T1" } as const;
const carried: HandoverOutcome = { result: "shipped", carrier: "simulated", tracking: "SIM-o1" };

function answered(outcome: HandoverOutcome): FulfillmentCommand {
  return { type: "RecordHandover", shipment_id: "o1", outcome, cause: "orders-1-0" };
}

/** One shipment through one batch after the other. */
class Story {
  shipment: Shipment | undefined;
  replies: FulfillmentReply[] = [];
  events: { type: string; cause?: string; data: unknown }[] = [];
  handed: Shipment[] = [];
  private readonly room: number | null;
  private seconds = 0;

  constructor(room: number | null) {
    this.room = room;
  }

  after(seconds: number): this {
    this.seconds += seconds;
    return this;
  }

  when(...commands: FulfillmentCommand[]): this {
    const now = new Date(start.getTime() + this.seconds * 1_000);
    const isDue = this.shipment?.next_try_at != null && this.shipment.next_try_at <= now;
    const book = new ShipmentBook({
      mark: { now, position: 1, tx: "1" },
      shipments: this.shipment === undefined ? [] : [this.shipment],
      due: isDue ? ["o1"] : [],
      carrier: this.room === null ? null : { room: this.room, leaseMs: 30_000 },
    });
    this.replies = commands.map((command) => book.settle(command));
    this.events = book.events;
    this.handed = this.replies.flatMap((reply) => (reply.accepted ? reply.handed : []));
    this.shipment = book.changed()[0] ?? this.shipment;
    return this;
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  get status(): string | undefined {
    return this.shipment?.status;
  }

  get code(): string | undefined {
    const [reply] = this.replies;
    return reply?.accepted === false ? reply.refusal.code : undefined;
  }
}

const manual = () => new Story(null);
const withCarrier = () => new Story(100);
const claim: FulfillmentCommand = { type: "ClaimShipments", limit: 10 };

describe("a paid order", () => {
  it("waits for the API when no carrier is called", () => {
    const story = manual().when(paid);
    expect(story.types).toEqual(["ShipmentOpened"]);
    expect(story.shipment).toMatchObject({ status: "open", next_try_at: null, reservation_id: "r1" });
    expect(story.handed).toEqual([]);
  });

  it("goes to the carrier at once, for as long as the lease", () => {
    const story = withCarrier().when(paid);
    expect(story.shipment).toMatchObject({ status: "handing_over", attempts: 0 });
    expect(story.shipment!.next_try_at).toEqual(new Date(start.getTime() + 30_000));
    expect(story.handed.map(({ id }) => id)).toEqual(["o1"]);
  });

  it("waits for the sweep when the carrier has no room, and can be cancelled meanwhile", () => {
    const story = new Story(0).when(paid);
    expect(story.shipment).toMatchObject({ status: "open", next_try_at: start });
    expect(story.when(wanted).types).toEqual(["ShipmentCancelled"]);
  });

  it("is opened once, however often it is heard of", () => {
    expect(withCarrier().when(paid, paid).types).toEqual(["ShipmentOpened"]);
    for (const end of [shipAll, wanted, orderEnded]) {
      const story = manual().when(paid, end);
      const { status } = story;
      expect(story.when(paid)).toMatchObject({ types: [], handed: [], status });
    }
  });

  it("has each SKU on one line", () => {
    expect(manual().when({ ...paid, lines: [mugs, mugs] }).shipment!.lines).toEqual([
      { ...mugs, quantity: 6, quantity_shipped: 0 },
    ]);
  });
});

describe("the carrier's answer", () => {
  it("ships all of it, once", () => {
    const story = withCarrier().when(paid).when(answered(carried), answered(carried));
    expect(story.events).toEqual([
      {
        type: "OrderFulfilled",
        subject: "o1",
        cause: "orders-1-0",
        data: {
          shipment_id: "o1",
          ...of,
          part: 1,
          carrier: "simulated",
          tracking: "SIM-o1",
          lines: [mugs, pens],
        },
      },
    ]);
    expect(story.shipment).toMatchObject({ status: "shipped", next_try_at: null });
  });

  it("fails it when the carrier refuses", () => {
    const story = withCarrier()
      .when(paid)
      .when(answered({ result: "refused", detail: "too large" }));
    expect(story.events).toMatchObject([
      { type: "FulfillmentFailed", data: { code: "carrier_refused", detail: "too large" } },
    ]);
    expect(story.status).toBe("failed");
  });

  it("that never came is asked for again later, as one that may have been yes", () => {
    const story = withCarrier()
      .when(paid)
      .when(answered({ result: "unanswered", retry_in_ms: 5_000 }));
    expect(story).toMatchObject({ types: [], status: "handing_over" });
    expect(story.after(4).when(claim).handed).toEqual([]);
    expect(story.after(1).when(claim).handed).toMatchObject([{ id: "o1", attempts: 1 }]);
    expect(story.when(claim).handed).toEqual([]);
  });

  it("is not waited for when the carrier was not even called", () => {
    const story = withCarrier()
      .when(paid)
      .when(answered({ result: "not_tried", retry_in_ms: 5_000 }));
    expect(story.status).toBe("open");
    expect(story.after(5).when(claim).handed).toMatchObject([{ status: "handing_over", attempts: 0 }]);
  });

  it("is asked for by somebody else when whoever had claimed it has vanished", () => {
    const story = withCarrier().when(paid).after(30).when(claim);
    expect(story.handed).toMatchObject([{ id: "o1", attempts: 1 }]);
  });

  it.each([
    ["the API has shipped", { ...shipAll }],
    ["it was cancelled", wanted],
  ])("changes nothing any more once %s", (_, before) => {
    const story = manual().when(paid, before);
    const { status } = story;
    expect(story.when(answered({ result: "refused", detail: "no" }))).toMatchObject({ types: [], status });
  });
});

describe("a cancellation", () => {
  it("of what is open is granted, and answers the request", () => {
    const story = manual().when(paid).when(wanted, wanted);
    expect(story.events).toMatchObject([
      { type: "ShipmentCancelled", cause: "orders-2-0", data: { reason: "changed my mind" } },
    ]);
    expect(story.shipment).toMatchObject({ status: "cancelled", reason: "changed my mind" });
  });

  it.each<[string, HandoverOutcome, string[], string]>([
    ["has it", carried, ["OrderFulfilled", "ShipmentCancellationRefused"], "shipped"],
    ["refuses it", { result: "refused", detail: "no" }, ["ShipmentCancelled"], "cancelled"],
    ["has never heard of it", { result: "absent" }, ["ShipmentCancelled"], "cancelled"],
    ["was not called", { result: "not_tried", retry_in_ms: 1 }, ["ShipmentCancelled"], "cancelled"],
    ["does not answer", { result: "unanswered", retry_in_ms: 1 }, [], "handing_over"],
  ])("of what is being handed over is decided when the carrier %s", (_, outcome, types, status) => {
    const story = withCarrier().when(paid).when(wanted);
    expect(story.types).toEqual([]);
    expect(story.when(answered(outcome))).toMatchObject({ types, status });
    const answer = story.events.find(({ type }) => type.startsWith("ShipmentCancel"));
    if (answer !== undefined) expect(answer.cause).toBe("orders-2-0");
  });

  it("is not granted because one of several calls was not made", () => {
    const story = withCarrier()
      .when(paid)
      .when(wanted)
      .after(30)
      .when(claim)
      .when(answered({ result: "not_tried", retry_in_ms: 1 }));
    expect(story).toMatchObject({ types: [], status: "handing_over" });
  });

  it.each([
    ["all of it", shipAll, "shipped"],
    ["a part of it", { ...shipAll, lines: [pens] }, "partly_shipped"],
  ])("comes too late once %s has left, and is told so once", (_, ship, status) => {
    const story = manual().when(paid, ship);
    expect(story.when(wanted, wanted)).toMatchObject({ types: ["ShipmentCancellationRefused"], status });
    expect(story.when(wanted).types).toEqual([]);
    expect(story.when({ ...wanted, cause: "orders-9-0" }).types).toEqual(["ShipmentCancellationRefused"]);
    expect(story.when(orderEnded).types).toEqual([]);
  });

  it("that comes before the payment is remembered, and granted then", () => {
    const story = withCarrier().when(wanted);
    expect(story).toMatchObject({ types: [], status: "called_off" });
    expect(story.when(paid, paid).events).toMatchObject([
      { type: "ShipmentOpened", cause: "orders-1-0" },
      { type: "ShipmentCancelled", cause: "orders-2-0", data: { reason: "changed my mind" } },
    ]);
    expect(story).toMatchObject({ status: "cancelled", handed: [] });
  });

  it("of an order that has ended closes what is open, and what is not known yet for good", () => {
    expect(manual().when(paid).when(orderEnded).status).toBe("cancelled");
    const unknown = manual().when(orderEnded);
    expect(unknown).toMatchObject({ types: [], status: "called_off" });
    expect(unknown.when(paid)).toMatchObject({ types: [], status: "called_off" });
  });
});

describe("shipping by hand", () => {
  const part = { ...shipAll, lines: [pens, { ...mugs, quantity: 1 }], key: "k1" };

  it("counts the parts, and knows the last one", () => {
    const story = manual().when(paid).when(part);
    expect(story.events).toMatchObject([{ type: "OrderPartlyShipped", data: { part: 1, tracking: "T1" } }]);
    expect(story.when({ ...shipAll, key: "k2", tracking: "T2" }).events).toMatchObject([
      { type: "OrderFulfilled", data: { part: 2, tracking: "T2", lines: [{ ...mugs, quantity: 2 }] } },
    ]);
    expect(story.shipment!.parts.map(({ key }) => key)).toEqual(["k1", "k2"]);
    expect(story.status).toBe("shipped");
  });

  it("ships a named part once, and no other one under its name", () => {
    const story = manual().when(paid).when(part);
    expect(story.when(part, { ...part, lines: [...part.lines].reverse() }).types).toEqual([]);
    expect(story.replies.every(({ accepted }) => accepted)).toBe(true);
    for (const other of [
      { ...part, lines: [pens] },
      { ...part, tracking: "T9" },
      { ...part, carrier: "UPS" },
      { ...shipAll, key: "k1" },
    ]) {
      expect(story.when(other).code).toBe("fulfillment.key_reused");
    }
    expect(story.when({ ...shipAll, key: "k2" }, { ...shipAll, key: "k2" }).types).toEqual([
      "OrderFulfilled",
    ]);
  });

  it("ships no more than is left", () => {
    const story = manual().when(paid).when(part);
    const refused = story.when({ ...shipAll, lines: [{ ...mugs, quantity: 3 }, pens] });
    expect(refused.replies).toMatchObject([
      {
        refusal: {
          code: "fulfillment.exceeds_shipment",
          lines: [
            { store_id: "main", sku: "MUG", requested: 3, left: 2 },
            { store_id: "main", sku: "PEN", requested: 2, left: 0 },
          ],
        },
      },
    ]);
    const twice = { ...mugs, quantity: 2 };
    expect(story.when({ ...shipAll, lines: [twice, twice] }).code).toBe("fulfillment.exceeds_shipment");
  });

  it.each<[string, FulfillmentCommand[], string]>([
    ["it is not known", [], "fulfillment.shipment_not_found"],
    ["it is only remembered", [wanted], "fulfillment.shipment_not_found"],
    ["it has left", [paid, shipAll], "fulfillment.already_shipped"],
    ["it was cancelled", [paid, wanted], "fulfillment.shipment_ended"],
    [
      "it has failed",
      [paid, { type: "FailShipment", shipment_id: "o1", detail: "lost" }],
      "fulfillment.shipment_ended",
    ],
  ])("is refused because %s", (_, past, code) => {
    expect(
      manual()
        .when(...past)
        .when(shipAll).code,
    ).toBe(code);
  });

  it("is refused while the carrier has not answered", () => {
    expect(withCarrier().when(paid).when(shipAll).code).toBe("fulfillment.handing_over");
  });
});

describe("failing by hand", () => {
  const fail = { type: "FailShipment", shipment_id: "o1", detail: "it burnt" } as const;

  it("is possible while nothing has left, and may be said again", () => {
    const story = manual().when(paid).when(fail, fail);
    expect(story.events).toMatchObject([{ type: "FulfillmentFailed", data: { detail: "it burnt" } }]);
    expect(story.replies.every(({ accepted }) => accepted)).toBe(true);
  });

  it.each<[string, FulfillmentCommand[], string]>([
    ["it is not known", [], "fulfillment.shipment_not_found"],
    ["a part has left", [paid, { ...shipAll, lines: [pens] }], "fulfillment.already_shipped"],
    ["all of it has left", [paid, shipAll], "fulfillment.already_shipped"],
    ["it was cancelled", [paid, wanted], "fulfillment.shipment_ended"],
  ])("is refused because %s", (_, past, code) => {
    expect(
      manual()
        .when(...past)
        .when(fail).code,
    ).toBe(code);
  });
});
