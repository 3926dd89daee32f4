import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEmbeddedPostgres } from "../platform/postgres/embedded/index.ts";
import { findPostmaster, isAlive, stopPostmaster } from "../platform/postgres/embedded/postmaster.ts";

declare module "vitest" {
  interface ProvidedContext {
    databaseAdminUrl: string;
  }
}

/** It need not outlive the run, and so it writes as little as it can. */
const settings = {
  fsync: "off",
  full_page_writes: "off",
  wal_level: "minimal",
  max_wal_senders: "0",
  max_connections: "800",
};

/** One PostgreSQL for the whole test run: HOLDFAST_TEST_DATABASE_URL, else an embedded one that leaves nothing. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.HOLDFAST_TEST_DATABASE_URL;
  if (given) {
    project.provide("databaseAdminUrl", given);
    return undefined;
  }
  await removeLeftBehind();
  const dataDir = await mkdtemp(join(tmpdir(), `holdfast-test-${process.pid}-`));
  const server = await startEmbeddedPostgres({ dataDir, settings });
  project.provide("databaseAdminUrl", server.url);
  return async () => {
    await server.stop();
    await rm(dataDir, { recursive: true });
  };
}

/** A run that is interrupted has no teardown: Vitest exits at once. The next run clears up after it. */
async function removeLeftBehind(): Promise<void> {
  const parent = await realpath(tmpdir());
  for (const name of await readdir(parent)) {
    const run = Number(/^holdfast-test-(\d+)-/.exec(name)?.[1]);
    if (Number.isNaN(run) || isAlive(run)) continue;
    const cluster = join(parent, name, "postgres");
    const server = await findPostmaster(cluster);
    if (server) await stopPostmaster(cluster, server.pid);
    await rm(join(parent, name), { recursive: true, force: true });
  }
}
