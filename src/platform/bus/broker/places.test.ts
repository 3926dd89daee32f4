import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { useTestDatabase } from "../../../testing/database.ts";
import { migrate } from "../../postgres/migrate.ts";
import { createPool, type Pool } from "../../postgres/pool.ts";
import { logMigrations } from "../../service.ts";
import { openPlaces } from "./places.ts";

const database = useTestDatabase();
let pool: Pool;

beforeAll(async () => {
  await migrate(database.url, [logMigrations("listener")]);
  pool = createPool(database.url, { max: 2, name: "test" });
});
beforeEach(() => pool.query("truncate listener.cursors"));
afterAll(() => pool.end());

async function stands(partition: number, position: number, index: number, offset: number | null) {
  await pool.query(
    "insert into listener.cursors (topic, partition, position, index, broker_offset) values ('teller', $1, $2, $3, $4)",
    [partition, position, index, offset],
  );
}

async function opened() {
  await openPlaces(pool, "listener", "teller", 3);
  const { rows } = await pool.query(
    `select partition, position, index, broker_offset as "offset" from listener.cursors
     where topic = 'teller' order by partition`,
  );
  return rows.map(({ partition, position, index, offset }) => [partition, position, index, offset]);
}

it("opens all partitions of a topic at their beginning", async () => {
  expect(await opened()).toEqual([
    [0, 0, 0, null],
    [1, 0, 0, null],
    [2, 0, 0, null],
  ]);
});

it("goes on in all of them where the log was left, when a broker carries the topic from now on", async () => {
  await stands(0, 40, 2, null);
  expect(await opened()).toEqual([
    [0, 40, 2, null],
    [1, 40, 2, null],
    [2, 40, 2, null],
  ]);
});

it("begins a partition at its beginning when others have moved: how far they are says nothing about it", async () => {
  await stands(0, 40, 0, 17);
  await stands(1, 35, 0, null);
  expect(await opened()).toEqual([
    [0, 40, 0, 17],
    [1, 35, 0, null],
    [2, 0, 0, null],
  ]);
});
