import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { findPostmaster, stopPostmaster } from "./platform/postgres/embedded/postmaster.ts";
import { runCli, spawnCli } from "./testing/cli.ts";

// Every step starts a process of its own, which takes seconds on a busy machine.

let directory: string;
let server: Started | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "holdfast-main-"));
});
afterEach(async () => {
  const { exitCode, signalCode } = server?.child ?? { exitCode: 0, signalCode: null };
  if (exitCode === null && signalCode === null) await stopped("SIGKILL");
});
afterAll(async () => {
  const left = await findPostmaster(join(directory, "data", "postgres"));
  if (left) await stopPostmaster(join(directory, "data", "postgres"), left.pid);
  await rm(directory, { recursive: true });
});

const env = (more: Record<string, string> = {}) => ({
  HOLDFAST_DATA_DIR: join(directory, "data"),
  HOLDFAST_PORT: "0",
  ...more,
});

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  /** The line that a user would paste. */
  readonly curl: string;
}

async function start(more: Record<string, string> = {}): Promise<Started> {
  const child = spawnCli(["start"], env(more), directory);
  let output = "";
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false })) {
    output += chunk;
    const [, url] = /^Holdfast is ready at (\S+)$/m.exec(output) ?? [];
    const [, curl] = /^ {2}(curl .*)$/m.exec(output) ?? [];
    if (url === undefined || curl === undefined) continue;
    child.stdout!.resume();
    server = { child, url, curl };
    return server;
  }
  throw new Error(`the server did not start: ${output}${await text(child.stderr!)}`);
}

/** Does what the pasted line would do, as the shell understands it. */
async function paste({ curl }: Started, buyer: number): Promise<Response> {
  const script = `curl() { printf '%s\\n' "$@"; }; date() { echo ${buyer}; }; ${curl}`;
  const [, , method, url, , header, , body] = execFileSync("sh", ["-c", script]).toString().split("\n");
  const [name, value] = header!.split(": ") as [string, string];
  return fetch(url!, { method: method!, headers: { [name]: value }, body: body! });
}

async function stopped(signal: NodeJS.Signals): Promise<number | null> {
  const exit = once(server!.child, "exit");
  server!.child.kill(signal);
  return (await exit)[0];
}

const reserve = (url: string, id: string) =>
  fetch(`${url}/v1/reservations/${id}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ lines: [{ store_id: "main", sku: "MUG", quantity: 1 }] }),
  });

it("sells the last unit once, with the line that it prints", async () => {
  const started = await start();
  expect((await paste(started, 1)).status).toBe(201);
  const second = await paste(started, 2);
  expect(second.status).toBe(409);
  expect(await second.json()).toMatchObject({ code: "inventory.insufficient_stock" });
});

it("finds everything after kill -9 of the one before, and says who serves the directory already", async () => {
  const { url } = await start();
  expect((await fetch(`${url}/v1/reservations/buyer-1`)).status).toBe(200);
  const events = await fetch(`${url}/v1/events?type=InventoryReserved`);
  expect(await events.json()).toMatchObject({
    items: [{ subject: "buyer-1", source: "/holdfast/inventory" }],
  });

  const another = await runCli(["start"], env(), directory);
  expect([another.code, another.stderr]).toEqual([
    1,
    expect.stringContaining(`already (holdfast server, process ${server!.child.pid})`),
  ]);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

it("answers what is under way when it is told to stop, and stops PostgreSQL", async () => {
  const { url } = await start();
  const answers = Array.from({ length: 200 }, async (_, i) => {
    const response = await reserve(url, `stop-${i}`).catch(() => undefined);
    return { id: `stop-${i}`, status: response?.status };
  });
  await Promise.race(answers);
  expect(await stopped("SIGTERM")).toBe(0);
  const held = (await Promise.all(answers)).filter(({ status }) => status === 201);
  expect(held.length).toBeGreaterThan(0);
  expect(existsSync(join(directory, "data", "postgres", "postmaster.pid"))).toBe(false);

  const again = await start();
  for (const { id } of held) expect((await fetch(`${again.url}/v1/reservations/${id}`)).status).toBe(200);
  expect(await stopped("SIGINT")).toBe(0);
});

it("names the setting when the port is taken, and leaves no PostgreSQL behind", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const { code, stderr } = await runCli(["start", "--port", String(port)], env(), directory);
  other.close();
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^holdfast: Port \d+ .* HOLDFAST_PORT or --port\.\n$/),
  ]);
  expect(existsSync(join(directory, "data", "postgres", "postmaster.pid"))).toBe(false);
});

it("listens beyond this machine only with a key, and then asks for it", async () => {
  const open = await runCli(["start", "--host", "0.0.0.0"], env(), directory);
  expect([open.code, open.stderr]).toEqual([1, expect.stringContaining("there is no API key yet")]);
  const { stdout: token } = await runCli(["keys", "create", "shop", "--scope", "sell"], env(), directory);
  const { url, curl } = await start({ HOLDFAST_HOST: "0.0.0.0" });
  expect(curl).toContain('-H "authorization: Bearer $API_KEY"');
  expect((await fetch(`${url}/v1/stock`)).status).toBe(401);
  const headers = { authorization: `Bearer ${token.trim()}` };
  expect((await fetch(`${url}/v1/stock`, { headers })).status).toBe(200);
});
