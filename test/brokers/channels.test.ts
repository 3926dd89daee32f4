import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { serviceNames } from "../../src/platform/settings.ts";
import type { InventorySync, StockRecord } from "../../src/services/inventory/contract/index.ts";
import { asyncApiValidator } from "../../src/testing/async-api.ts";
import type { BrokerName } from "../../src/testing/broker-process.ts";
import { sharedBroker } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { type Random, seededRandom } from "../../src/testing/random.ts";
import { line, type Shop, stockPath, useShop } from "../../src/testing/shop.ts";
import {
  binary,
  type Movement,
  type StrangeMessage,
  type Stranger,
  strangerOn,
  structured,
} from "./stranger.ts";
import { brokers, Witness } from "./witness.ts";

const hourMs = 3_600_000;
/** Who sells in shops has the stock, who sells online has the orders, and the windows are a third. */
const parts = [
  ["catalog", "orders", "carts", "payments", "fulfillment"],
  ["inventory"],
  ["storefront"],
] as const;

for (const [name, describeBroker] of brokers) {
  describeBroker(`sales channels on ${name}`, () => {
    const channels = new Channels(name);
    const { shop } = channels;

    it("are told what can be sold, in messages that are as they are described", async () => {
      const random = seededRandom();
      const skus = await Promise.all([80, 80, 5, 0].map((quantity) => shop.stocked(quantity)));
      await bustle(shop, skus, random);

      const heard = await channels.untilMirrored(skus);
      expect(heard.length).toBeGreaterThan(50);
      const types = new Set(heard.map(({ data }) => data.event_type));
      expect([...types].sort()).toEqual(["ADJUSTED", "COMMITTED", "RELEASED", "RESERVED"]);
      const shuffled = newest(random.shuffled([...heard, ...heard]).map(({ data }) => data));
      expect(shuffled, "in whichever order, and twice").toEqual(newest(heard.map(({ data }) => data)));
      expect(await channels.complaints()).toEqual([]);
    });

    describe("tell what has come and gone", () => {
      it("three times, in any order and in both modes, and it is carried out once", async () => {
        const random = seededRandom();
        const sku = await shop.stocked(100);
        const movements = Array.from(
          { length: 30 },
          (_, i): Movement => ({
            type: random.pick(["StockIn", "StockOut"]),
            id: shop.fresh("booking"),
            sku,
            quantity: 1 + i,
          }),
        );
        const messages = [...movements, ...movements, ...movements].map((movement) =>
          random.integer(0, 1) === 0 ? structured(movement) : binary(name, movement),
        );
        await channels.till.send(random.shuffled(messages).slice(0, 45));
        await channels.till.send(random.shuffled(messages));

        const moved = movements.map(({ type, quantity }) => (type === "StockIn" ? quantity : -quantity));
        const left = moved.reduce((sum, quantity) => sum + quantity, 100);
        await channels.owns(sku, left);
        await shop.settled();
        expect(await shop.violations()).toEqual([]);
        await channels.untilMirrored([sku]);
      });

      it("hours late, and holds give way, and what is not even there is owed", async () => {
        const sku = await shop.stocked(10);
        const hold = await shop.held(line(sku, 8));
        const time = new Date(Date.now() - 5 * hourMs);
        const sale = { type: "StockOut", id: shop.fresh("sale"), sku, time } as const;
        await channels.till.send([binary(name, { ...sale, quantity: 12 })]);
        await channels.owns(sku, -2);

        expect((await shop.get(stockPath(sku))).body).toMatchObject({
          quantity_on_hand: 0,
          quantity_reserved: 0,
          quantity_owed: 2,
        });
        expect((await shop.get(`/v1/reservations/${hold}`)).body).toMatchObject({ status: "released" });
        const [shortfall] = (await shop.said()).filter(
          ({ type, data }) => type === "StockShortfall" && (data as { sku?: string }).sku === sku,
        );
        expect(shortfall?.data).toMatchObject({ quantity_owed: 2, reservations: [{ reservation_id: hold }] });
        await channels.till.send([
          structured({ ...sale, type: "StockIn", id: shop.fresh("delivery"), quantity: 5 }),
        ]);
        await channels.owns(sku, 3);
        await channels.untilMirrored([sku]);
      });

      it("of what nobody knows, which is set aside with the reason until it is known, and stops nothing", async () => {
        const known = await shop.stocked(5);
        const later = shop.fresh("sku");
        const sold: Movement = { type: "StockIn", id: shop.fresh("delivery"), sku: later, quantity: 7 };
        const garbage = { ...binary(name, { ...sold, id: shop.fresh("garbage") }), body: "{ not JSON" };
        const nameless = { ...structured(sold), body: "[]" };
        const behind: Movement = { type: "StockOut", id: shop.fresh("sale"), sku: known, quantity: 1 };
        const messages = [garbage, nameless, binary(name, sold), binary(name, behind)];
        await channels.till.send(messages.map((message) => ({ ...message, key: "one partition" })));
        await channels.owns(known, 4);

        const dead = await vi.waitFor(async () => {
          const found = await channels.letters();
          expect(found).toHaveLength(3);
          return found;
        }, patience);
        const [unknown] = dead.filter(
          ({ event }) =>
            JSON.stringify(event.data).includes(later) && !/not JSON/.test(JSON.stringify(event.data)),
        );
        expect(dead.map(({ error }) => error).join("\n")).toMatch(/not JSON/);
        expect(unknown).toMatchObject({ error: expect.stringContaining(later) });

        await shop.priced(later, 100);
        await channels.retry(unknown!.id);
        await channels.owns(later, 7);
        for (const { id } of dead) {
          if (id !== unknown!.id) await channels.discard(id);
        }
        expect(await channels.letters()).toEqual([]);
      });

      it("among things that nobody can read, each of which is set aside by itself", async () => {
        const sku = await shop.stocked(0);
        const odd = oddities(name, { type: "StockIn", id: shop.fresh("odd"), sku, quantity: 1 });
        const messages = odd.flatMap((message) => {
          const good: Movement = { type: "StockIn", id: shop.fresh("delivery"), sku, quantity: 1 };
          return [message, binary(name, good)];
        });
        await channels.till.send(messages.map((message) => ({ ...message, key: "one partition" })));
        await channels.owns(sku, odd.length);
        const dead = await vi.waitFor(async () => {
          const found = await channels.letters();
          expect(found).toHaveLength(odd.length);
          return found;
        }, patience);
        const reasons = dead.map(({ error }) => error).join("\n");
        for (const reason of [
          "cannot be read: Maximum call stack size exceeded",
          "at most 10000000 are read",
          "data is not JSON",
          "data is not as agreed",
          "id is not 1 to 128 printable characters",
        ]) {
          expect(reasons).toContain(reason);
        }
        for (const { id } of dead) await channels.discard(id);
      });

      it("to the storefront, which has a database of its own", async () => {
        const sku = await shop.stocked(10);
        await channels.untilShown(sku, 10);
        const delays: number[] = [];
        for (let sold = 1; sold <= 5; sold++) {
          const sale = { type: "StockOut", id: shop.fresh("sale"), sku, quantity: 1 } as const;
          await channels.till.send([binary(name, sale)]);
          await channels.owns(sku, 10 - sold);
          const committedAt = performance.now();
          await channels.untilShown(sku, 10 - sold);
          delays.push(Math.round(performance.now() - committedAt));
        }
        console.info(`${name}: from the commit to the storefront in ${delays.join(", ")} ms`);
      });
    });
  });
}

/** What can be sent and not be carried out, each in another way. */
function oddities(name: BrokerName, movement: Movement): StrangeMessage[] {
  const plain = binary(name, movement);
  const event = structured(movement);
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  const notUtf8 = Buffer.from([0xc3, 0x28, 0x00, 0xff]);
  const idHeader = Object.keys(plain.headers).find((header) => header.endsWith("id"))!;
  return [
    {
      ...event,
      body: `{"specversion":"1.0","id":"deep","source":"/tills/7","type":"StockIn","data":${deep}}`,
    },
    { ...plain, body: deep },
    { ...plain, body: "\0".repeat(4) },
    { ...plain, body: notUtf8 },
    { ...plain, body: '{"reason":"\\ud800\\u0000"}' },
    { ...plain, body: "\u0001".repeat(3_000_000) },
    { ...plain, body: "x".repeat(11_000_000) },
    { ...plain, headers: { ...plain.headers, [idHeader]: notUtf8 } },
    { ...event, body: notUtf8 },
  ];
}

interface Letter {
  readonly id: string;
  readonly error: string;
  readonly event: { readonly topic: string; readonly data: object };
}

interface Told {
  readonly data: InventorySync;
}

/** A shop whose services are apart, and those around it. */
class Channels {
  readonly shop: Shop;
  till!: Stranger;
  private witness!: Witness;
  private prefix = "";
  private readonly name: BrokerName;

  constructor(name: BrokerName) {
    this.name = name;
    let address = "";
    beforeAll(async () => {
      address = await sharedBroker(name);
    });
    this.shop = useShop(() => {
      const settings = brokerSettings(name, address);
      this.prefix = settings.topicPrefix;
      return { ...settings, parts };
    });
    beforeAll(async () => {
      this.witness = await Witness.of(name, address, this.topics);
      this.till = await strangerOn(name, address, `${this.prefix}inventory.inbound`);
    });
    afterAll(async () => {
      await this.till?.close();
      await this.witness?.close();
    });
  }

  private get topics(): string[] {
    const services = serviceNames.filter((service) => service !== "storefront");
    return [...services.map((service) => `holdfast.${service}`), "inventory.sync"].map(
      (topic) => this.prefix + topic,
    );
  }

  /** On hand, less what is owed. */
  async owns(sku: string, quantity: number): Promise<void> {
    await vi.waitFor(async () => {
      const { body } = await this.shop.get(stockPath(sku));
      expect(body.quantity_on_hand - body.quantity_owed, JSON.stringify(body)).toBe(quantity);
    }, patience);
  }

  async untilShown(sku: string, quantity_available: number): Promise<void> {
    await vi.waitFor(
      async () => {
        const { body } = await this.shop.get(`/v1/availability?sku=${sku}`);
        expect(body.items).toMatchObject([{ quantity_available }]);
      },
      { ...patience, interval: 5 },
    );
  }

  /** What was told of these, once taking the newest of each gives what the inventory itself would answer. */
  async untilMirrored(skus: readonly string[]): Promise<Told[]> {
    return vi.waitFor(async () => {
      const records: StockRecord[] = await this.shop.pages("/v1/stock", 100);
      const all = (await this.witness.all()).get(`${this.prefix}inventory.sync`)!;
      const told = all
        .map(({ body }) => ({ data: JSON.parse(body) as InventorySync }))
        .filter(({ data }) => skus.includes(data.product_sku));
      const mirrored = newest(told.map(({ data }) => data));
      const expected = records
        .filter(({ sku }) => skus.includes(sku))
        .map(({ store_id, sku, quantity_available }) => [`${store_id}/${sku}`, quantity_available] as const);
      expect(mirrored).toEqual(new Map(expected));
      return told;
    }, patience);
  }

  /** What in all that was sent is not as docs/reference/asyncapi.json says. */
  async complaints(): Promise<string[]> {
    const validator = asyncApiValidator({ prefix: this.prefix });
    const complaints: string[] = [];
    for (const [topic, messages] of await this.witness.all()) {
      expect(messages.length, topic).toBeGreaterThan(0);
      for (const { key, attributes, body } of messages) {
        complaints.push(...validator.check(topic, key, attributes, body));
      }
    }
    const seen = [...validator.counts].filter(([, count]) => count > 0);
    console.info(`${this.name}: valid are ${seen.map(([type, count]) => `${count} ${type}`).join(", ")}`);
    return [...new Set(complaints)];
  }

  async letters(): Promise<Letter[]> {
    const { items } = await this.shop.engineOf("inventory").bus.deadLetters({}, undefined, 100);
    return items as unknown as Letter[];
  }

  /** Unless its own time has come first. */
  async retry(id: string): Promise<void> {
    const outcome = await this.shop.engineOf("inventory").bus.retry(id);
    expect(["retrying", "not_found"]).toContain(outcome);
  }

  async discard(id: string): Promise<void> {
    expect(await this.shop.engineOf("inventory").bus.discard(id)).toBe(true);
  }
}

/** The rule that the document gives: of each record the greatest version counts. */
function newest(changes: readonly InventorySync[]): Map<string, number> {
  const best = new Map<string, InventorySync>();
  for (const change of changes) {
    const key = `${change.store_id}/${change.product_sku}`;
    if (change.version > (best.get(key)?.version ?? 0)) best.set(key, change);
  }
  return new Map(
    [...best]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { quantity_available }]) => [key, quantity_available]),
  );
}

/** Reservations, orders, carts, releases and adjustments: one order that is completed, one hold that is let go, and what chance adds. */
async function bustle(shop: Shop, skus: readonly string[], random: Random): Promise<void> {
  const inventory = shop.engineOf("inventory");
  const [first] = skus as [string];
  await shop.becomes(await shop.ordered({ lines: [line(first, 1)] }), "completed");
  await inventory.release(await shop.held(line(first, 1)));
  const work: (() => Promise<unknown>)[] = [
    () =>
      shop.order({ lines: someLines(), token: random.pick(["tok_ok", "tok_ok", "tok_declined"]), wait: 20 }),
    async () => shop.cancel(await shop.ordered({ lines: someLines() })),
    async () => {
      const id = shop.fresh("hold");
      const held = await inventory.reserve(id, someLines());
      if (held.accepted) await random.pick([() => inventory.release(id), () => inventory.commit(id)])();
    },
    () =>
      inventory.adjust(shop.fresh("adjustment"), {
        lines: [line(random.pick(skus), random.pick([-1, 2, 3]))],
        reason: "found",
      }),
    () => shop.put(`/v1/carts/${shop.fresh("cart")}`, { lines: someLines(), customer_id: "berta" }),
  ];
  for (let round = 0; round < 24; round++) {
    await Promise.all(Array.from({ length: 5 }, () => random.pick(work)()));
    await sleep(random.integer(0, 50));
  }
  await shop.settled();

  function someLines() {
    return random
      .shuffled(skus)
      .slice(0, random.integer(1, 2))
      .map((sku) => line(sku, random.integer(1, 2)));
  }
}
