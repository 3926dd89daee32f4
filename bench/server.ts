import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { HttpLoad } from "./http-load.ts";
import type { Measured } from "./load.ts";

/** The whole server in a process of its own, as people run it, for as long as the work takes. */
export async function withServer<Result>(
  databaseUrl: string,
  work: (port: number) => Promise<Result>,
  settings: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const server = spawn(process.execPath, ["--max-semi-space-size=64", main, "start"], {
    env: {
      ...process.env,
      HOLDFAST_DATABASE_URL: databaseUrl,
      HOLDFAST_PORT: "0",
      HOLDFAST_MAILBOX_DEPTH: "100000",
      ...settings,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    return await work(await portOf(server));
  } finally {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
}

async function portOf(server: ChildProcess): Promise<number> {
  for await (const line of createInterface(server.stdout!)) {
    const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    server.stdout!.resume();
    return Number(port);
  }
  throw new Error("the server ended before it listened");
}

/** The load comes from a process of its own too. */
export async function putUnderLoad(load: HttpLoad): Promise<Measured> {
  const script = fileURLToPath(new URL("http-load.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--import",
    "tsx",
    script,
    JSON.stringify(load),
  ]);
  return JSON.parse(stdout);
}
