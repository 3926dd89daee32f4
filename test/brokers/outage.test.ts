import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it, vi } from "vitest";
import { serviceNames } from "../../src/platform/settings.ts";
import { ownKafka, ownRabbitmq } from "../../src/testing/brokers.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { type Random, seededRandom } from "../../src/testing/random.ts";
import { line, type Shop, useShop } from "../../src/testing/shop.ts";
import { brokers, expectPublished, Witness } from "./witness.ts";

const own = { kafka: ownKafka, rabbitmq: ownRabbitmq };
const ends = ["completed", "rejected", "payment_failed", "cancelled"];
/** Three databases, so that an order has to cross the broker again and again. */
const parts = [
  ["catalog", "orders", "carts"],
  ["inventory"],
  ["payments", "fulfillment", "storefront"],
] as const;

for (const [name, describeBroker] of brokers) {
  describeBroker(`while ${name} is away`, () => {
    const broker = own[name]();
    let prefix = "";
    const shop = useShop(() => {
      const settings = brokerSettings(name, broker.address);
      prefix = settings.topicPrefix;
      return { ...settings, parts };
    });
    afterAll(() => shop.addsUp());

    it("orders are accepted and wait, everybody can see that, and all of them end once it is back", async () => {
      const sku = await shop.stocked(1_000);
      const first = await shop.ordered({ lines: [line(sku, 1)] });
      await shop.becomes(first, "completed");
      await shop.shows("/health", { status: "ok" });

      const amidst = await orders(shop, sku, 10);
      await broker.kill();
      const waiting = await orders(shop, sku, 20);
      const hold = await shop.held(line(sku, 5));
      expect(await shop.engineOf("inventory").release(hold)).toMatchObject({ accepted: true });

      await vi.waitFor(async () => {
        const { body } = await shop.get("/health");
        const state = { name, up: false, reason: expect.stringMatching(/\w/) };
        expect(body).toMatchObject({
          status: "degraded",
          dependencies: { bus: { status: "degraded", details: { broker: state } } },
        });
        expect(await shop.metric("orders", `bus_broker_up{broker="${name}"}`)).toBe(0);
      }, patience);
      const readiness = async () => (await shop.get("/readyz")).status;
      await expect.poll(readiness, { message: "another process could do no better" }).toBe(200);
      const before = await relayLag(shop);
      const more = await orders(shop, sku, 10);
      await vi.waitFor(async () => {
        const now = await relayLag(shop);
        expect(now.lag).toBeGreaterThan(before.lag);
        expect(now.lag_seconds).toBeGreaterThan(before.lag_seconds + 1);
      }, patience);
      const series = `kafka_consumer_lag_messages{group="relay",topic="orders"}`;
      await expect.poll(() => shop.metric("orders", series)).toBeGreaterThan(before.lag);

      await broker.start();
      const backAt = performance.now();
      for (const id of [...amidst, ...waiting, ...more]) await ended(shop, id, ["completed"]);
      console.info(`${name}: all have ended ${Math.round(performance.now() - backAt)} ms after it was back`);
      await vi.waitFor(async () => {
        expect((await shop.get("/health")).body.status).toBe("ok");
        expect(await shop.metric("orders", `bus_broker_up{broker="${name}"}`)).toBe(1);
      }, patience);
      await settled(shop);
      expect(await shop.stock(sku)).toEqual([959, 0, 959]);
    });

    it("again and again, nothing is lost and nothing happens twice", async () => {
      const random = seededRandom();
      const sku = await shop.stocked(100_000);
      const handled = watch(shop);
      const remember = await forget(shop);
      const buyers = Array.from({ length: 3 }, () => new Buyer(shop, sku, random.fork()));
      const shopping = Promise.all(buyers.map((buyer) => buyer.shop()));
      for (let outages = 0; outages < 2; outages++) {
        await sleep(random.integer(300, 2_000));
        await broker.kill();
        await sleep(random.integer(0, 2_000));
        await broker.start();
      }
      await sleep(random.integer(300, 2_000));
      await vi.waitFor(async () => expect(await hasForgotten(shop)).toBe(true), patience);
      for (const buyer of buyers) buyer.goHome();
      await shopping;
      await remember();

      let sold = 0;
      for (const { bought } of buyers) {
        for (const [id, quantity] of bought) {
          if ((await ended(shop, id, ends)) === "completed") sold += quantity;
        }
      }
      await settled(shop);
      const left = 100_000 - sold;
      expect(await shop.stock(sku)).toEqual([left, 0, left]);
      await shop.shows(`/v1/availability?sku=${sku}`, { items: [{ quantity_available: left }] });
      const twice = repeated(handled);
      expect(twice, "although some were published twice").toEqual([]);
    });

    it("what was said meanwhile stands in the topics, in the order in which it was said", async () => {
      const said = await shop.said();
      const services = serviceNames.filter((service) => service !== "storefront");
      const topicOf = (service: string) => `${prefix}holdfast.${service}`;
      const witness = await Witness.of(name, broker.address, services.map(topicOf));
      try {
        const all = await witness.all();
        const again = services.map((service) => {
          const events = said.filter(({ topic }) => topic === service);
          return expectPublished(events, all.get(topicOf(service))!);
        });
        expect(Math.max(...again), "what could not be saved as published").toBeGreaterThan(0);
        console.info(`${name}: ${said.length} events, ${again.join("+")} published again`);
      } finally {
        await witness.close();
      }
    });
  });
}

/** Each fifth time a relay's connection breaks before it has saved how far it has come. */
async function forget(shop: Shop): Promise<() => Promise<void>> {
  const databases = parts.map(([service]) => shop.poolOf(service));
  for (const database of databases) await database.query(forgetting);
  return async () => {
    for (const database of databases) await database.query("drop trigger forget on relay.cursors");
  };
}

async function hasForgotten(shop: Shop): Promise<boolean> {
  const { rows } = await shop.poolOf("orders").query("select last_value >= 5 as once from saved");
  return rows[0].once;
}

const forgetting = `
  create sequence saved; -- it counts the times that are rolled back too
  create function forget() returns trigger language plpgsql as $$
  begin
    if nextval('saved') % 5 = 0 then
      perform pg_terminate_backend(pg_backend_pid());
    end if;
    return new;
  end $$;
  create trigger forget before update on relay.cursors for each row execute function forget()`;

/** What each group has handled and committed from now on. */
function watch(shop: Shop): string[] {
  const handled: string[] = [];
  for (const group of ["inventory", "orders", "payments", "fulfillment", "carts", "storefront"]) {
    shop.intercept(group, (handle) => async (tx, events) => {
      const afterCommit = await handle(tx, events);
      return () => {
        handled.push(...events.map(({ id }) => `${group} has handled ${id}`));
        afterCommit?.();
      };
    });
  }
  return handled;
}

async function orders(shop: Shop, sku: string, count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => shop.ordered({ lines: [line(sku, 1)] })));
}

function repeated(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => seen.size === seen.add(name).size);
}

async function relayLag(shop: Shop): Promise<{ lag: number; lag_seconds: number }> {
  const { body } = await shop.get("/v1/consumers");
  return body.items.find(
    ({ group, topic }: { group: string; topic: string }) => group === "relay" && topic === "orders",
  );
}

async function ended(shop: Shop, id: string, expected: readonly string[]): Promise<string> {
  return vi.waitFor(async () => {
    const { body } = await shop.get(`/v1/orders/${id}`);
    expect(expected, JSON.stringify(body)).toContain(body.status);
    return body.status;
  }, patience);
}

function settled(shop: Shop): Promise<void> {
  return vi.waitFor(() => shop.settled(), patience);
}

const tokens = ["tok_ok", "tok_ok", "tok_declined", "tok_lost", "tok_twice"];

/** Sends every order twice, and cancels some. */
class Buyer {
  /** How much of it, by order. */
  readonly bought = new Map<string, number>();
  private readonly counter: Shop;
  private readonly sku: string;
  private readonly random: Random;
  private isHome = false;

  constructor(shop: Shop, sku: string, random: Random) {
    this.counter = shop;
    this.sku = sku;
    this.random = random;
  }

  goHome(): void {
    this.isHome = true;
  }

  async shop(): Promise<void> {
    while (!this.isHome) {
      const quantity = this.random.integer(1, 3);
      const wanted = {
        lines: [line(this.sku, quantity)],
        token: this.random.pick(tokens),
        key: this.counter.fresh("request"),
      };
      const id = await this.counter.ordered(wanted);
      expect((await this.counter.order(wanted)).body.id).toBe(id);
      this.bought.set(id, quantity);
      if (this.random.integer(1, 8) === 1)
        expect([200, 202, 409]).toContain((await this.counter.cancel(id)).status);
      await sleep(this.random.integer(50, 150));
    }
  }
}
