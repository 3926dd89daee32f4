import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createEngine } from "../src/engine.ts";
import { createPool } from "../src/platform/postgres/pool.ts";
import type { Finding } from "../src/platform/service.ts";
import { verifyServices } from "../src/platform/verify.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The built program starts faster, but only an up-to-date build is what the test is about. */
const { isBuilt } = await import(new URL("../scripts/build.mjs", import.meta.url).href);
const program: string[] = isBuilt() ? ["dist/cli/main.js"] : ["--import", "tsx", "src/cli/main.ts"];

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  readonly body: any;
}

/** `holdfast start` in a process of its own. */
export class ServerProcess {
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly said: () => string;

  private constructor(child: ChildProcess, url: string, said: () => string) {
    this.child = child;
    this.url = url;
    this.said = said;
  }

  /** Resolves when it listens, on any free port. */
  static async start(settings: Readonly<Record<string, string>>): Promise<ServerProcess> {
    const { PATH, HOME, TMPDIR } = process.env;
    const child = spawn(process.execPath, [...program, "start"], {
      cwd: root,
      env: { PATH, HOME, TMPDIR, HOLDFAST_PORT: "0", HOLDFAST_DEMO: "false", ...settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    const url = await new Promise<string>((resolve, reject) => {
      const listen = (chunk: Buffer) => {
        said += chunk;
        const ready = /^Holdfast is ready at (\S+)\n/m.exec(said);
        if (ready) resolve(ready[1]!);
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.on("error", reject);
      child.on("exit", (code, signal) =>
        reject(new Error(`the server ended with ${code ?? signal}:\n${said}`)),
      );
    });
    return new ServerProcess(child, url, () => said);
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Throws when no answer comes. */
  async ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> {
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    try {
      const response = await fetch(this.url + path, { method, headers: { ...json, ...headers }, ...content });
      return { status: response.status, body: await response.json() };
    } catch (cause) {
      const state = this.isRunning ? "which is running" : "which has ended";
      throw new Error(`no answer from the server, ${state} and said:\n${this.said()}`, { cause });
    }
  }

  /** As `kill -9` does it. */
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  /** What is under way is answered first. */
  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return;
    this.child.kill(signal);
    await once(this.child, "exit");
  }
}

/** What the services find broken, all of them at the same moment. */
export async function violations(databaseUrl: string): Promise<Finding[]> {
  const { services, disconnect } = createEngine({ databaseUrl });
  const pool = createPool(databaseUrl, { max: 1, name: "verify" });
  try {
    const findings = await verifyServices([{ pool, services }], () => {});
    return findings.filter(({ violations }) => violations.length > 0);
  } finally {
    await Promise.all([pool.end(), disconnect()]);
  }
}
