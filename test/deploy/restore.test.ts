import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { serviceNames } from "../../src/platform/settings.ts";
import { query } from "../../src/testing/embedded-postgres.ts";
import { patience } from "../../src/testing/patience.ts";
import { describeWith } from "../../src/testing/tools.ts";
import { violations } from "../server-process.ts";
import { WholeServer } from "../whole-server.ts";
import { OwnPostgres } from "./own-postgres.ts";

const recipe = "deploy/postgres/after-restore.sql";

/** The recipe of docs/OPERATIONS.md, step by step. */
describeWith("postgresql")("a backup of a shop that goes on selling", () => {
  let postgres: OwnPostgres;
  let shop: string;
  let restored: string;

  beforeAll(async () => {
    postgres = await OwnPostgres.start();
    shop = postgres.urlOf("shop");
    restored = postgres.urlOf("restored");
    await query(postgres.urlOf("postgres"), "create database shop");
    await query(postgres.urlOf("postgres"), "create database restored");
    await sellAndBackUp();
    await postgres.tool(
      "pg_restore",
      ...["--exit-on-error", "--no-owner", `--dbname=${restored}`, postgres.file("backup")],
    );
  });
  afterAll(() => postgres?.stop());

  async function sellAndBackUp(): Promise<void> {
    const server = await WholeServer.start(shop);
    await server.stock("MUG", 100_000);
    // Its payment is under way when the backup is taken.
    await server.order("late", { sku: "MUG", token: "tok_late_900", wait: 0 });
    await completes(server, "first");
    let isOpen = true;
    const buyers = Array.from({ length: 4 }, async (_, buyer) => {
      for (let n = 0; isOpen; n++) await server.order(`${buyer}-${n}`, { sku: "MUG", wait: 0 });
    });
    await postgres.tool("pg_dump", "--format=custom", `--file=${postgres.file("backup")}`, shop);
    isOpen = false;
    await Promise.all(buyers);
    await completes(server, "afterwards");
    await server.stop();
  }

  async function completes(server: WholeServer, key: string): Promise<void> {
    const completed = { status: 201, body: { status: "completed" } };
    await vi.waitFor(async () => {
      expect(await server.order(key, { sku: "MUG" })).toMatchObject(completed);
    }, patience);
  }

  const ordersIn = async (url: string) => Number(await query(url, "select count(*) from orders.orders"));
  const openIn = async (url: string) =>
    Number(await query(url, "select count(*) from orders.orders where ended_as is null"));

  it("is of one moment: it has less than the shop has now, and holds every promise", async () => {
    expect(await ordersIn(restored)).toBeGreaterThan(1);
    expect(await ordersIn(restored)).toBeLessThan(await ordersIn(shop));
    expect(await openIn(restored)).toBeGreaterThan(0);
    expect(await violations(restored)).toEqual([]);
  });

  it("goes on where it was, at places in the logs that were never given out", async () => {
    await postgres.tool(
      "psql",
      ...["--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", `--file=${recipe}`, restored],
    );
    await letTimePass();
    const [before, lastInShop] = await Promise.all([lastPlaces(restored), lastPlaces(shop)]);
    const server = await WholeServer.start(restored);
    try {
      await completes(server, "afterwards");
      await expect.poll(() => openIn(restored), { interval: 200 }).toBe(0);
      expect((await server.ask("GET", "/v1/dead-letters")).body.items).toEqual([]);
    } finally {
      await server.stop();
    }
    for (const service of ["inventory", "orders", "payments", "fulfillment"]) {
      const written = `select min(position) from ${service}.log where position > ${before.get(service)}`;
      expect(Number(await query(restored, written)), service).toBeGreaterThan(lastInShop.get(service)!);
    }
    expect(await violations(restored)).toEqual([]);
  });

  async function lastPlaces(url: string): Promise<Map<string, number>> {
    const last = async (service: string) =>
      Number(await query(url, `select coalesce(max(position), 0) from ${service}.log`));
    return new Map(await Promise.all(serviceNames.map(async (name) => [name, await last(name)] as const)));
  }

  /** As a quarter of an hour does: what was late is paid, and another process asks the gateway again for it. */
  async function letTimePass(): Promise<void> {
    await query(
      restored,
      "update payments.simulated_bank set settles_at = now() where settles_at is not null",
    );
    await query(restored, "update payments.payments set next_try_at = now() where next_try_at is not null");
    await query(restored, "update payments.payments set leased_until = now() where leased_until is not null");
    await query(restored, "update payments.leases set leased_until = now()");
  }
});
