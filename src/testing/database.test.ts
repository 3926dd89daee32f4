import pg from "pg";
import { expect, it } from "vitest";
import { createTestDatabase, useTestDatabase } from "./database.ts";

const database = useTestDatabase();

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

it("gives every caller a database of its own", async () => {
  const other = await createTestDatabase();
  const [here, there] = await Promise.all([connected(database.url), connected(other.url)]);
  await here.query("CREATE TABLE mine (id int)");
  const { rows } = await there.query("SELECT to_regclass('mine') AS found");
  expect(rows).toEqual([{ found: null }]);
  await Promise.all([here.end(), there.end()]);
  await other.drop();
});

it("drops a database to which somebody is still connected", async () => {
  const doomed = await createTestDatabase();
  await connected(doomed.url);
  await doomed.drop();
  await expect(connected(doomed.url)).rejects.toMatchObject({ code: "3D000" });
});
