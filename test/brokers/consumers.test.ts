import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { createBrokerBus } from "../../src/platform/bus/broker/index.ts";
import { createKafkaBroker } from "../../src/platform/bus/kafka/index.ts";
import type { Bus, Subscription } from "../../src/platform/bus/port.ts";
import { createRabbitBroker } from "../../src/platform/bus/rabbitmq/index.ts";
import { createLogger } from "../../src/platform/telemetry/logger.ts";
import { createRegistry } from "../../src/platform/telemetry/metrics.ts";
import { untraced } from "../../src/platform/telemetry/tracer.ts";
import type { BrokerName } from "../../src/testing/broker-process.ts";
import { sharedBroker } from "../../src/testing/brokers.ts";
import { BusBench, type BusSetting, listener, told } from "../../src/testing/bus-contract/bench.ts";
import { takeAway } from "../../src/testing/database.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { line, type Shop, useShop } from "../../src/testing/shop.ts";
import { brokers } from "./witness.ts";

const parts = [
  ["catalog", "orders", "carts", "payments", "fulfillment", "storefront"],
  ["inventory"],
] as const;

for (const [name, describeBroker] of brokers) {
  describeBroker(`who reads from ${name}`, () => {
    let address = "";
    beforeAll(async () => {
      address = await sharedBroker(name);
    });

    describe("a service", () => {
      const shop = useShop(() => ({ ...brokerSettings(name, address), parts }));
      afterAll(() => shop.addsUp());

      it("waits while its database is away, drops nothing, and goes on", async () => {
        const sku = await shop.stocked(100);
        await completed(shop, await orders(shop, sku, 2));
        const giveBack = await takeAway(shop.poolOf("inventory"));
        const waiting = await orders(shop, sku, 30);
        await vi.waitFor(async () => {
          expect((await shop.get(`/v1/stock/main/${sku}`)).status).toBe(503);
        }, patience);
        for (const id of waiting) expect((await shop.get(`/v1/orders/${id}`)).body.status).toBe("pending");
        await giveBack();
        await completed(shop, waiting);
        await shop.settled();
        expect(await shop.stock(sku)).toEqual([68, 0, 68]);
      });

      it("that cannot handle one event handles all the others, of the same partition too", async () => {
        const sku = await shop.stocked(100);
        const poison = shop.fresh("poisoned-customer");
        let isPoisoned = true;
        shop.intercept("inventory", (handle) => async (tx, events) => {
          const found = events.find(({ data }) => (data as { customer_id?: string }).customer_id === poison);
          if (found !== undefined && isPoisoned) throw new Error(`stumbled over ${found.id}`);
          return handle(tx, events);
        });
        const before = await orders(shop, sku, 5);
        const stuck = await shop.ordered({ lines: [line(sku, 1)], customer_id: poison });
        // There are two partitions at most, so many of these come behind it in its own.
        await completed(shop, [...before, ...(await orders(shop, sku, 20))]);
        expect((await shop.get(`/v1/orders/${stuck}`)).body.status).toBe("pending");
        const { items } = await shop.engineOf("inventory").bus.deadLetters({}, undefined, 10);
        expect(items).toMatchObject([
          { event: { key: stuck }, error: expect.stringContaining("stumbled over") },
        ]);

        isPoisoned = false;
        await completed(shop, [stuck]);
      });
    });

    describe("and hangs", () => {
      const bench = new BusBench((setting) => busOn(name, address, setting), "key");
      const count = 50_000;

      it("is not given more than it can hold, however much there is", async () => {
        let hangs = true;
        let letGo = () => {};
        const hanging = new Promise<void>((resolve) => {
          letGo = () => {
            hangs = false;
            resolve();
          };
        });
        onTestFinished(letGo);
        const handled = new Set<string>();
        const group: Subscription = listener({
          async handle(_tx, events) {
            if (hangs) await hanging;
            for (const { id } of events) handled.add(id);
            return undefined;
          },
        });
        const writer = bench.process([]);
        const text = "x".repeat(1_000);
        for (let i = 0; i < count; i += 1_000) {
          await bench.write(
            "teller",
            Array.from({ length: 1_000 }, (_, n) => told(`s-${(i + n) % 97}`, { text })),
          );
        }
        const lag = async (of: string) =>
          (await writer.bus.consumers()).find(({ group, topic }) => group === of && topic === "teller")?.lag;
        await vi.waitFor(async () => expect(await lag("relay")).toBe(0), patience);
        await writer.end();

        const before = heapMegabytes();
        const { bus } = bench.process([group]);
        await untilStill(() => heapMegabytes());
        const grown = heapMegabytes() - before;
        console.info(`${name}: ${grown} MB are held of ${count / 1_000} MB that wait for a group that hangs`);
        expect(handled.size).toBe(0);
        expect(grown).toBeLessThan(25);
        letGo();
        await vi.waitFor(() => expect(handled.size).toBe(count), patience);
        expect((await bus.deadLetters({}, undefined, 10)).items).toEqual([]);
      });
    });
  });
}

async function orders(shop: Shop, sku: string, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => shop.ordered({ lines: [line(sku, 1)] })));
}

async function completed(shop: Shop, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await vi.waitFor(async () => {
      const { body } = await shop.get(`/v1/orders/${id}`);
      expect(body).toMatchObject({ status: "completed" });
    }, patience);
  }
}

/** In lumps of a second, until two of them are the same but for a little. */
async function untilStill(measure: () => number): Promise<void> {
  let last = Number.NaN;
  await vi.waitFor(
    () => {
      const now = measure();
      const isStill = Math.abs(now - last) < 1;
      last = now;
      expect(isStill).toBe(true);
    },
    { ...patience, interval: 2_000 },
  );
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Buffers of what was received included. */
function heapMegabytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1_000_000);
}

function busOn(name: BrokerName, address: string, { run, ...setting }: BusSetting): Bus {
  const telemetry = { logger: createLogger("silent"), registry: createRegistry() };
  const prefix = `${run}.`;
  const common = { ...telemetry, groupPrefix: prefix };
  const broker =
    name === "kafka"
      ? createKafkaBroker({ ...common, brokers: [address], partitions: 2 })
      : createRabbitBroker({ ...common, url: address });
  const logs = ["teller", "crier"];
  return createBrokerBus({ ...setting, ...telemetry, tracer: untraced, broker, logs, prefix });
}
