import { expect, it } from "vitest";
import { transact } from "../../src/platform/batch/transaction.ts";
import type { AvailabilityRow } from "../../src/services/storefront/contract.ts";
import * as store from "../../src/services/storefront/store.ts";
import { inEachState, logOf, spread, useLargeDatabase } from "./large-database.ts";
import { asked, expectNoScan, handled, largeTables, updatesBy } from "./plans.ts";

const records = 1_000_000;
const batches = records / 10;

const database = useLargeDatabase([
  `insert into storefront.availability (sku, store_id, quantity_available, version, listed, listing_position, position,
                                        event_index)
   select 'SKU-' || lpad(n::text, 7, '0'), 'main', 100, 2, true, 1, n / 10 + 1, 0 from generate_series(1, ${records}) n`,
  `insert into storefront.cursors (topic, position) values ('inventory', ${batches / 2})`,
  ...logOf("inventory", batches),
]);

inEachState(database, () => {
  it.each([1, 300, 2_000, 10_000])("saving %i rows reads no large table from end to end", async (size) => {
    const save = handled(
      database.pool,
      saveBatch,
      spread(size, records).map((n) => row(n, 3)),
    );
    await expectNoScan(database.pool, save, { name: "storefront_upsert_rows" });
  });

  it.each([0, batches / 2, batches])(
    "a look behind position %i reads no log from end to end",
    async (position) => {
      await expectNoScan(
        database.pool,
        asked(database.pool, (reader) => store.lookBehind(reader, "inventory", position)),
      );
    },
  );

  it("what was saved is read a page at a time", async () => {
    const twoPages = asked(database.pool, async (reader) => {
      let pages = 0;
      for await (const _rows of store.readRows(reader)) if (++pages === 2) return;
    });
    await expectNoScan(database.pool, twoPages);
  });
});

it("the tables are large", async () => {
  expect(await largeTables(database.pool)).toEqual(["inventory.log_from_0", "storefront.availability"]);
});

it("availability is updated in place: no index is written when quantities change", async () => {
  const updates = await updatesBy(database.pool, "storefront.availability", async () => {
    for (let version = 4; version < 9; version++) {
      const rows = spread(300, records).map((n) => row(n, version));
      await transact(database.pool, (tx) => saveBatch(tx, rows));
    }
  });
  expect(updates).toEqual({ all: 1_500, inPlace: 1_500 });
});

/** As the service saves what has changed. */
const saveBatch: Parameters<typeof handled<AvailabilityRow, void>>[1] = async (tx, rows) => {
  const cursor = await store.lockCursor(tx, "inventory");
  store.saveRows(tx, rows);
  store.moveCursor(tx, "inventory", cursor + 1);
  return [];
};

function row(n: number, version: number): AvailabilityRow {
  return {
    store_id: "main",
    sku: `SKU-${String(n).padStart(7, "0")}`,
    quantity_available: 50 + version,
    version,
    listed: true,
    listing_position: 1,
    position: batches,
    event_index: 0,
  };
}
