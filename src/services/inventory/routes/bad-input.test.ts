import { beforeAll, describe, expect, it } from "vitest";
import { encodeCursor } from "../../../kernel/page.ts";
import { type HttpRequest, line, stockPath, useShop } from "../../../testing/shop.ts";
import {
  inField,
  inSecond,
  type Wrong,
  without,
  withUnknown,
  wrongIds,
  wrongIntegers,
  wrongStockIds,
  wrongTexts,
} from "../../../testing/wrong-input.ts";

const shop = useShop();

beforeAll(async () => {
  await shop.stocked(10, "mug");
  await shop.engineOf("inventory").reserve("open", [line("mug", 2)]);
});

const invalid = (request: HttpRequest, field: string) => shop.refused(request, 422, "request.invalid", field);

// ---- bodies --------------------------------------------------------------------------------------------------------

const mug = line("mug", 1);
const wrongLines: Wrong[] = [
  ["empty", [], ""],
  ["too many", Array(2_001).fill(mug), ""],
  ["no list", mug, ""],
  ...inSecond(mug, [
    ["null", null, ""],
    withUnknown(mug),
    ...without(mug, "sku", "store_id", "quantity"),
    ...inField(mug, "sku", wrongStockIds),
    ...inField(mug, "store_id", wrongStockIds),
    ...inField(mug, "quantity", wrongIntegers()),
  ]),
];
const ttl = { ttl_seconds: 60 };
const wrongTtl = inField(ttl, "ttl_seconds", wrongIntegers(31_536_000));

const hold = { lines: [mug], ...ttl, order_id: "order-1" };
const wrongHold: Wrong[] = [
  withUnknown(hold),
  ...without(hold, "lines"),
  ...inField(hold, "lines", wrongLines),
  ...wrongTtl.map(([what, value, field]): Wrong => [what, { ...hold, ...(value as object) }, field]),
  ...inField(hold, "order_id", wrongIds),
];
const namedHold = { id: "second", ...hold };
const wrongNamedHold: Wrong[] = [
  ...wrongHold.map(([what, value, field]): Wrong => [what, { id: "second", ...(value as object) }, field]),
  ...without(namedHold, "id"),
  ...inField(namedHold, "id", wrongIds),
];
const adjustment = { id: "delivery", reason: "delivery", lines: [mug], force: false };
const count = { quantity_on_hand: 5, reason: "stocktaking", force: false };

describe.each<{ route: string; path: string; body: object; wrong: Wrong[] }>([
  {
    route: "PUT stock/{store_id}/{sku}",
    path: stockPath("mug"),
    body: count,
    wrong: [
      withUnknown(count),
      ...without(count, "quantity_on_hand", "reason"),
      ...inField(
        count,
        "quantity_on_hand",
        wrongIntegers().filter(([, value]) => value !== 0),
      ),
      ...inField(count, "reason", wrongTexts(200)),
      ["force: text", { ...count, force: "true" }, "force"],
    ],
  },
  {
    route: "POST stock/adjustments",
    path: "/v1/stock/adjustments",
    body: adjustment,
    wrong: [
      withUnknown(adjustment),
      ...without(adjustment, "id", "reason", "lines"),
      ...inField(adjustment, "id", wrongIds),
      ...inField(adjustment, "reason", wrongTexts(200)),
      // A signed change may be negative.
      ...inField(
        adjustment,
        "lines",
        wrongLines.filter(([what]) => what !== "quantity: negative"),
      ),
      ["a line below the minimum", { ...adjustment, lines: [line("mug", -(2 ** 31))] }, "lines.0.quantity"],
      ["force: a number", { ...adjustment, force: 1 }, "force"],
    ],
  },
  { route: "PUT reservations/{id}", path: "/v1/reservations/new", body: hold, wrong: wrongHold },
  {
    route: "POST reservations/batch",
    path: "/v1/reservations/batch",
    body: { reservations: [namedHold] },
    wrong: [
      withUnknown({ reservations: [namedHold] }),
      ...without({}, "reservations"),
      ...inField({}, "reservations", [
        ["empty", [], ""],
        ["too many", Array(1_001).fill(namedHold), ""],
        ...inSecond({ ...namedHold, id: "first" }, wrongNamedHold),
      ]),
    ],
  },
  {
    route: "POST reservations/{id}/commit",
    path: "/v1/reservations/open/commit",
    body: { lines: [mug] },
    wrong: [withUnknown({}), ...inField({}, "lines", wrongLines)],
  },
  {
    route: "POST reservations/{id}/release",
    path: "/v1/reservations/open/release",
    body: { reason: "cancelled" },
    wrong: [withUnknown({}), ...inField({}, "reason", wrongTexts(200))],
  },
  {
    route: "POST reservations/{id}/extend",
    path: "/v1/reservations/open/extend",
    body: ttl,
    wrong: [withUnknown(ttl), ...without(ttl, "ttl_seconds"), ...wrongTtl],
  },
])("the body of $route is refused with", ({ route, path, body, wrong }) => {
  const method = route.split(" ", 1)[0]!;

  it.each(wrong)("%s", async (_what, wrongBody, field) => {
    await invalid({ method, path, body: wrongBody }, field);
  });

  it.each(["[]", '"text"', "7"])("%s where an object is wanted", async (text) => {
    await shop.refused({ method, path, body: text }, 422, "request.invalid");
  });

  it("a text that is no JSON, or not all of it", async () => {
    for (const text of ["quantity=1", JSON.stringify(body).slice(0, -1)]) {
      await shop.refused({ method, path, body: text }, 400, "request.malformed_json");
    }
  });

  it("another type than JSON", async () => {
    const headers = { "content-type": "text/plain" };
    await shop.refused({ method, path, body, headers }, 415, "request.unsupported_media_type");
  });

  it("more bytes than accepted", async () => {
    const padded = { ...body, padding: "x".repeat(1_048_576) };
    await shop.refused({ method, path, body: padded }, 413, "request.body_too_large");
  });

  it("a query that the route does not know", async () => {
    await invalid({ method, path: `${path}?dry_run=1`, body }, "dry_run");
  });
});

it.each([
  ["PUT", stockPath("mug"), "quantity_on_hand"],
  ["POST", "/v1/stock/adjustments", "lines"],
  ["PUT", "/v1/reservations/new", "lines"],
  ["POST", "/v1/reservations/batch", "reservations"],
  ["POST", "/v1/reservations/open/extend", "ttl_seconds"],
])("%s %s without a body is told what is missing", async (method, path, field) => {
  await invalid({ method, path }, field);
});

// ---- addresses and headers -----------------------------------------------------------------------------------------

describe("an id that no reservation can have is refused by", () => {
  const ids = ["a%20b", "a%2Fb", "Gr%C3%B6%C3%9Fe", "%00", "x".repeat(65)];
  it.each([
    ["GET", "", undefined],
    ["PUT", "", hold],
    ["POST", "/confirm", undefined],
    ["POST", "/commit", {}],
    ["POST", "/release", {}],
    ["POST", "/extend", ttl],
  ])("%s reservations/{id}%s", async (method, suffix, body) => {
    for (const id of ids) await invalid({ method, path: `/v1/reservations/${id}${suffix}`, body }, "id");
  });
});

describe("a store or SKU that cannot be is refused by", () => {
  it.each([
    ["GET", "", undefined],
    ["GET", "/movements", undefined],
    ["PUT", "", count],
  ])("%s stock/{store_id}/{sku}%s", async (method, suffix, body) => {
    for (const text of ["x".repeat(129), "a\nb", "\u0000", "\u200b", "a\u202eb"]) {
      await invalid({ method, path: stockPath(text) + suffix, body }, "sku");
      await invalid({ method, path: stockPath("mug", text) + suffix, body }, "store_id");
    }
    await shop.refused({ method, path: `/v1/stock/main/%E0%A4%A${suffix}`, body }, 400, "request.malformed");
  });
});

it.each(["2", "two", "*", 'W/"2"', '"-2"', '"2.5"', '"2", "3"', '""', `"${"9".repeat(16)}"`])(
  "If-Match: %s is no version of a stock record",
  async (version) => {
    await invalid(
      { method: "PUT", path: stockPath("mug"), body: count, headers: { "if-match": version } },
      "if-match",
    );
  },
);

it.each(["", "two words", "x".repeat(65), "a/b"])("the Idempotency-Key '%s' cannot be", async (key) => {
  const headers = { "idempotency-key": key };
  const path = "/v1/reservations/open/commit";
  await invalid({ method: "POST", path, body: { lines: [mug] }, headers }, "idempotency-key");
});

// ---- queries -------------------------------------------------------------------------------------------------------

const wrongPages: [string, string][] = [
  ["limit=0", "limit"],
  ["limit=-1", "limit"],
  ["limit=1001", "limit"],
  ["limit=ten", "limit"],
  ["limit=1.5", "limit"],
  ["limit=", "limit"],
  ["limit=1&limit=2", "limit"],
  ["after=nonsense", "after"],
  [`after=${"x".repeat(1_025)}`, "after"],
  ["page=2", "page"],
];

it.each([
  ...wrongPages,
  ...cursors(["mug"], ["mug", 7], ["mug", "main", "main"], ["a\u0000", "main"], ["mug", "\u0000"]),
  ["below=-1", "below"],
  ["below=2147483648", "below"],
  ["below=few", "below"],
  ["sku=", "sku"],
  [`sku=${"x".repeat(129)}`, "sku"],
  ["sku=%00", "sku"],
  ["store_id=", "store_id"],
  ["store_id=a%0Ab", "store_id"],
])("the list of stock refuses ?%s", async (query, field) => {
  await invalid({ method: "GET", path: `/v1/stock?${query}` }, field);
});

it.each([
  ...wrongPages,
  ...cursors(
    [1],
    ["1", 1],
    [1, 1, 1],
    [1e300, 1],
    [1.5, 1],
    [-1, 1],
    [9e15, 1],
    [1, 1.5],
    [1, -1],
    [1, 1e300],
  ),
])("the list of movements refuses ?%s", async (query, field) => {
  await invalid({ method: "GET", path: `${stockPath("mug")}/movements?${query}` }, field);
});

it.each([
  ["at=yesterday", "at"],
  ["at=2030-01-01", "at"],
  ["at=2030-01-01T00:00:00", "at"],
  ["at=2030-02-30T00:00:00Z", "at"],
  ["at=2016-12-31T23:59:60Z", "at"],
  ["at=", "at"],
  ["as_of=2030-01-01T00:00:00Z", "as_of"],
])("one stock record refuses ?%s", async (query, field) => {
  await invalid({ method: "GET", path: `${stockPath("mug")}?${query}` }, field);
});

it("a reservation is read without a query", async () => {
  await invalid({ method: "GET", path: "/v1/reservations/open?expand=lines" }, "expand");
});

it.each(['{"surprise":1}', "[]", '"x"', "1", "null"])(
  "a confirmation takes no body such as %s",
  async (body) => {
    const path = "/v1/reservations/open/confirm";
    await invalid({ method: "POST", path, body }, body.startsWith("{") ? "surprise" : "body");
  },
);

it("a confirmation takes no query", async () => {
  await invalid({ method: "POST", path: "/v1/reservations/open/confirm?force=1" }, "force");
});

it("what was refused has left no mark", async () => {
  const { body } = await shop.get(stockPath("mug"));
  expect(body).toMatchObject({ quantity_on_hand: 10, quantity_reserved: 2, version: 3 });
});

/** Cursors of other lists, or made up. */
function cursors(...keys: (string | number)[][]): [string, string][] {
  return keys.map((key) => [`after=${encodeCursor(key)}`, "after"]);
}
