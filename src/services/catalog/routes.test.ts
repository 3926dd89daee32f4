import { beforeAll, describe, expect, it, vi } from "vitest";
import { patience } from "../../testing/patience.ts";
import { stockPath, useShop } from "../../testing/shop.ts";
import {
  inField,
  inSecond,
  type Wrong,
  without,
  withUnknown,
  wrongIntegers,
  wrongStockIds,
  wrongTexts,
} from "../../testing/wrong-input.ts";

const shop = useShop();

beforeAll(() => {
  // Who follows the catalogue is waited for as long as it takes.
  const { bus } = shop.engineOf("catalog");
  const { reached } = bus;
  bus.reached = (topic, position) => reached(topic, position, patience.timeout);
});

const productPath = (id: string) => `/v1/products/${id}`;
const price = { price_minor: 250, currency: "EUR" };
const mug = (sku = shop.fresh("sku")) => ({ name: "Mug", skus: [{ sku, ...price }] });

describe("a product", () => {
  it("is created, and read as it was answered", async () => {
    const id = shop.fresh("product");
    const skus = [
      { sku: "Größe M / rot", price_minor: 0, currency: "EUR", policy: "hold" },
      { sku: "50% off", price_minor: Number.MAX_SAFE_INTEGER, currency: "JPY" },
    ];
    const { status, body } = await shop.put(productPath(id), { name: "Tasse ☕", skus });
    expect([status, body]).toEqual([
      201,
      {
        id,
        name: "Tasse ☕",
        skus: skus.map((sku) => ({ policy: "hold", ...sku })),
        created_at: expect.stringMatching(/Z$/),
        updated_at: body.created_at,
      },
    ]);
    expect(await shop.get(productPath(id))).toMatchObject({ status: 200, body });
  });

  it("is known to the stock when the answer arrives, with nothing on hand", async () => {
    const id = shop.fresh("product");
    const content = mug();
    await shop.put(productPath(id), content);
    expect(await shop.get(stockPath(content.skus[0]!.sku))).toMatchObject({
      status: 200,
      body: { product_id: id, quantity_on_hand: 0, version: 1 },
    });
  });

  it("stands when it cannot be found out who has heard of it", async () => {
    vi.spyOn(shop.engineOf("catalog").bus, "reached").mockRejectedValueOnce(
      new Error("the connection broke"),
    );
    const path = productPath(shop.fresh("product"));
    expect((await shop.put(path, mug())).status).toBe(201);
    expect((await shop.get(path)).status).toBe(200);
  });

  it("is replaced, and what is left out is sold no more", async () => {
    const path = productPath(shop.fresh("product"));
    const [kept, dropped, added] = [shop.fresh("sku"), shop.fresh("sku"), shop.fresh("sku")];
    const named = (...skus: string[]) => ({ name: "Mug", skus: skus.map((sku) => ({ sku, ...price })) });
    const created = await shop.put(path, named(kept, dropped));
    const { status, body } = await shop.put(path, named(kept, added));
    expect([status, body.created_at]).toEqual([200, created.body.created_at]);
    expect((await shop.get(path)).body).toEqual(body);
    expect(body.skus.map(({ sku }: { sku: string }) => sku)).toEqual([kept, added]);
    expect((await shop.get(stockPath(added))).status).toBe(200);
    const request = {
      method: "PUT",
      path: stockPath(dropped),
      body: { quantity_on_hand: 1, reason: "found" },
    };
    await shop.refused(request, 404, "inventory.unknown_sku");
  });

  it("that is put again after its answer was lost is the same, and nothing happens", async () => {
    const [path, content] = [productPath(shop.fresh("product")), mug()];
    const lost = await shop.put(path, content);
    const changed = await shop.changes();
    const again = await shop.put(path, content);
    expect([lost.status, again.status, again.body]).toEqual([201, 200, lost.body]);
    expect(await shop.changes()).toBe(changed);
  });

  it("may take a SKU that another one has given up, and no other", async () => {
    const [first, second] = [productPath(shop.fresh("product")), productPath(shop.fresh("product"))];
    const content = mug();
    await shop.put(first, content);
    await shop.refused({ method: "PUT", path: second, body: content }, 409, "catalog.sku_taken");
    await shop.put(first, mug());
    expect((await shop.put(second, content)).status).toBe(201);
  });

  it("that names a SKU twice is refused", async () => {
    const { skus } = mug();
    const body = { name: "Mug", skus: [...skus, ...skus] };
    const path = productPath(shop.fresh("product"));
    await shop.refused({ method: "PUT", path, body }, 422, "catalog.sku_repeated");
  });

  it("that nobody made is not found", async () => {
    await shop.refused({ method: "GET", path: productPath("nobodys") }, 404, "catalog.product_not_found");
  });
});

describe("PUT products/{id} is refused with", () => {
  const content = mug("mug");
  const [sku] = content.skus;
  const path = productPath("new");
  const put = (body: unknown, field: string, at = path) =>
    shop.refused({ method: "PUT", path: at, body }, 422, "request.invalid", field);

  it.each<Wrong>([
    withUnknown(content),
    ...without(content, "name", "skus"),
    ...inField(content, "name", wrongTexts(500)),
    ...inField(content, "skus", [
      ["empty", [], ""],
      ["too many", Array(1_001).fill(sku), ""],
      ["no list", sku, ""],
      ...inSecond(sku, [
        ["null", null, ""],
        withUnknown(sku!),
        ...without(sku!, "sku", "price_minor", "currency"),
        ...inField(sku!, "sku", wrongStockIds),
        ...inField(sku!, "price_minor", wrongIntegers(Number.MAX_SAFE_INTEGER)).filter(
          ([what]) => !what.endsWith("zero"),
        ),
        ...["", "eur", "EURO", "E1R", 978, null].map(
          (currency): Wrong => [`currency: ${currency}`, { ...sku, currency }, "currency"],
        ),
        ...["backorder", "", null].map(
          (policy): Wrong => [`policy: ${policy}`, { ...sku, policy }, "policy"],
        ),
      ]),
    ]),
  ])("%s", async (_what, body, field) => {
    await put(body, field);
  });

  it("an id that no product can have, and so is reading it", async () => {
    for (const id of ["a%20b", "a%2Fb", "Gr%C3%B6%C3%9Fe", "%00", "x".repeat(65)]) {
      await put(content, "id", productPath(id));
      await shop.refused({ method: "GET", path: productPath(id) }, 422, "request.invalid", "id");
    }
  });

  it("a query, and so is reading it", async () => {
    await put(content, "dry_run", `${path}?dry_run=1`);
    await shop.refused({ method: "GET", path: `${path}?expand=1` }, 422, "request.invalid", "expand");
  });

  it("no body at all", async () => {
    await put(undefined, "skus");
  });

  it("what is no JSON, another type, or too much", async () => {
    const request = { method: "PUT", path };
    await shop.refused({ ...request, body: '{"name":' }, 400, "request.malformed_json");
    const headers = { "content-type": "application/xml" };
    await shop.refused({ ...request, body: content, headers }, 415, "request.unsupported_media_type");
    const padded = { ...content, padding: "x".repeat(1_048_576) };
    await shop.refused({ ...request, body: padded }, 413, "request.body_too_large");
  });
});
