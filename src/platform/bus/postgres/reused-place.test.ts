import { readdir, readFile } from "node:fs/promises";
import { expect, it, vi } from "vitest";
import { EmbeddedPostgresFixture } from "../../../testing/embedded-postgres.ts";
import { patience } from "../../../testing/patience.ts";
import { transact } from "../../batch/transaction.ts";
import { logWriter } from "../../log/append.ts";
import { clusterName, readPidFile } from "../../postgres/embedded/postmaster.ts";
import { migrate } from "../../postgres/migrate.ts";
import { createPool } from "../../postgres/pool.ts";
import { logMigrations } from "../../service.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { createRegistry } from "../../telemetry/metrics.ts";
import { untraced } from "../../telemetry/tracer.ts";
import { createPostgresBus } from "./index.ts";

const embedded = new EmbeddedPostgresFixture();

it("hears what stands in a place that was given out before a crash, to a transaction that came to nothing", async () => {
  // What is not committed is written down so late that the crash comes before, and nothing else has it written.
  const server = await embedded.start({
    wal_writer_delay: "10s",
    wal_writer_flush_after: "1GB",
    wal_level: "minimal",
    max_wal_senders: "0",
    autovacuum: "off",
  });
  if (process.platform === "linux") process.kill(await vi.waitFor(findWalWriter, patience), "SIGSTOP");
  await migrate(server.url, [logMigrations("teller"), logMigrations("listener")]);
  const pool = createPool(server.url, { max: 6, name: "test" });
  const log = logWriter("teller");
  const heard: string[] = [];
  const bus = createPostgresBus({
    pool,
    url: server.url,
    schemas: ["teller", "listener"],
    pollMs: 20,
    logger: createLogger("silent"),
    tracer: untraced,
    registry: createRegistry(),
  });
  bus.subscribe({
    group: "listener",
    topics: { teller: ["Told"] },
    afterFailure: "wait",
    async handle(_tx, events) {
      heard.push(...events.map(({ subject }) => subject));
      return undefined;
    },
  });
  bus.start();
  const tell = (subject: string) =>
    transact(pool, async (tx) => {
      const mark = await log.mark(tx);
      log.append(tx, mark, [{ type: "Told", subject, data: {} }]);
      return mark.position;
    });
  const comeToNothing = async () => {
    let place = 0;
    const nothing = transact(pool, async (tx) => {
      place = (await log.mark(tx)).position;
      throw new Error("nothing");
    });
    await expect(nothing).rejects.toThrow("nothing");
    return place;
  };

  // A sequence writes itself down with every 33rd place: the next one is the first of those.
  const isWrittenDown = async () =>
    (await pool.query("select log_cnt from teller.log_position")).rows[0].log_cnt === 0;
  let last = 0;
  do last = await tell("before");
  while (!(await isWrittenDown()));
  expect(await bus.reached("teller", last, patience.timeout)).toBe(true);
  expect(heard).toHaveLength(last);
  const place = await comeToNothing();
  expect(place).toBe(last + 1);
  // Time enough to notice that it was taken.
  for (let looks = 0; looks < 20; looks++) await bus.reached("teller", place, 20);

  const { pid } = (await readPidFile(embedded.cluster))!;
  process.kill(pid, "SIGKILL");
  await vi.waitFor(async () => expect((await readPidFile(embedded.cluster))?.pid).not.toBe(pid), patience);
  expect(await vi.waitFor(() => tell("after"), patience)).toBe(place);
  await tell("later");
  await vi.waitFor(() => expect(heard.slice(-2)).toEqual(["after", "later"]), patience);
  await bus.stop();
  await pool.end();
});

/** It would write everything down every ten seconds, and on a slow machine before the crash. */
async function findWalWriter(): Promise<number> {
  const title = `postgres: ${clusterName(embedded.cluster)}: walwriter`;
  for (const pid of await readdir("/proc")) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.startsWith(title)) return Number(pid);
  }
  throw new Error("PostgreSQL has no WAL writer yet.");
}
