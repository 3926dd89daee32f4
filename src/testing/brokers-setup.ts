import { mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { isAlive } from "../platform/postgres/embedded/postmaster.ts";
import { type BrokerName, type BrokerProcess, startBroker } from "./broker-process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where test files ask for the brokers that they share. */
    brokersUrl: string;
    brokersDirectory: string;
  }
}

/** The brokers that the test files of a run share, each started when the first file asks for it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftBehind();
  const directory = await mkdtemp(join(tmpdir(), `holdfast-brokers-${process.pid}-`));
  const running = new Map<BrokerName, Promise<BrokerProcess>>();

  // Who asks closes the connection: one that is closed here may just be used for the next question.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const name = request.url!.slice(1) as BrokerName;
    if (!running.has(name)) running.set(name, startBroker(name, join(directory, name)));
    running.get(name)!.then(
      (broker) => response.end(broker.address),
      (error: Error) => response.writeHead(500).end(error.message),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  project.provide("brokersUrl", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  project.provide("brokersDirectory", directory);

  return async () => {
    const started = await Promise.allSettled(running.values());
    for (const broker of started) if (broker.status === "fulfilled") await broker.value.kill();
    server.close().closeAllConnections();
    await tellWhatIsMissing(directory);
    await rm(directory, { recursive: true, force: true });
  };
}

/** A test file that could not run leaves a file that is named after what it lacks. */
async function tellWhatIsMissing(directory: string): Promise<void> {
  const names = (await readdir(directory)).flatMap((name) => /^without-(\w+)$/.exec(name)?.[1] ?? []);
  if (names.length === 0) return;
  console.warn(
    `\nTests were not run that need ${names.sort().join(", ")}, not installed here. To install what is missing, on ` +
      "Debian or Ubuntu as root: node scripts/install-tools.mjs\n",
  );
}

/** A run that is interrupted has no teardown; its brokers ended with it, but their files did not. */
async function removeLeftBehind(): Promise<void> {
  const parent = await realpath(tmpdir());
  for (const name of await readdir(parent)) {
    const run = Number(/^holdfast-brokers-(\d+)-/.exec(name)?.[1]);
    if (!Number.isNaN(run) && !isAlive(run)) await rm(join(parent, name), { recursive: true, force: true });
  }
}
