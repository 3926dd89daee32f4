import { afterAll, beforeAll, expect, it } from "vitest";
import { useTestDatabase } from "../testing/database.ts";
import { createPool, type Pool } from "./postgres/pool.ts";
import type { Reader, Statement } from "./postgres/statement.ts";
import type { Service } from "./service.ts";
import { verifyServices } from "./verify.ts";

const databases = [useTestDatabase(), useTestDatabase()];
let pools: Pool[] = [];
beforeAll(async () => {
  pools = databases.map(({ url }) => createPool(url, { max: 2, name: "test" }));
  for (const [index, pool] of pools.entries()) {
    await pool.query("create table things as select from generate_series(0, $1::int)", [index]);
  }
});
afterAll(() => Promise.all(pools.map((pool) => pool.end())));

const nobody = () => {};

function serviceThat(verify: Service["verify"]): Service {
  return { name: "any", verify, start: nobody, stop: async () => {}, registerRoutes: nobody };
}

const found = (violations: string[]) => [{ check: "any", looked_at: "anything", violations }];

const countRows: Statement = { name: "count", text: "select count(*) from things" };
const rowsIn = async (database: Reader) => (await database.read<{ count: number }>(countRows))[0]!.count;

it("shows each service its own database and those of the others, each as it was when it began", async () => {
  const seen: number[][] = [];
  const service = serviceThat(async (database, _, elsewhere = []) => {
    const own = await rowsIn(database);
    for (const pool of pools) await pool.query("insert into things default values");
    seen.push([own, ...(await Promise.all(elsewhere.map(rowsIn)))]);
    return [];
  });
  await verifyServices(
    pools.map((pool) => ({ pool, services: [service] })),
    nobody,
  );
  expect(seen).toEqual([
    [1, 2],
    [2, 1],
  ]);
});

it("names the first twenty violations of a check, and how many more there are", async () => {
  const names = Array.from({ length: 1_021 }, (_, index) => `broken ${index}`);
  const services = [
    serviceThat(async () => found(names)),
    serviceThat(async () => found(names.slice(0, 20))),
  ];
  const [many, twenty] = await verifyServices([{ pool: pools[0]!, services }], nobody);
  expect(many!.violations).toEqual([...names.slice(0, 20), "and 1,001 more"]);
  expect(twenty!.violations).toEqual(names.slice(0, 20));
});
