import { access, constants, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, resolve } from "node:path";
import { urlOf } from "../../greeting.ts";
import type { Config } from "../../platform/config.ts";
import { codeOf } from "../../platform/postgres/errors.ts";
import { type Check, doubtful, failed, fine } from "./check.ts";

export function checkNode(): Check {
  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  const what = `Node.js ${process.versions.node}`;
  if (major > 20 || (major === 20 && minor >= 19)) return fine(`${what}.`);
  return failed(`${what} is too old.`, "Install Node.js 20.19 or newer from nodejs.org.");
}

export async function checkDataDir(dataDir: string): Promise<Check> {
  const existing = await existingParent(dataDir);
  try {
    await access(existing, constants.W_OK | constants.X_OK);
    return fine(`The data directory ${resolve(dataDir)} can be written.`);
  } catch {
    return failed(
      `${existing} cannot be written by this account.`,
      "Change its owner, or choose another with HOLDFAST_DATA_DIR.",
    );
  }
}

const gigabyte = 1_024 ** 3;

export async function checkDisk(dataDir: string): Promise<Check> {
  const { bavail, bsize } = await statfs(await existingParent(dataDir));
  const free = (bavail * bsize) / gigabyte;
  const what = `${free.toFixed(1)} GB of disk are free for the data directory`;
  if (free >= 5) return fine(`${what}.`);
  const advice = "PostgreSQL stops when the disk is full. Its write-ahead log alone may take 4 GB.";
  return free >= 1 ? doubtful(`Only ${what}.`, advice) : failed(`Only ${what}.`, advice);
}

async function existingParent(path: string): Promise<string> {
  for (let at = resolve(path); ; at = dirname(at)) {
    const exists = await access(at).then(
      () => true,
      () => false,
    );
    if (exists || at === dirname(at)) return at;
  }
}

export async function checkPort({ host, port }: Config): Promise<Check> {
  const code = port === 0 ? undefined : await obstacleTo(host, port);
  if (code === undefined) return fine(`Port ${port} of ${host} is free.`);
  if (code !== "EADDRINUSE") {
    return failed(
      `${host}:${port} cannot be listened on (${code}).`,
      "Change HOLDFAST_HOST or HOLDFAST_PORT.",
    );
  }
  if (await isHoldfast(host, port)) return fine(`Holdfast is running on port ${port} of ${host}.`);
  return failed(
    `Port ${port} of ${host} is taken by another program.`,
    "Choose a free one with HOLDFAST_PORT.",
  );
}

function obstacleTo(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", (error) => resolve(codeOf(error) ?? error.message));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
}

async function isHoldfast(host: string, port: number): Promise<boolean> {
  try {
    const answer = await fetch(`${urlOf(host, port)}/openapi.json`, { signal: AbortSignal.timeout(2_000) });
    const { info } = (await answer.json()) as { info?: { title?: string } };
    return info?.title === "Holdfast";
  } catch {
    return false;
  }
}
