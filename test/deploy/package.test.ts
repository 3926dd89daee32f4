import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { useTestDatabase } from "../../src/testing/database.ts";
import { WholeServer } from "../whole-server.ts";

const asyncApi = "docs/reference/asyncapi.json";
const database = useTestDatabase();

it("the package has the descriptions of the events, and no other documents", async () => {
  const cache = await mkdtemp(join(tmpdir(), "holdfast-npm-"));
  const options = ["pack", "--dry-run", "--json", "--ignore-scripts", `--cache=${cache}`];
  const { stdout } = await promisify(execFile)("npm", options, { maxBuffer: 2 ** 26 });
  await rm(cache, { recursive: true });
  const files: { path: string }[] = JSON.parse(stdout)[0].files;
  const documents = files.map(({ path }) => path).filter((path) => path.startsWith("docs/"));
  const schemas = documents.filter((path) => /^docs\/reference\/schemas\/\w+\/\w+\.v\d+\.json$/.test(path));
  expect(schemas.length).toBeGreaterThan(20);
  expect(documents.filter((path) => !schemas.includes(path))).toEqual([asyncApi]);
});

it("the server serves the description that is in the package", async () => {
  const server = await WholeServer.start(database.url);
  try {
    const { status, body } = await server.ask("GET", "/asyncapi.json");
    expect([status, body]).toEqual([200, JSON.parse(await readFile(asyncApi, "utf8"))]);
  } finally {
    await server.stop();
  }
});
