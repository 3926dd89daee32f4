import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EmbeddedPostgresFixture, query } from "../../../testing/embedded-postgres.ts";
import { findRunningPostgres, startEmbeddedPostgres } from "./index.ts";
import { readPidFile } from "./postmaster.ts";

const embedded = new EmbeddedPostgresFixture();

it("keeps the data over a stop and a start", async () => {
  const first = await embedded.start();
  await query(first.url, "CREATE TABLE kept AS SELECT 42 AS answer");
  await first.stop();
  expect(await readPidFile(embedded.cluster)).toBeUndefined();

  const second = await embedded.start();

  expect(second.adopted).toBe(false);
  expect(await query(second.url, "SELECT answer FROM kept")).toEqual([42]);
});

it("is durable by default, listens on this machine alone, and asks for the password", async () => {
  const { url } = await embedded.start({});
  const settings = ["fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "server_encoding"];
  const shown = settings.map((name) => `current_setting('${name}')`).join(", ");

  expect(await query(url, `SELECT ${shown}`)).toEqual(["on", "on", "on", "127.0.0.1", "UTF8"]);
  expect(await query(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).toEqual([false]);
  const guess = url.replace(/:[^:@]+@/, ":guessed@");
  await expect(query(guess, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
});

it("is found by another process while it runs, and no longer", async () => {
  expect(await findRunningPostgres(embedded.dataDir)).toBeUndefined();
  const server = await embedded.start();
  expect(await findRunningPostgres(embedded.dataDir)).toBe(server.url);
  await server.stop();
  expect(await findRunningPostgres(embedded.dataDir)).toBeUndefined();
});

it("makes a data directory with all that leads there", async () => {
  const dataDir = join(embedded.dataDir, "shop", "data");
  const server = await startEmbeddedPostgres({ dataDir, settings: { fsync: "off" } });
  await server.stop();
  expect(await readdir(join(embedded.dataDir, "shop"))).toEqual(["data"]);
});

it("says so when the data directory cannot be made", async () => {
  const file = join(embedded.dataDir, "file");
  await writeFile(file, "");
  for (const dataDir of [file, join(file, "sub"), "/proc/holdfast/data"]) {
    await expect(startEmbeddedPostgres({ dataDir })).rejects.toMatchObject({
      code: "postgres.no_data_dir",
      message: expect.stringMatching(/^The data directory .* cannot be made: .* HOLDFAST_DATA_DIR\.$/),
    });
  }
});

it("refuses the cluster of another major version, and leaves it alone", async () => {
  await mkdir(embedded.cluster);
  await writeFile(join(embedded.cluster, "PG_VERSION"), "17\n");

  await expect(embedded.start()).rejects.toMatchObject({ code: "postgres.version_mismatch" });

  expect(await readdir(embedded.cluster)).toEqual(["PG_VERSION"]);
});

it("says so when the password is not that of the cluster", async () => {
  await (await embedded.start()).stop();
  await writeFile(join(embedded.dataDir, "postgres.password"), "another");

  await expect(embedded.start()).rejects.toMatchObject({ code: "postgres.no_answer" });

  expect(await readPidFile(embedded.cluster)).toBeUndefined();
});
