import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { standsAt } from "../../src/platform/bus/broker/event.ts";
import type { BusEvent } from "../../src/platform/bus/port.ts";
import { busEventsOf } from "../../src/platform/bus/postgres/log-row.ts";
import { createPool, type Pool } from "../../src/platform/postgres/pool.ts";
import type { BrokerName } from "../../src/testing/broker-process.ts";
import { sharedBroker } from "../../src/testing/brokers.ts";
import { createTestDatabase, type TestDatabase } from "../../src/testing/database.ts";
import { brokerSettings } from "../../src/testing/house.ts";
import { patience } from "../../src/testing/patience.ts";
import { ServerProcess } from "../server-process.ts";
import { brokers, expectPublished, Witness } from "./witness.ts";

const services = ["catalog", "inventory"];
const skus = ["LAMP", "MUG", "PLATE", "VASE"];
const rounds = 2;

for (const [name, describeBroker] of brokers) {
  describeBroker(`two processes that bring a log to ${name}`, () => {
    const run = new Run(name);

    it("take turns, and what one has published when it is killed, the other one goes on with", async () => {
      for (let round = 0; round < rounds; round++) {
        const halt = await run.haltBeforeCursorsAreSaved();
        const [relaying] = await halt.untilHalted();
        const before = await run.cursor();
        await vi.waitFor(() => expect(run.published()).toBeGreaterThan(before), patience);
        // Long enough for the other one to try as well.
        await sleep(1_000);
        expect(await halt.halted(), "nobody else is at it").toEqual([relaying]);
        await run.kill(relaying!);
        await halt.breakOff();
        const killedAt = performance.now();
        await vi.waitFor(async () => expect(await run.cursor()).toBeGreaterThan(before), patience);
        console.info(
          `${name}: another one relays ${Math.round(performance.now() - killedAt)} ms after a kill`,
        );
        await run.start();
      }
      await run.goHome();

      const { witness } = run;
      await vi.waitFor(async () => expect(await run.isAllRelayed()).toBe(true), patience);
      const all = await witness.all();
      const again = [];
      for (const service of services) {
        again.push(expectPublished(await run.said(service), all.get(run.topicOf(service))!));
      }
      console.info(`${name}: ${again.join(" and ")} events were published again`);
      expect(again[1], "each kill came between publishing and saving").toBeGreaterThanOrEqual(rounds);
    });
  });
}

/** Some processes on one database, and somebody who keeps them busy. */
class Run {
  witness!: Witness;
  private readonly name: BrokerName;
  private database!: TestDatabase;
  private pool!: Pool;
  private settings!: ReturnType<typeof brokerSettings>;
  private readonly processes = new Map<string, ServerProcess>();
  private started = 0;
  private work: Promise<void> | undefined;
  private isHome = false;

  constructor(name: BrokerName) {
    this.name = name;
    beforeAll(() => this.open());
    afterAll(() => this.close());
  }

  private async open(): Promise<void> {
    const address = await sharedBroker(this.name);
    this.settings = brokerSettings(this.name, address);
    this.database = await createTestDatabase();
    this.pool = createPool(this.database.url, { max: 4, name: "test" });
    await this.start();
    await Promise.all([this.start(), this.stockUp()]);
    const topics = services.map((service) => this.topicOf(service));
    this.witness = await Witness.of(this.name, address, topics);
    await vi.waitFor(() => expect(this.published()).toBeGreaterThan(0), patience);
    this.work = this.keepCounting();
  }

  private async close(): Promise<void> {
    await this.goHome();
    await this.witness?.close();
    for (const process of this.processes.values()) await process.stop();
    await this.pool?.end();
    await this.database?.drop();
  }

  async start(): Promise<void> {
    const name = `relay-${++this.started}`;
    const url = new URL(this.database.url);
    url.searchParams.set("application_name", name);
    const { topicPrefix, ...settings } = this.settings;
    const process = await ServerProcess.start({
      HOLDFAST_DATABASE_URL: url.href,
      HOLDFAST_SERVICES: services.join(),
      HOLDFAST_BUS: settings.bus,
      ...(settings.bus === "kafka"
        ? { HOLDFAST_KAFKA_BROKERS: settings.kafkaBrokers.join(), HOLDFAST_KAFKA_PARTITIONS: "2" }
        : { HOLDFAST_RABBITMQ_URL: settings.rabbitmqUrl }),
      HOLDFAST_TOPIC_PREFIX: topicPrefix,
      HOLDFAST_LOG_LEVEL: "fatal",
    });
    this.processes.set(name, process);
  }

  async kill(name: string): Promise<void> {
    const process = this.processes.get(name)!;
    this.processes.delete(name);
    await process.kill();
  }

  async goHome(): Promise<void> {
    this.isHome = true;
    await this.work;
  }

  topicOf(service: string): string {
    return `${this.settings.topicPrefix}holdfast.${service}`;
  }

  // ---- what there is to relay --------------------------------------------------------------------------------------

  private async stockUp(): Promise<void> {
    const content = { name: "all", skus: skus.map((sku) => ({ sku, price_minor: 100, currency: "EUR" })) };
    await this.untilDone("/v1/products/all", content);
    for (const sku of skus) await this.untilDone(`/v1/stock/main/${sku}`, countOf(1));
  }

  private async keepCounting(): Promise<void> {
    for (let i = 2; !this.isHome; i++) {
      await Promise.all(skus.map((sku) => this.untilDone(`/v1/stock/main/${sku}`, countOf(i))));
      await sleep(50);
    }
  }

  /** By whichever process answers. */
  private async untilDone(path: string, body: unknown): Promise<void> {
    await vi.waitFor(async () => {
      const [process] = [...this.processes.values()];
      expect((await process!.ask("PUT", path, body)).status).toBeLessThan(300);
    }, patience);
  }

  // ---- what the database says --------------------------------------------------------------------------------------

  /** Whoever moves the relay's cursors has to wait, until this is let go. */
  async haltBeforeCursorsAreSaved() {
    const client = await this.pool.connect();
    await client.query("begin");
    await client.query("set local idle_in_transaction_session_timeout = 0");
    await client.query("select pg_advisory_xact_lock(4711)");
    await this.pool.query(haltingTrigger);
    let isHalting = true;
    const letGo = async () => {
      if (!isHalting) return;
      isHalting = false;
      await client.query("commit");
      client.release();
      await this.pool.query("drop trigger halt on relay.cursors");
    };
    onTestFinished(letGo);
    const breakOff = async () => {
      // Its last statements were on their way when it was killed: they shall not be carried out.
      await this.pool.query(`select pg_terminate_backend(pid) from (${waiting}) as waiting`);
      await letGo();
    };
    const halted = async (): Promise<string[]> => {
      const { rows } = await this.pool.query(waiting);
      return rows.map(({ application_name }) => application_name);
    };
    return {
      halted,
      untilHalted: () =>
        vi.waitFor(async () => {
          const names = await halted();
          expect(names).toHaveLength(1);
          return names;
        }, patience),
      breakOff,
    };
  }

  /** The last batch of the inventory's log of which something stands in the topic. */
  published(): number {
    const messages = this.witness.heard.get(this.topicOf("inventory"))!;
    return Math.max(...messages.map((message) => standsAt(message)!.position));
  }

  async cursor(): Promise<number> {
    const { rows } = await this.pool.query("select position from relay.cursors where topic = 'inventory'");
    return rows[0].position;
  }

  async isAllRelayed(): Promise<boolean> {
    const { rows } = await this.pool.query("select max(position) as last from inventory.log");
    return (await this.cursor()) >= rows[0].last;
  }

  async said(service: string): Promise<BusEvent[]> {
    const { rows } = await this.pool.query(
      `select position, at, events from ${service}.log order by position`,
    );
    return rows.flatMap((row) => busEventsOf(service, row));
  }
}

function countOf(quantity_on_hand: number) {
  return { quantity_on_hand, reason: "found" };
}

const haltingTrigger = `
  create or replace function halt() returns trigger language plpgsql set lock_timeout = 0 as $$
  begin
    perform pg_advisory_xact_lock_shared(4711);
    return new;
  end $$;
  create or replace trigger halt before update on relay.cursors for each row execute function halt()`;

const waiting = `
  select pid, application_name from pg_locks join pg_stat_activity using (pid)
  where locktype = 'advisory' and objid = 4711 and not granted
    and pg_locks.database = (select oid from pg_database where datname = current_database())`;
