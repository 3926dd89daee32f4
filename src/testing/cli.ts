import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

/** The built program starts in a third of the time, but only an up-to-date build is what the tests are about. */
const { isBuilt } = await import(new URL("../../scripts/build.mjs", import.meta.url).href);
const source = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
const built = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const program: string[] = isBuilt() ? [built] : ["--import", import.meta.resolve("tsx"), source];

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `holdfast` as a process of its own, with none of the settings of whoever runs the tests. */
export function spawnCli(args: readonly string[], env: Record<string, string>, cwd?: string): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_"));
  return spawn(process.execPath, [...program, ...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs it to its end. */
export async function runCli(
  args: readonly string[],
  env: Record<string, string>,
  cwd?: string,
): Promise<CliResult> {
  const child = spawnCli(args, env, cwd);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, "exit"),
  ]);
  return { code, stdout, stderr };
}
