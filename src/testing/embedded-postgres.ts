import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterEach, beforeEach } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../platform/postgres/embedded/index.ts";

const starter = fileURLToPath(new URL("embedded-postgres-process.ts", import.meta.url));

/** A data directory for each test, below one that is 0700: where root runs the tests, PostgreSQL cannot walk it. */
export class EmbeddedPostgresFixture {
  dataDir = "";
  private running: EmbeddedPostgres[] = [];

  constructor() {
    beforeEach(async () => {
      this.dataDir = await realpath(await mkdtemp(join(tmpdir(), "holdfast-embedded-")));
    });
    afterEach(async () => {
      for (const server of this.running.splice(0)) await server.stop();
      await rm(this.dataDir, { recursive: true });
    });
  }

  get cluster(): string {
    return join(this.dataDir, "postgres");
  }

  async start(settings: Record<string, string> = { fsync: "off" }): Promise<EmbeddedPostgres> {
    const server = await startEmbeddedPostgres({ dataDir: this.dataDir, settings });
    this.running.push(server);
    return server;
  }

  /** Its process stops the server when its standard input ends. */
  startInAnotherProcess(): ChildProcess {
    return spawn(process.execPath, ["--import", "tsx", starter, this.dataDir], {
      stdio: ["pipe", "pipe", "inherit"],
    });
  }

  /** The server whose process was killed with SIGKILL. */
  async orphan(): Promise<EmbeddedPostgres> {
    const child = this.startInAnotherProcess();
    const server = await started(child);
    child.kill("SIGKILL");
    await once(child, "exit");
    return server;
  }
}

export async function started(child: ChildProcess): Promise<EmbeddedPostgres> {
  const [line] = await once(createInterface({ input: child.stdout! }), "line");
  return JSON.parse(line);
}

/** All values of all rows. */
export async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  // A killed server fails the query, and the client tells of the lost connection once more.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: "array" })).rows.flat();
  } finally {
    await client.end();
  }
}
