import { setTimeout as sleep } from "node:timers/promises";
import type { Holdfast } from "./holdfast.ts";
import { readLog } from "./platform/log/read.ts";
import type { Reader } from "./platform/postgres/statement.ts";

/** The SKU of which there is one, for trying out what happens when two want it. */
export const lastUnitSku = "LAST-LANTERN";

/** The SKU of which there is plenty, for a first order. */
export const orderedSku = "MUG";

type Unit = readonly [sku: string, price_minor: number, quantity_on_hand: number];

const products: Readonly<Record<string, { name: string; skus: readonly Unit[] }>> = {
  lantern: { name: "Brass storm lantern, the last one", skus: [[lastUnitSku, 8_900, 1]] },
  rope: {
    name: "Hemp rope",
    skus: [
      ["ROPE-10M", 1_450, 120],
      ["ROPE-25M", 3_200, 60],
    ],
  },
  anchor: { name: "Folding anchor", skus: [["ANCHOR-3KG", 5_990, 24]] },
  compass: { name: "Pocket compass", skus: [["COMPASS", 3_450, 80]] },
  oilskin: {
    name: "Oilskin jacket",
    skus: [
      ["OILSKIN-S", 12_900, 12],
      ["OILSKIN-M", 12_900, 20],
      ["OILSKIN-L", 12_900, 3],
    ],
  },
  "sea-boots": {
    name: "Sea boots",
    skus: [
      ["BOOTS-40", 7_900, 15],
      ["BOOTS-43", 7_900, 15],
    ],
  },
  kettle: { name: "Galley kettle", skus: [["KETTLE", 4_200, 40]] },
  mug: { name: "Enamel mug", skus: [[orderedSku, 950, 500]] },
  chart: { name: "Harbour chart", skus: [["CHART", 2_100, 200]] },
  whistle: { name: "Bosun's whistle", skus: [["WHISTLE", 1_250, 75]] },
  flag: { name: "Signal flag set", skus: [["FLAGS", 6_400, 0]] },
  hammock: { name: "Canvas hammock", skus: [["HAMMOCK", 9_900, 8]] },
};

/** Loads a small shop unless there was ever a product. */
export async function loadDemo(engine: Holdfast, database: Reader, store_id: string): Promise<void> {
  if ((await readLog(database, "catalog", 0, 1)).length > 0) return;
  await Promise.all(
    Object.entries(products).map(([id, { name, skus }]) =>
      engine.putProduct(id, {
        name,
        skus: skus.map(([sku, price_minor]) => ({ sku, price_minor, currency: "EUR" })),
      }),
    ),
  );
  const lines = Object.values(products).flatMap(({ skus }) =>
    skus.map(([sku, , quantity]) => ({ store_id, sku, quantity })),
  );
  // Through a broker that this process has just met, the inventory hears of the products a moment later.
  for (let tries = 0; tries < 60; tries++) {
    const { accepted } = await engine.adjust("demo", {
      reason: "demo",
      actor: "demo",
      lines: lines.filter(({ quantity }) => quantity > 0),
    });
    if (accepted) return;
    await sleep(500);
  }
}
