import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { verifyDatabases } from "../../src/cli/verify.ts";
import type { Finding } from "../../src/platform/service.ts";
import { serviceNames } from "../../src/platform/settings.ts";
import { sharedBroker } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { line, type Shop, useShop } from "../../src/testing/shop.ts";
import { brokers } from "./witness.ts";

for (const [name, describeBroker] of brokers) {
  describeBroker(`with ${name} between them, services`, () => {
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
        const states = await shop.engineOf("orders").bus.consumers();
        const groups = states.filter(({ position }) => position !== undefined).map(({ group }) => group);
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

    describe("of several databases", () => {
      const others = serviceNames.filter((service) => !["storefront", "payments"].includes(service));
      const parts = [["storefront"], ["payments"], others] as const;
      const shop = useShop(() => ({ ...brokerSettings(name, address), parts }));
      const urls = () => parts.map(([service]) => shop.databaseUrlOf(service));

      it("are not told to be behind in a log that others of their database bring to the broker", async () => {
        const relayed = "insert into relay.cursors (topic, partition, position) values ('orders', 0, 0)";
        await shop.poolOf("storefront").query(relayed);
        await completed(shop);
        await nobodyIsBehind(shop);
      });

      it("can be verified, each database by itself", async () => {
        await completed(shop);
        await nobodyIsBehind(shop);
        for (const [index, url] of urls().entries()) {
          const findings = await verified([url]);
          expect(findings).not.toEqual([]);
          expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
          const nothing = findings.filter(({ skipped }) => skipped);
          expect(nothing).toHaveLength(parts[index] === others ? 2 : 0);
          for (const { looked_at } of nothing) expect(looked_at).toMatch(/^nothing: .*--also.*: payments$/);
        }
      });

      it("can be verified all together, which follows each order from database to database", async () => {
        const [id] = await completed(shop);
        await nobodyIsBehind(shop);
        const orders = (await shop.poolOf("orders").query("select from orders.orders")).rowCount;
        const findings = await verified(urls());
        expect(findings.filter(({ skipped }) => skipped)).toEqual([]);
        expect(findings.flatMap(({ violations }) => violations)).toEqual([]);
        expect(findings.filter(({ looked_at }) => looked_at.startsWith(`${orders} orders in`))).toHaveLength(
          2,
        );

        const again = `insert into payments.log (position, at, events)
          select nextval('payments.log_position'), clock_timestamp(), json_build_array(event)::text
          from payments.log, json_array_elements(events::json) as event
          where event ->> 'type' = 'PaymentSucceeded' and event ->> 'subject' = $1`;
        await shop.poolOf("payments").query(again, [id]);
        expect((await verified(urls())).flatMap(({ violations }) => violations)).toContain(
          `${id} was paid 2 times`,
        );
      });

      it("cannot be verified with databases that do not belong together", async () => {
        const [one, other] = urls() as [string, string];
        await expect(verifyDatabases([one, other, one])).rejects.toThrow("have tables of storefront");
      });
    });
  });
}

/** Without what is about the servers, which the tests run without fsync. */
async function verified(urls: readonly string[]): Promise<Finding[]> {
  return (await verifyDatabases(urls)).slice(urls.length);
}

async function completed(shop: Shop): Promise<string[]> {
  const sku = await shop.stocked(100);
  const ids = await Promise.all(Array.from({ length: 10 }, () => shop.ordered({ lines: [line(sku, 1)] })));
  for (const id of ids) await shop.becomes(id, "completed");
  return ids;
}

async function nobodyIsBehind(shop: Shop): Promise<void> {
  await vi.waitFor(async () => {
    const asked = ["storefront", "orders"].map((service) => shop.engineOf(service).bus.consumers());
    const states = (await Promise.all(asked)).flat();
    // Who has not saved a place yet is not among them.
    expect(states.map(({ group }) => group)).toEqual(expect.arrayContaining(["storefront", "orders"]));
    expect(states.filter(({ lag = 0, lag_seconds = 0 }) => lag > 0 || lag_seconds > 0)).toEqual([]);
  }, patience);
}
