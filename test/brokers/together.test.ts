import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { verifyDatabase } from "../../src/cli/verify.ts";
import { serviceNames } from "../../src/platform/settings.ts";
import { sharedBroker } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { line, type Shop, useShop } from "../../src/testing/shop.ts";
import { brokers } from "./witness.ts";

const patient = { timeout: 60_000, interval: 100 };

for (const [name, describeBroker] of brokers) {
  describeBroker(`with ${name} between them, services`, { timeout: 120_000 }, () => {
    let address = "";
    beforeAll(async () => {
      address = await sharedBroker(name);
    });

    describe("of one database", () => {
      const shop = useShop(() => ({ ...brokerSettings(name, address), parts: [serviceNames] }));
      afterAll(() => shop.addsUp());

      it("have heard everything in the end, those included that follow a log by themselves", async () => {
        await completed(shop);
        await nobodyIsBehind(shop);
      });

      it("hear everything again where they are set back, wherever it comes from", async () => {
        const before = (await shop.get("/v1/availability?sku=sku-1")).body.items;
        const groups = (await shop.engineOf("orders").bus.consumers()).map(({ group }) => group);
        for (const group of new Set(groups)) {
          const topics = groups.filter((other) => other === group).length;
          expect(await shop.engineOf("orders").bus.replay(group, { position: 1 }), group).toBe(topics);
        }
        await nobodyIsBehind(shop);
        expect((await shop.get("/v1/availability?sku=sku-1")).body.items).toMatchObject(
          before.map(({ sku, quantity_available }: Record<string, unknown>) => ({ sku, quantity_available })),
        );
      });
    });

    describe("of two databases", () => {
      const others = serviceNames.filter((service) => service !== "storefront");
      const shop = useShop(() => ({ ...brokerSettings(name, address), parts: [["storefront"], others] }));

      it("are not told to be behind in a log that others of their database bring to the broker", async () => {
        const relayed = "insert into relay.cursors (topic, partition, position) values ('orders', 0, 0)";
        await shop.poolOf("storefront").query(relayed);
        await completed(shop);
        await nobodyIsBehind(shop);
      });

      it("can be verified, each database by itself", async () => {
        await completed(shop);
        await nobodyIsBehind(shop);
        for (const service of ["storefront", "orders"]) {
          // The first one is about the server, which the tests run without fsync.
          const [, ...findings] = await verifyDatabase(shop.databaseUrlOf(service));
          expect(findings).not.toEqual([]);
          expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
        }
      });
    });
  });
}

async function completed(shop: Shop): Promise<void> {
  const sku = await shop.stocked(100);
  const ids = await Promise.all(Array.from({ length: 10 }, () => shop.ordered({ lines: [line(sku, 1)] })));
  for (const id of ids) await shop.becomes(id, "completed");
}

async function nobodyIsBehind(shop: Shop): Promise<void> {
  await vi.waitFor(async () => {
    const asked = ["storefront", "orders"].map((service) => shop.engineOf(service).bus.consumers());
    const states = (await Promise.all(asked)).flat();
    // Who has not saved a place yet is not among them.
    expect(states.map(({ group }) => group)).toEqual(expect.arrayContaining(["storefront", "orders"]));
    expect(states.filter(({ lag, lag_seconds }) => lag > 0 || lag_seconds > 0)).toEqual([]);
  }, patient);
}
