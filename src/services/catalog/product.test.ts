import { describe, expect, it } from "vitest";
import type { ProductContent } from "./contract.ts";
import { decide, evolve, type Shelf } from "./product.ts";

const monday = new Date("2030-01-07T09:00:00Z");
const tuesday = new Date("2030-01-08T09:00:00Z");

function content(...skus: string[]): ProductContent {
  return {
    name: "Mug",
    skus: skus.map((sku) => ({ sku, price_minor: 250, currency: "EUR", policy: "hold" })),
  };
}

function shelfWith(products: Record<string, ProductContent>): Shelf {
  const shelf: Shelf = { products: new Map(), owners: new Map() };
  for (const [product_id, product] of Object.entries(products)) {
    evolve(shelf, { type: "ProductCreated", data: { product_id, ...product } }, monday);
  }
  return shelf;
}

function put(shelf: Shelf, product_id: string, product: ProductContent) {
  return decide(shelf, { type: "PutProduct", product_id, content: product });
}

describe("putting a product", () => {
  it("creates what is not there", () => {
    expect(put(shelfWith({}), "mug", content("MUG-S"))).toEqual({
      accepted: true,
      events: [{ type: "ProductCreated", data: { product_id: "mug", ...content("MUG-S") } }],
    });
  });

  it("replaces what is there", () => {
    expect(put(shelfWith({ mug: content("MUG-S") }), "mug", content("MUG-L"))).toEqual({
      accepted: true,
      events: [{ type: "ProductUpdated", data: { product_id: "mug", ...content("MUG-L") } }],
    });
  });

  it("does nothing when it is so already", () => {
    expect(put(shelfWith({ mug: content("MUG-S", "MUG-L") }), "mug", content("MUG-S", "MUG-L"))).toEqual({
      accepted: true,
      events: [],
    });
  });

  it.each<[string, ProductContent]>([
    ["its name", { ...content("MUG-S", "MUG-L"), name: "Cup" }],
    ["the order of its SKUs", content("MUG-L", "MUG-S")],
    ["one SKU more", content("MUG-S", "MUG-L", "MUG-XL")],
    ["one SKU less", content("MUG-S")],
    [
      "a price",
      { name: "Mug", skus: [content("MUG-S").skus[0]!, { ...content("MUG-L").skus[0]!, price_minor: 1 }] },
    ],
    [
      "a currency",
      { name: "Mug", skus: [content("MUG-S").skus[0]!, { ...content("MUG-L").skus[0]!, currency: "USD" }] },
    ],
  ])("sees a change of %s", (_, changed) => {
    const shelf = shelfWith({ mug: content("MUG-S", "MUG-L") });
    expect(put(shelf, "mug", changed)).toMatchObject({ events: [{ type: "ProductUpdated" }] });
  });

  it("twice in one batch is a creation and then nothing", () => {
    const shelf = shelfWith({});
    const first = put(shelf, "mug", content("MUG-S"));
    if (first.accepted) for (const event of first.events) evolve(shelf, event, monday);
    expect(put(shelf, "mug", content("MUG-S"))).toEqual({ accepted: true, events: [] });
  });
});

describe("putting a product is refused, in this order, because", () => {
  const shelf = shelfWith({ mug: content("MUG-S"), pen: content("PEN") });

  it("it names a SKU twice, whosever that is", () => {
    expect(put(shelf, "mug", content("PEN", "PEN"))).toEqual({
      accepted: false,
      refusal: { code: "catalog.sku_repeated", detail: "PEN is named more than once." },
    });
  });

  it("another product has the SKU, whatever else is new", () => {
    expect(put(shelf, "mug", content("MUG-L", "PEN"))).toEqual({
      accepted: false,
      refusal: { code: "catalog.sku_taken", detail: "PEN belongs to the product pen." },
    });
    expect(put(shelf, "hat", content("PEN"))).toMatchObject({ refusal: { code: "catalog.sku_taken" } });
  });
});

describe("what has happened to a product", () => {
  it("sets its content, and keeps when it was created", () => {
    const shelf = shelfWith({ mug: content("MUG-S") });
    evolve(shelf, { type: "ProductUpdated", data: { product_id: "mug", ...content("MUG-L") } }, tuesday);
    expect(shelf.products.get("mug")).toEqual({
      id: "mug",
      ...content("MUG-L"),
      created_at: monday,
      updated_at: tuesday,
    });
  });

  it("frees the SKUs that it no longer has, for another product in the same batch", () => {
    const shelf = shelfWith({ mug: content("MUG-S", "MUG-L") });
    evolve(shelf, { type: "ProductUpdated", data: { product_id: "mug", ...content("MUG-L") } }, tuesday);
    expect(put(shelf, "cup", content("MUG-S"))).toMatchObject({ accepted: true });
    expect(put(shelf, "cup", content("MUG-L"))).toMatchObject({ refusal: { code: "catalog.sku_taken" } });
  });
});
