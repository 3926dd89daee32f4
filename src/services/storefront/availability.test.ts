import { describe, expect, it } from "vitest";
import type { EventRecord } from "../../platform/log/append.ts";
import { type Random, seededRandom } from "../../testing/random.ts";
import { Availability, openJson, rowOf, type Sellable } from "./availability.ts";
import { statementsOf } from "./consumers/statements.ts";

interface Batch {
  readonly position: number;
  readonly events: readonly EventRecord[];
}

function batch(position: number, ...events: EventRecord[]): Batch {
  return { position, events };
}

function event(type: string, data: object): EventRecord {
  return { type, subject: "any", data };
}

const opened = (sku: string, store_id = "main") => event("StockOpened", { store_id, sku, product_id: "P" });
const listed = (sku: string) => event("SkuListed", { product_id: "P", sku });
const delisted = (sku: string) => event("SkuDelisted", { product_id: "P", sku });
const moved = (
  type: string,
  sku: string,
  version: number,
  quantity_available: number,
  store_id = "main",
): EventRecord =>
  event(type, { lines: [{ store_id, sku, quantity: 1, quantity_available, quantity_on_hand: 99, version }] });

function take(availability: Availability, { position, events }: Batch): Sellable[] {
  return [...availability.apply(position, statementsOf(events), events.length - 1)];
}

function fold(batches: readonly Batch[]): Availability {
  const availability = new Availability();
  for (const each of batches) take(availability, each);
  return availability;
}

/** `store/sku` → what can be sold of it, and its version. */
function picture(availability: Availability): Record<string, string> {
  const records = [...availability.all()].map((record) => {
    const { store_id, sku, quantity_available, version } = JSON.parse(`${openJson(record)}}`);
    return [`${store_id}/${sku}`, `${quantity_available} v${version}`];
  });
  return Object.fromEntries(records.sort());
}

describe("what can be sold", () => {
  it.each<[string, Batch[], Record<string, string>]>([
    ["nothing, of what was only opened", [batch(1, listed("A"), opened("A"))], { "main/A": "0 v1" }],
    ...[
      "InventoryReserved",
      "InventoryReleased",
      "InventoryCommitted",
      "InventoryAdjusted",
      "InventoryRetaken",
    ].map((type): [string, Batch[], Record<string, string>] => [
      `what ${type} states`,
      [batch(1, opened("A")), batch(2, moved(type, "A", 2, 7))],
      { "main/A": "7 v2" },
    ]),
    [
      "what the last of a batch's events states",
      [batch(1, opened("A"), moved("InventoryAdjusted", "A", 2, 9), moved("InventoryReserved", "A", 3, 8))],
      { "main/A": "8 v3" },
    ],
    [
      "something else in each store",
      [batch(1, opened("A"), opened("A", "shop"), moved("InventoryAdjusted", "A", 2, 5, "shop"))],
      { "main/A": "0 v1", "shop/A": "5 v2" },
    ],
    [
      "nothing, in any store, once the SKU is delisted",
      [
        batch(1, opened("A"), opened("A", "shop"), moved("InventoryAdjusted", "A", 2, 5, "shop")),
        batch(2, moved("InventoryAdjusted", "A", 2, 4)),
        batch(3, delisted("A")),
      ],
      { "main/A": "0 v2", "shop/A": "0 v2" },
    ],
    [
      "what there is by then, once the SKU is listed again",
      [
        batch(1, opened("A"), moved("InventoryAdjusted", "A", 2, 5)),
        batch(2, delisted("A")),
        batch(3, moved("InventoryReleased", "A", 3, 6)),
        batch(4, listed("A")),
      ],
      { "main/A": "6 v3" },
    ],
    [
      "what a SKU has that moves from one product to another within a batch",
      [batch(1, opened("A"), moved("InventoryAdjusted", "A", 2, 5)), batch(2, delisted("A"), listed("A"))],
      { "main/A": "5 v2" },
    ],
    [
      "what a snapshot states, and what moves after it",
      [
        batch(
          4,
          event("StockSnapshot", {
            records: [
              { store_id: "main", sku: "A", quantity_available: 5, version: 9, listed: true },
              { store_id: "main", sku: "B", quantity_available: 3, version: 4, listed: false },
            ],
          }),
        ),
        batch(5, moved("InventoryReserved", "A", 10, 4)),
      ],
      { "main/A": "4 v10", "main/B": "0 v4" },
    ],
    [
      "nothing new, after events that move no stock",
      [
        batch(1, opened("A")),
        batch(2, event("InventoryConfirmed", { reservation_id: "R", order_id: null })),
        batch(
          3,
          event("InventoryReservationFailed", { refusal: { lines: [{ sku: "A", store_id: "main" }] } }),
        ),
      ],
      { "main/A": "0 v1" },
    ],
  ])("is %s", (_what, batches, expected) => {
    expect(picture(fold(batches))).toEqual(expected);
  });

  it("is not known of what nobody has heard of", () => {
    expect(fold([batch(1, opened("A"))]).find("B")).toBeUndefined();
  });
});

describe("taking over a batch", () => {
  it("tells the records that are different now, in the order of their last change", () => {
    const availability = fold([batch(1, opened("A"), opened("B"), opened("C"))]);
    const changed = take(
      availability,
      batch(
        2,
        moved("InventoryAdjusted", "A", 2, 9),
        moved("InventoryAdjusted", "B", 2, 9),
        moved("InventoryReserved", "A", 3, 8),
      ),
    );
    expect(changed.map(rowOf)).toMatchObject([
      { sku: "B", position: 2, event_index: 1 },
      { sku: "A", position: 2, event_index: 2 },
    ]);
  });

  it("that is known already changes nothing", () => {
    const batches = [
      batch(1, opened("A")),
      batch(2, moved("InventoryAdjusted", "A", 2, 9)),
      batch(3, delisted("A")),
    ];
    const availability = fold(batches);
    expect(batches.flatMap((each) => take(availability, each))).toEqual([]);
    expect(availability.place).toEqual({ position: 3, index: 0 });
  });

  it("goes on from rows that were saved as if it had never stopped", () => {
    const batches = [
      batch(1, listed("A"), opened("A"), opened("A", "shop"), moved("InventoryAdjusted", "A", 2, 5)),
      batch(2, delisted("A")),
      batch(3, moved("InventoryReleased", "A", 3, 6)),
      batch(4, listed("A"), moved("InventoryReserved", "A", 4, 1)),
    ];
    const resumed = new Availability();
    for (const record of fold(batches.slice(0, 3)).all()) resumed.load(rowOf(record));
    expect(picture(resumed)).toEqual({ "main/A": "0 v3", "shop/A": "0 v1" });
    for (const each of batches.slice(1)) take(resumed, each);
    expect([...resumed.all()].map(rowOf).sort(byStore)).toEqual(
      [...fold(batches).all()].map(rowOf).sort(byStore),
    );
  });
});

it("any order of batches, with any repeated, comes to the same as their own order", () => {
  const random = seededRandom();
  for (let round = 0; round < 200; round++) {
    const batches = randomBatches(random);
    const mixed = random.shuffled([...batches, ...batches.filter(() => random.integer(0, 2) === 0)]);
    expect(picture(fold(mixed))).toEqual(picture(fold(batches)));
  }
});

function byStore(a: { store_id: string }, b: { store_id: string }): number {
  return a.store_id < b.store_id ? -1 : 1;
}

/** Batches as the inventory writes them: versions that grow by one, each with its result. */
function randomBatches(random: Random): Batch[] {
  const versions = new Map<string, number>();
  return Array.from({ length: random.integer(1, 25) }, (_, at) => {
    const events = Array.from({ length: random.integer(1, 4) }, () => {
      const [sku, store_id] = [random.pick(["A", "B", "C"]), random.pick(["main", "shop"])];
      if (random.integer(0, 4) === 0) return random.pick([listed, delisted])(sku);
      const version = (versions.get(sku + store_id) ?? 0) + 1;
      versions.set(sku + store_id, version);
      return version === 1
        ? opened(sku, store_id)
        : moved("InventoryAdjusted", sku, version, random.integer(0, 9), store_id);
    });
    return batch(at + 1, ...events);
  });
}
