import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { EmbeddedPostgresFixture, query, started } from "../../../testing/embedded-postgres.ts";
import { patience } from "../../../testing/patience.ts";
import { accountFor } from "./account.ts";
import { findRunningPostgres } from "./index.ts";
import { readPidFile, runsOn } from "./postmaster.ts";

const embedded = new EmbeddedPostgresFixture();

async function leavePidFile(pid: number, port: number): Promise<void> {
  const lines = [pid, embedded.cluster, 1_700_000_000, port, "", "127.0.0.1", "", "ready"];
  await writeFile(join(embedded.cluster, "postmaster.pid"), `${lines.join("\n")}\n`);
}

it("adopts the server of a killed process, and stops it", async () => {
  const orphan = await embedded.orphan();

  const adopted = await embedded.start();

  expect(adopted).toMatchObject({ url: orphan.url, adopted: true });
  const { pid } = (await readPidFile(embedded.cluster))!;
  await adopted.stop();
  expect(await runsOn(embedded.cluster, pid)).toBe(false);
});

it.each(["started", "adopted"])(
  "restarts a server that it has %s when its process is killed",
  async (how) => {
    if (how === "adopted") await embedded.orphan();
    const server = await embedded.start();
    expect(server.adopted).toBe(how === "adopted");
    await query(server.url, "CREATE TABLE kept AS SELECT 42 AS answer");
    const { pid } = (await readPidFile(embedded.cluster))!;

    process.kill(pid, "SIGKILL");

    await vi.waitFor(async () => expect((await readPidFile(embedded.cluster))?.pid).not.toBe(pid), patience);
    const answer = () => query(server.url, "SELECT answer FROM kept");
    await vi.waitFor(async () => expect(await answer()).toEqual([42]), patience);
  },
);

it.runIf(process.platform === "linux")(
  "does not wait for a query that has outlived its postmaster",
  async () => {
    const { url } = await embedded.start();
    const endless =
      "SET statement_timeout = '90s'; SELECT sum(sqrt(n)) FROM generate_series(1, 1e10::bigint) n";
    const abandoned = expect(query(url, endless)).rejects.toThrow();
    const computing =
      "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sqrt%' AND pid <> pg_backend_pid()";
    await vi.waitFor(async () => expect(await query(url, computing)).toEqual([1]), patience);

    process.kill((await readPidFile(embedded.cluster))!.pid, "SIGKILL");

    await abandoned;
    await vi.waitFor(async () => expect(await query(url, "SELECT 1")).toEqual([1]), patience);
  },
);

it("lets two processes make the cluster at once and share one server", async () => {
  const children = [embedded.startInAnotherProcess(), embedded.startInAnotherProcess()];
  const servers = await Promise.all(children.map(started));
  for (const child of children) child.stdin?.end();
  await Promise.all(children.map((child) => once(child, "exit")));

  expect(servers.map((server) => server.adopted).sort()).toEqual([false, true]);
  expect(servers[0]!.url).toBe(servers[1]!.url);
});

it("lets the loser of two launches at the same instant adopt the winner's server", async () => {
  await (await embedded.start()).stop();

  const servers = await Promise.all([embedded.start(), embedded.start()]);

  expect(servers.map((server) => server.adopted).sort()).toEqual([false, true]);
  expect(servers[0]!.url).toBe(servers[1]!.url);
});

it("begins anew after a process was killed while it made the cluster", async () => {
  const halfMade = async () =>
    (await readdir(embedded.dataDir)).filter((name) => name.startsWith("postgres.new-"));
  const password = join(embedded.dataDir, "postgres.password");
  execFileSync("mkfifo", [password]);
  const child = embedded.startInAnotherProcess();
  await writeFile(password, "read before the cluster is made"); // and afterwards waited for in vain
  await vi.waitFor(async () => expect(await halfMade()).toHaveLength(1), { ...patience, interval: 5 });
  child.kill("SIGKILL");
  await once(child, "exit");
  await rm(password);
  await expect(access(embedded.cluster)).rejects.toThrow();

  const server = await embedded.start();

  expect(await query(server.url, "SELECT 1")).toEqual([1]);
  expect(await halfMade()).toEqual([]);
});

it.runIf(process.platform === "linux")(
  "removes what a killed process has begun although its initdb still writes there",
  async () => {
    const ended = spawn("true");
    await once(ended, "exit");
    const halfMade = join(embedded.dataDir, `postgres.new-${ended.pid}-abc`);
    await mkdir(halfMade);
    const writing =
      "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do i=$((i + 1)); : > f$i; done";
    const initdb = spawn("sh", ["-c", writing], { cwd: halfMade, stdio: "ignore" });
    const finished = once(initdb, "exit");
    await vi.waitFor(async () => expect(await readdir(halfMade)).not.toEqual([]), {
      ...patience,
      interval: 5,
    });

    const server = await embedded.start();

    expect(await query(server.url, "SELECT 1")).toEqual([1]);
    await expect(access(halfMade)).rejects.toThrow();
    await finished;
  },
);

it("does not take a stranger with the old pid for its server", async () => {
  await (await embedded.start()).stop();
  // Under PostgreSQL's own account, for to any other it would not be deceived.
  const stranger = spawn("sleep", ["600"], { ...(await accountFor(embedded.cluster)) });
  onTestFinished(() => void stranger.kill());
  await leavePidFile(stranger.pid!, 1);

  expect(await findRunningPostgres(embedded.dataDir)).toBeUndefined();
  const server = await embedded.start();

  expect(server.adopted).toBe(false);
  expect(await query(server.url, "SELECT 1")).toEqual([1]);
  expect(stranger.exitCode).toBeNull();
});

it("moves to another port when its last one is taken", async () => {
  await (await embedded.start()).stop();
  const squatter = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void squatter.close());
  await once(squatter, "listening");
  const { port } = squatter.address() as { port: number };
  const ended = spawn("true");
  await once(ended, "exit");
  await leavePidFile(ended.pid!, port);

  const server = await embedded.start();

  expect(new URL(server.url).port).not.toBe(String(port));
  expect(await query(server.url, "SELECT 1")).toEqual([1]);
});
