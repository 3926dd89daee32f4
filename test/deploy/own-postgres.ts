import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { accountFor, handOver } from "../../src/platform/postgres/embedded/account.ts";
import { bringUp } from "../../src/platform/postgres/embedded/launch.ts";
import { findPostmaster, stopPostmaster } from "../../src/platform/postgres/embedded/postmaster.ts";
import { findPostgres } from "../../src/testing/tools.ts";

const run = promisify(execFile);
/** A PostgreSQL with its tools, for one test file. */
export class OwnPostgres {
  private readonly folder: string;
  private readonly dataDir: string;
  private readonly port: number;

  private constructor(folder: string, dataDir: string, port: number) {
    this.folder = folder;
    this.dataDir = dataDir;
    this.port = port;
  }

  static async start(): Promise<OwnPostgres> {
    const folder = findPostgres();
    if (folder === undefined)
      throw new Error("There is no PostgreSQL with its tools: node scripts/install-tools.mjs");
    // Bears the name by which the next run finds what an interrupted one has left behind.
    const dataDir = await realpath(await mkdtemp(join(tmpdir(), `holdfast-test-${process.pid}-restore-`)));
    const cluster = join(dataDir, "postgres");
    await mkdir(cluster);
    const account = await accountFor(cluster);
    await handOver(cluster, account);
    // Before version 17, initdb does not find its directory where it may not walk the path to it.
    await chmod(dataDir, 0o711);
    const shape = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
    await run(join(folder, "initdb"), ["-D", cluster, ...shape], { ...account, cwd: cluster });
    const { port } = await bringUp({
      cluster,
      account,
      postgres: join(folder, "postgres"),
      logFile: join(dataDir, "postgres.log"),
      settings: { listen_addresses: "127.0.0.1", unix_socket_directories: "" },
    });
    return new OwnPostgres(folder, dataDir, port);
  }

  urlOf(database: string): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  async tool(program: "pg_dump" | "pg_restore" | "psql" | "createdb", ...options: string[]): Promise<void> {
    await run(join(this.folder, program), options);
  }

  file(name: string): string {
    return join(this.dataDir, name);
  }

  async stop(): Promise<void> {
    const cluster = join(this.dataDir, "postgres");
    const running = await findPostmaster(cluster);
    if (running) await stopPostmaster(cluster, running.pid);
    await rm(this.dataDir, { recursive: true });
  }
}
