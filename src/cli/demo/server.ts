import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "../../main.ts";
import { loadConfig } from "../../platform/config.ts";
import type { Finding } from "../../platform/service.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { note } from "../output.ts";
import { verifyDatabases } from "../verify.ts";

export interface DemoServer {
  readonly url: string;
  verify(): Promise<Finding[]>;
}

/** A whole Holdfast with a database of its own for as long as the demo takes; nothing of it remains. */
export async function withDemoServer<Result>(
  settings: Readonly<Record<string, string>>,
  work: (server: DemoServer) => Promise<Result>,
): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), "holdfast-demo-"));
  // Its own settings alone: a demo must not end up in the database that the environment names.
  const { config } = loadConfig(
    { HOLDFAST_DATA_DIR: dataDir, HOLDFAST_PORT: "0", HOLDFAST_DEMO: "false", ...settings },
    dataDir,
  );
  note("Starting a Holdfast of its own for the demo, with an embedded PostgreSQL …");
  try {
    const { greeting, databaseUrl, stop } = await startServer(config, createLogger("error", process.stderr));
    const { url } = greeting;
    const interrupted = () => {
      stop()
        .finally(() => rm(dataDir, { recursive: true, force: true }))
        .finally(() => process.exit(130));
    };
    process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
    try {
      return await work({ url, verify: () => verifyDatabases([databaseUrl]) });
    } finally {
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
      await stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
