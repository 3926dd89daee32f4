import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { maxQuantity } from "../../../kernel/limits.ts";
import { line, stockPath, useShop } from "../../../testing/shop.ts";
import type { Line } from "../contract/index.ts";

const shop = useShop();

const reservationPath = (id: string) => `/v1/reservations/${id}`;
const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1_000;

describe("stock", () => {
  it("is read, with its version as ETag", async () => {
    const sku = await shop.stocked(10);
    await shop.held(line(sku, 3));
    const { status, headers, body } = await shop.get(stockPath(sku));
    expect([status, headers.get("etag")]).toEqual([200, '"3"']);
    expect(body).toEqual({
      product_id: expect.stringContaining("product-"),
      store_id: "main",
      sku,
      quantity_on_hand: 10,
      quantity_reserved: 3,
      quantity_available: 7,
      quantity_owed: 0,
      version: 3,
      last_updated_at: instant,
    });
  });

  it.each([
    "two words",
    "50% off/red",
    "%2F",
    "Größe ☕ 日本",
    "a+b&c=d?e#f",
    "'\"<>\\",
    "😀".repeat(64),
    "👩\u200d🍳",
    "...",
    ". .",
  ])("of the SKU %s has an address", async (sku) => {
    await shop.stocked(1, sku);
    const counted = await shop.put(stockPath(sku, sku), { quantity_on_hand: 5, reason: "found" });
    expect(counted).toMatchObject({ status: 200, body: { store_id: sku, sku, quantity_on_hand: 5 } });
    expect((await shop.get(stockPath(sku, sku))).body).toEqual(counted.body);
    expect((await shop.get(`${stockPath(sku)}/movements`)).body.items).toMatchObject([{ quantity: 1 }]);
    const { body } = await shop.get(`/v1/stock?sku=${encodeURIComponent(sku)}`);
    expect(body.items.map((item: Line) => item.store_id).sort()).toEqual(["main", sku].sort());
  });

  it("is listed by SKU, by store and by what is left", async () => {
    const sku = await shop.stocked(10);
    const other = await shop.stocked(10);
    const store_id = shop.fresh("store");
    await shop.put(stockPath(sku, store_id), { quantity_on_hand: 3, reason: "found" });
    await shop.put(stockPath(other, store_id), { quantity_on_hand: 4, reason: "found" });
    const listed = async (query: string) =>
      (await shop.get(`/v1/stock?${query}`)).body.items.map((item: Line) => [item.sku, item.store_id]);

    expect(await listed(`sku=${sku}`)).toEqual([
      [sku, "main"],
      [sku, store_id],
    ]);
    expect(await listed(`store_id=${store_id}&below=4`)).toEqual([[sku, store_id]]);
    expect(await listed(`store_id=${store_id}&below=5`)).toHaveLength(2);
    expect(await listed(`store_id=${store_id}&below=0`)).toEqual([]);
    expect(await listed("store_id=nowhere")).toEqual([]);
  });

  it.each([1, 3, 4, 12, 100])(
    "is listed %i at a time, nothing doubled and nothing left out",
    async (limit) => {
      const store_id = shop.fresh("store");
      const skus = await Promise.all(Array.from({ length: 12 }, () => shop.stocked(0)));
      for (const sku of skus)
        await shop.put(stockPath(sku, store_id), { quantity_on_hand: 1, reason: "found" });
      const items = await shop.pages(`/v1/stock?store_id=${store_id}`, limit);
      expect(items.map(({ sku }) => sku)).toEqual([...skus].sort());
    },
  );

  it("that is not there is not found", async () => {
    const sku = await shop.stocked(1);
    for (const path of [stockPath("nonsense"), stockPath(sku, "nowhere")]) {
      await shop.refused({ method: "GET", path }, 404, "inventory.stock_not_found");
    }
  });
});

describe("stock as of a time", () => {
  it("is what was read at that time", async () => {
    const sku = await shop.stocked(10);
    const id = await shop.held(line(sku, 4));
    const readings = [(await shop.get(stockPath(sku))).body];
    for (const step of ["/confirm", "/commit", "/release"]) {
      await sleep(3); // times are told in milliseconds
      if (step === "/release") await shop.held(line(sku, 1));
      else await shop.post(reservationPath(id) + step);
      readings.push((await shop.get(stockPath(sku))).body);
    }
    expect(new Set(readings.map(({ version }) => version))).toEqual(new Set([3, 4, 5]));
    for (const reading of readings) {
      const { headers, body } = await shop.get(`${stockPath(sku)}?at=${reading.last_updated_at}`);
      expect(body).toEqual(reading);
      expect(headers.get("etag")).toBe(`"${reading.version}"`);
    }
    const inAnotherZone = readings[0].last_updated_at.replace("Z", "%2B00:00");
    expect((await shop.get(`${stockPath(sku)}?at=${inAnotherZone}`)).body).toEqual(readings[0]);
    expect((await shop.get(`${stockPath(sku)}?at=2999-01-01T00:00:00Z`)).body).toEqual(readings.at(-1));
  });

  it("is not known from before its record was opened", async () => {
    const path = `${stockPath(await shop.stocked(1))}?at=2001-01-01T00:00:00Z`;
    await shop.refused({ method: "GET", path }, 404, "inventory.before_horizon");
  });
});

describe("movements", () => {
  it("tell what happened, why, and what came of it", async () => {
    const sku = await shop.stocked(0);
    const adjustment = shop.fresh("delivery");
    await shop
      .engineOf("inventory")
      .adjust(adjustment, { lines: [line(sku, 10)], reason: "delivery", actor: "Ada" });
    const id = shop.fresh("hold");
    await shop.engineOf("inventory").reserve(id, [line(sku, 4)], { order_id: "order-1" });
    await shop.engineOf("inventory").commit(id, { lines: [line(sku, 1)] });
    await shop.engineOf("inventory").release(id, "payment_failed");

    const { body } = await shop.get(`${stockPath(sku)}/movements`);
    const of = { reservation_id: id, order_id: "order-1" };
    expect(body.items).toMatchObject([
      { event_type: "ADJUSTED", quantity: 10, adjustment_id: adjustment, reason: "delivery", actor: "Ada" },
      { event_type: "RESERVED", quantity: 4, quantity_available: 6, ...of },
      { event_type: "COMMITTED", quantity: 1, quantity_on_hand: 9, quantity_reserved: 3, ...of },
      { event_type: "RELEASED", quantity: 3, quantity_available: 9, reason: "payment_failed", ...of },
    ]);
    expect(body.items.map(({ version }: { version: number }) => version)).toEqual([2, 3, 4, 5]);
    expect(body.next).toBeNull();
  });

  it.each([1, 2, 3, 7, 100])(
    "are listed %i at a time, nothing doubled and nothing left out",
    async (limit) => {
      const sku = await shop.stocked(100);
      for (let round = 0; round < 3; round++) {
        // Several movements of one record stand in one batch.
        await Promise.all(Array.from({ length: 3 }, () => shop.held(line(sku, 1))));
        await shop.held(line(sku, 1));
      }
      const items = await shop.pages(`${stockPath(sku)}/movements`, limit);
      expect(items.map(({ version }) => version)).toEqual(Array.from({ length: 13 }, (_, i) => i + 2));
      expect(new Set(items.map(({ event_id }) => event_id)).size).toBe(13);
    },
  );

  it("of what is not there are not found", async () => {
    const sku = await shop.stocked(0);
    for (const path of [stockPath("nonsense"), stockPath(sku, "nowhere")]) {
      await shop.refused({ method: "GET", path: `${path}/movements` }, 404, "inventory.stock_not_found");
    }
  });

  it("of what nothing has happened to are none", async () => {
    const sku = await shop.stocked(0);
    expect(await shop.get(`${stockPath(sku)}/movements`)).toMatchObject({
      status: 200,
      body: { items: [], next: null },
    });
  });
});

describe("a count", () => {
  it("goes through with the ETag that was read, and the stale one is refused", async () => {
    const sku = await shop.stocked(10);
    const read = (await shop.get(stockPath(sku))).headers.get("etag")!;
    const first = await shop.put(
      stockPath(sku),
      { quantity_on_hand: 8, reason: "broken" },
      { "if-match": read },
    );
    expect(first).toMatchObject({
      status: 200,
      body: { quantity_on_hand: 8, quantity_available: 8, version: 3 },
    });
    expect(first.headers.get("etag")).toBe('"3"');
    const stale = { method: "PUT", path: stockPath(sku), body: { quantity_on_hand: 9, reason: "found" } };
    await shop.refused({ ...stale, headers: { "if-match": read } }, 412, "inventory.version_mismatch");
    const { status } = await shop.send({ ...stale, headers: { "if-match": first.headers.get("etag")! } });
    expect(status).toBe(200);
  });

  it("opens a record in another store, which had version 0", async () => {
    const path = stockPath(await shop.stocked(0), shop.fresh("store"));
    const opened = await shop.put(path, { quantity_on_hand: 0, reason: "opening" }, { "if-match": '"0"' });
    expect(opened).toMatchObject({ status: 200, body: { quantity_on_hand: 0 } });
    const body = { quantity_on_hand: 7, reason: "found" };
    await shop.refused(
      { method: "PUT", path, body, headers: { "if-match": '"0"' } },
      412,
      "inventory.version_mismatch",
    );
  });

  it("cannot cut below what is reserved", async () => {
    const sku = await shop.stocked(10);
    await shop.held(line(sku, 4));
    const { lines } = await shop.refused(
      { method: "PUT", path: stockPath(sku), body: { quantity_on_hand: 3, reason: "broken" } },
      409,
      "inventory.below_reserved",
    );
    expect(lines).toEqual([{ store_id: "main", sku, requested: 7, available: 6 }]);
  });

  it("can be forced below it, which is told as a shortfall", async () => {
    const sku = await shop.stocked(10);
    const kept = await shop.held(line(sku, 4));
    const released = await shop.held(line(sku, 4));
    const counted = await shop.put(stockPath(sku), { quantity_on_hand: 5, reason: "fire", force: true });
    expect(counted).toMatchObject({ status: 200, body: { quantity_on_hand: 5, quantity_reserved: 4 } });
    expect((await shop.get(reservationPath(kept))).body.status).toBe("held");
    expect((await shop.get(reservationPath(released))).body).toMatchObject({
      status: "released",
      reason: "shortfall",
    });
    expect(await shop.events("StockShortfall", sku)).toEqual([
      {
        store_id: "main",
        sku,
        reservations: [{ reservation_id: released, order_id: null, status: "held", quantity: 4 }],
      },
    ]);
  });

  it("of a SKU that the catalogue does not know is refused", async () => {
    const body = { quantity_on_hand: 1, reason: "found" };
    await shop.refused({ method: "PUT", path: stockPath("nonsense"), body }, 404, "inventory.unknown_sku");
  });
});

describe("an adjustment", () => {
  const adjust = (body: object) => ({ method: "POST", path: "/v1/stock/adjustments", body });

  it("changes all of its lines by signed quantities", async () => {
    const [sku, other] = [await shop.stocked(10), await shop.stocked(10)];
    const id = shop.fresh("transfer");
    const lines = [line(sku, -3), line(sku, -1), line(other, 4), line(sku, 4, "outlet")];
    const { status, body } = await shop.send(adjust({ id, reason: "transfer", lines }));
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, reason: "transfer", actor: "anonymous", at: instant });
    expect(body.lines).toMatchObject([
      { sku, store_id: "main", quantity: -4, quantity_on_hand: 6 },
      { sku: other, quantity: 4, quantity_on_hand: 14 },
      { sku, store_id: "outlet", quantity: 4, quantity_on_hand: 4 },
    ]);
  });

  it("changes none of its lines when one cannot be", async () => {
    const [sku, other] = [await shop.stocked(10), await shop.stocked(1)];
    const lines = [line(sku, 5), line(other, -2)];
    const request = adjust({ id: shop.fresh("transfer"), reason: "transfer", lines });
    const problem = await shop.refused(request, 409, "inventory.below_reserved");
    expect(problem.lines).toEqual([{ store_id: "main", sku: other, requested: 2, available: 1 }]);
  });

  it("has an id for itself", async () => {
    const sku = await shop.stocked(10);
    const body = { id: shop.fresh("delivery"), reason: "delivery", lines: [line(sku, 1)] };
    await shop.send(adjust(body));
    await shop.refused(adjust({ ...body, reason: "theft" }), 409, "inventory.adjustment_conflict");
    await shop.refused(adjust({ ...body, lines: [line(sku, 2)] }), 409, "inventory.adjustment_conflict");
  });

  it("is refused when the quantity would be larger than can be kept", async () => {
    const sku = await shop.stocked(10);
    const body = { id: shop.fresh("delivery"), reason: "delivery", lines: [line(sku, maxQuantity)] };
    await shop.refused(adjust(body), 422, "inventory.quantity_overflow");
  });

  it("of a SKU that the catalogue does not know is refused", async () => {
    const lines = [line(await shop.stocked(1), 1), line("nonsense", 1)];
    const request = adjust({ id: shop.fresh("delivery"), reason: "delivery", lines });
    const problem = await shop.refused(request, 404, "inventory.unknown_sku");
    expect(problem.lines.map(({ sku }: Line) => sku)).toEqual(["nonsense"]);
  });
});

describe("a reservation", () => {
  it("is held until it expires, and can be read", async () => {
    const sku = await shop.stocked(10);
    const id = shop.fresh("hold");
    const lines = [line(sku, 2), line(sku, 1)];
    const held = await shop.put(reservationPath(id), { lines, ttl_seconds: 3_600, order_id: "order-1" });
    expect(held.status).toBe(201);
    expect(held.body).toEqual({
      id,
      status: "held",
      lines: [{ ...line(sku, 3), quantity_committed: 0 }],
      order_id: "order-1",
      reason: null,
      expires_at: instant,
      created_at: instant,
      updated_at: instant,
    });
    expect(seconds(held.body.created_at, held.body.expires_at)).toBe(3_600);
    expect(await shop.get(reservationPath(id))).toMatchObject({ status: 200, body: held.body });
  });

  it("is held for a quarter of an hour when it does not say how long", async () => {
    const { body } = await shop.put(reservationPath(shop.fresh("hold")), {
      lines: [line(await shop.stocked(1), 1)],
    });
    expect(seconds(body.created_at, body.expires_at)).toBe(900);
  });

  it("holds all of its lines or none, and its id may try again", async () => {
    const [sku, scarce] = [await shop.stocked(10), await shop.stocked(1)];
    const path = reservationPath(shop.fresh("hold"));
    const request = { method: "PUT", path, body: { lines: [line(sku, 1), line(scarce, 2)] } };
    const { lines } = await shop.refused(request, 409, "inventory.insufficient_stock");
    expect(lines).toEqual([{ store_id: "main", sku: scarce, requested: 2, available: 1 }]);
    await shop.refused({ method: "GET", path }, 404, "inventory.reservation_not_found");
    expect((await shop.put(path, { lines: [line(scarce, 1)] })).status).toBe(201);
  });

  it("is amended by other lines", async () => {
    const [sku, other] = [await shop.stocked(10), await shop.stocked(10)];
    const id = await shop.held(line(sku, 4));
    const amended = await shop.put(reservationPath(id), { lines: [line(sku, 1), line(other, 2)] });
    expect(amended).toMatchObject({ status: 200, body: { status: "held" } });
    expect(amended.body.lines).toMatchObject([
      { sku, quantity: 1 },
      { sku: other, quantity: 2 },
    ]);
    expect((await shop.get(stockPath(sku))).body.quantity_reserved).toBe(1);
    expect((await shop.get(stockPath(other))).body.quantity_reserved).toBe(2);
  });

  it("is confirmed, shipped in parts and then closed", async () => {
    const sku = await shop.stocked(10);
    const id = await shop.held(line(sku, 3));
    const path = reservationPath(id);
    expect(await shop.post(`${path}/confirm`)).toMatchObject({
      status: 200,
      body: { status: "confirmed", expires_at: null },
    });

    const part = await shop.post(`${path}/commit`, { lines: [line(sku, 1)] });
    expect(part).toMatchObject({
      status: 200,
      body: { status: "confirmed", lines: [{ quantity_committed: 1 }] },
    });
    const tooMany = { method: "POST", path: `${path}/commit`, body: { lines: [line(sku, 3)] } };
    const problem = await shop.refused(tooMany, 409, "inventory.exceeds_reservation");
    expect(problem.lines).toMatchObject([{ requested: 3, available: 2 }]);
    const without = { method: "PUT", path, body: { lines: [line(await shop.stocked(1), 1)] } };
    await shop.refused(without, 409, "inventory.already_committed");

    const rest = await shop.post(`${path}/commit`);
    expect(rest).toMatchObject({
      status: 200,
      body: { status: "committed", lines: [{ quantity_committed: 3 }] },
    });
    expect((await shop.get(stockPath(sku))).body).toMatchObject({
      quantity_on_hand: 7,
      quantity_reserved: 0,
    });
    await shop.refused({ method: "POST", path: `${path}/release` }, 409, "inventory.reservation_closed");
  });

  it("is extended from now", async () => {
    const id = await shop.held(line(await shop.stocked(1), 1));
    const { status, body } = await shop.post(`${reservationPath(id)}/extend`, { ttl_seconds: 7_200 });
    expect([status, seconds(body.updated_at, body.expires_at)]).toEqual([200, 7_200]);
  });

  it("is released with a reason, and then closed to everything", async () => {
    const sku = await shop.stocked(1);
    const path = reservationPath(await shop.held(line(sku, 1)));
    const released = await shop.post(`${path}/release`, { reason: "changed my mind" });
    expect(released).toMatchObject({ status: 200, body: { status: "released", reason: "changed my mind" } });
    expect((await shop.get(stockPath(sku))).body.quantity_available).toBe(1);
    for (const [method, suffix, body] of [
      ["PUT", "", { lines: [line(sku, 1)] }],
      ["POST", "/confirm"],
      ["POST", "/commit"],
      ["POST", "/extend", { ttl_seconds: 60 }],
    ] as const) {
      await shop.refused({ method, path: path + suffix, body }, 409, "inventory.reservation_closed");
    }
  });

  it("that is released before it arrives is refused", async () => {
    const path = reservationPath(shop.fresh("hold"));
    expect(await shop.post(`${path}/release`)).toMatchObject({
      status: 200,
      body: { status: "released", lines: [] },
    });
    const late = { method: "PUT", path, body: { lines: [line(await shop.stocked(1), 1)] } };
    await shop.refused(late, 409, "inventory.reservation_closed");
  });

  it("that nobody made is not found", async () => {
    const path = reservationPath("nobodys");
    for (const [method, suffix, body] of [
      ["GET", ""],
      ["POST", "/confirm"],
      ["POST", "/commit"],
      ["POST", "/extend", { ttl_seconds: 60 }],
    ] as const) {
      await shop.refused({ method, path: path + suffix, body }, 404, "inventory.reservation_not_found");
    }
  });

  it("of a SKU that the catalogue does not know is refused", async () => {
    const sku = await shop.stocked(1);
    const lines = [line(sku, 1), line("nonsense", 2)];
    const request = { method: "PUT", path: reservationPath(shop.fresh("hold")), body: { lines } };
    const problem = await shop.refused(request, 404, "inventory.unknown_sku");
    expect(problem.lines).toEqual([{ store_id: "main", sku: "nonsense", requested: 2, available: 0 }]);
  });

  it("of lines that add up to more than can be kept is refused", async () => {
    const sku = await shop.stocked(1);
    const body = { lines: [line(sku, maxQuantity), line(sku, 1)] };
    const path = reservationPath(shop.fresh("hold"));
    await shop.refused({ method: "PUT", path, body }, 422, "inventory.quantity_overflow");
  });

  it("in a store that has no record finds nothing available", async () => {
    const body = { lines: [line(await shop.stocked(1), 1, "nowhere")] };
    const path = reservationPath(shop.fresh("hold"));
    const { lines } = await shop.refused({ method: "PUT", path, body }, 409, "inventory.insufficient_stock");
    expect(lines).toMatchObject([{ store_id: "nowhere", requested: 1, available: 0 }]);
  });
});

describe("a batch of reservations", () => {
  const batch = (...reservations: object[]) => shop.post("/v1/reservations/batch", { reservations });

  it("answers each for itself, in order", async () => {
    const [sku, scarce] = [await shop.stocked(10), await shop.stocked(1)];
    const [first, second, third, fourth] = ["a", "b", "c", "d"].map((name) => shop.fresh(name));
    const { status, body } = await batch(
      { id: first, lines: [line(sku, 1), line(scarce, 1)], ttl_seconds: 3_600, order_id: "order-1" },
      { id: second, lines: [line(sku, 1), line(scarce, 1)] },
      { id: third, lines: [line("nonsense", 1)] },
      { id: fourth, lines: [line(sku, 2)] },
    );
    expect(status).toBe(200);
    expect(body.results).toMatchObject([
      { id: first, status: "held" },
      {
        id: second,
        status: "refused",
        code: "inventory.insufficient_stock",
        lines: [{ store_id: "main", sku: scarce, requested: 1, available: 0 }],
      },
      { id: third, status: "refused", code: "inventory.unknown_sku" },
      { id: fourth, status: "held" },
    ]);
    expect((await shop.get(stockPath(sku))).body.quantity_reserved).toBe(3);
    expect((await shop.get(reservationPath(first!))).body).toMatchObject({ order_id: "order-1" });
  });

  it("takes an id that it names twice for a retry, or for an amendment", async () => {
    const sku = await shop.stocked(10);
    const [repeated, amended] = [shop.fresh("hold"), shop.fresh("hold")];
    const { body } = await batch(
      { id: repeated, lines: [line(sku, 2)] },
      { id: amended, lines: [line(sku, 2)] },
      { id: repeated, lines: [line(sku, 2)] },
      { id: amended, lines: [line(sku, 3)] },
    );
    expect(body.results.map(({ status }: { status: string }) => status)).toEqual(Array(4).fill("held"));
    expect((await shop.get(stockPath(sku))).body.quantity_reserved).toBe(5);
  });

  it("sells a thousand at once, and no more than there are", async () => {
    const sku = await shop.stocked(600);
    const { body } = await batch(
      ...Array.from({ length: 1_000 }, () => ({ id: shop.fresh("hold"), lines: [line(sku, 1)] })),
    );
    expect(body.results.filter(({ status }: { status: string }) => status === "held")).toHaveLength(600);
    expect((await shop.get(stockPath(sku))).body).toMatchObject({
      quantity_available: 0,
      quantity_reserved: 600,
    });
  });
});

describe("a request whose answer was lost is sent again and", () => {
  it.each<
    [string, (sku: string, id: string) => [method: string, path: string, body?: object, headers?: object]]
  >([
    ["counts", (sku) => ["PUT", stockPath(sku), { quantity_on_hand: 8, reason: "broken" }]],
    [
      "counts with If-Match",
      (sku) => ["PUT", stockPath(sku), { quantity_on_hand: 8, reason: "broken" }, { "if-match": '"3"' }],
    ],
    ["opens a record", (sku) => ["PUT", stockPath(sku, "outlet"), { quantity_on_hand: 8, reason: "found" }]],
    [
      "adjusts",
      (sku, id) => [
        "POST",
        "/v1/stock/adjustments",
        { id, reason: "delivery", lines: [line(sku, 5), line(sku, -1)] },
      ],
    ],
    ["reserves", (sku, id) => ["PUT", reservationPath(`new-${id}`), { lines: [line(sku, 3), line(sku, 1)] }]],
    ["amends", (sku, id) => ["PUT", reservationPath(id), { lines: [line(sku, 5)] }]],
    ["confirms", (_sku, id) => ["POST", `${reservationPath(id)}/confirm`]],
    ["commits", (_sku, id) => ["POST", `${reservationPath(id)}/commit`]],
    [
      "commits a part",
      (sku, id) => [
        "POST",
        `${reservationPath(id)}/commit`,
        { lines: [line(sku, 1)] },
        { "idempotency-key": `parcel-${id}` },
      ],
    ],
    ["releases", (_sku, id) => ["POST", `${reservationPath(id)}/release`, { reason: "cancelled" }]],
    ["releases what is not there yet", (_sku, id) => ["POST", `${reservationPath(`new-${id}`)}/release`]],
    [
      "reserves a batch",
      (sku, id) => [
        "POST",
        "/v1/reservations/batch",
        {
          reservations: [
            { id: `new-${id}`, lines: [line(sku, 3)] },
            { id: `too-much-${id}`, lines: [line(sku, 100)] },
            { id, lines: [line(sku, 2)] },
          ],
        },
      ],
    ],
  ])("%s once, with the same answer", async (_what, requestAbout) => {
    const sku = await shop.stocked(10);
    const id = await shop.held(line(sku, 2));
    const [method, path, body, headers] = requestAbout(sku, id);
    const request = { method, path, body, ...(headers && { headers: headers as Record<string, string> }) };

    const lost = await shop.send(request);
    expect(Math.floor(lost.status / 100)).toBe(2);
    const changed = await shop.changes();
    for (let attempt = 0; attempt < 2; attempt++) {
      const again = await shop.send(request);
      expect([again.status, again.body]).toEqual([200, lost.body]);
    }
    expect(await shop.changes()).toBe(changed);
  });

  it("extends from the moment at which it arrives, and is otherwise the same", async () => {
    const id = await shop.held(line(await shop.stocked(1), 1));
    const extend = () => shop.post(`${reservationPath(id)}/extend`, { ttl_seconds: 7_200 });
    const lost = await extend();
    const again = await extend();
    const { expires_at, updated_at } = again.body;
    expect([again.status, again.body]).toEqual([200, { ...lost.body, expires_at, updated_at }]);
    expect(seconds(updated_at, expires_at)).toBe(7_200);
  });

  it("extends once with an Idempotency-Key, however often it is sent", async () => {
    const id = await shop.held(line(await shop.stocked(1), 1));
    const extend = (key: string, ttl_seconds = 7_200) =>
      shop.post(`${reservationPath(id)}/extend`, { ttl_seconds }, { "idempotency-key": key });
    const lost = await extend("first");
    expect(await extend("first")).toMatchObject({ status: 200, body: lost.body });
    expect((await extend("second", 7_201)).body.expires_at > lost.body.expires_at).toBe(true);
    const commit = shop.post(`${reservationPath(id)}/commit`, undefined, { "idempotency-key": "first" });
    expect(await commit).toMatchObject({ status: 422, body: { code: "inventory.key_reused" } });
  });

  it("counts once with If-Match although somebody has sold since", async () => {
    const sku = await shop.stocked(10);
    const count = () =>
      shop.put(stockPath(sku), { quantity_on_hand: 8, reason: "broken" }, { "if-match": '"2"' });
    await count();
    await shop.held(line(sku, 3));
    expect(await count()).toMatchObject({ status: 200, body: { quantity_on_hand: 8, quantity_reserved: 3 } });
  });

  it("answers as things stand when its reservation has gone on since", async () => {
    const sku = await shop.stocked(10);
    const path = reservationPath(await shop.held(line(sku, 2)));
    await shop.post(`${path}/confirm`);
    expect(await shop.put(path, { lines: [line(sku, 2)] })).toMatchObject({
      status: 200,
      body: { status: "confirmed" },
    });
    await shop.post(`${path}/commit`);
    expect(await shop.post(`${path}/confirm`)).toMatchObject({ status: 200, body: { status: "committed" } });
  });
});

describe("low stock", () => {
  it("is announced when the threshold is crossed, and again only after it was above", async () => {
    const sku = await shop.stocked(4);
    const path = reservationPath(await shop.held(line(sku, 2)));
    await shop.held(line(sku, 1));
    await shop.post(`${path}/release`);
    await shop.put(stockPath(sku), { quantity_on_hand: 2, reason: "broken" });
    const about = { store_id: "main", sku, threshold: 2 };
    expect(await shop.events("LowStock", sku)).toEqual([
      { ...about, quantity_available: 2 },
      { ...about, quantity_available: 1 },
    ]);
  });
});
