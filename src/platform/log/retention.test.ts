import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { smallSizes, usePartitions } from "../../testing/small-partitions.ts";
import { type Transaction, transact } from "../batch/transaction.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { type Reader, readerOf } from "../postgres/statement.ts";
import { logMigrations } from "../service.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createRegistry } from "../telemetry/metrics.ts";
import { logWriter } from "./append.ts";
import { type DroppedRange, dropOldPartitions, type LogSnapshot } from "./drop.ts";
import { listPartitions, type PartitionSizes } from "./partitions.ts";
import { type LogBatch, readLog } from "./read.ts";
import { type LogKeeperOptions, logKeeper } from "./retention.ts";

const log = logWriter("teller");
const days = 30;
const database = useTestDatabase();
let pool: Pool;
let reader: Reader;

beforeAll(async () => {
  await migrate(database.url, ["teller", "listener", "relay"].map(logMigrations));
  pool = createPool(database.url, { max: 12, name: "retention" });
  reader = readerOf(pool);
  await pool.query("create table teller.heard (position bigint primary key, at timestamptz not null)");
});
afterAll(() => pool.end());
beforeEach(async () => {
  await usePartitions(pool, "teller");
  await pool.query("truncate listener.cursors, relay.cursors, teller.heard");
});

/** One batch for each subject. */
async function tell(...subjects: string[]): Promise<void> {
  for (const subject of subjects) {
    await transact(pool, async (tx) => {
      log.append(tx, await log.mark(tx), [{ type: "Told", subject, data: {} }]);
    });
  }
}

function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i + 1}`);
}

/** Makes everything up to there too old to be kept. */
function age(position: number, byDays = days + 1): Promise<unknown> {
  return pool.query("update teller.log set at = at - $2 * interval '1 day' where position <= $1", [
    position,
    byDays,
  ]);
}

function cursor(position: number): Promise<unknown> {
  return pool.query("insert into listener.cursors (topic, position) values ('teller', $1)", [position]);
}

async function cursorOf(): Promise<number> {
  const { rows } = await pool.query<{ position: number }>("select position from listener.cursors");
  return rows[0]!.position;
}

async function kept(): Promise<string[]> {
  return subjectsOf(await readLog(reader, "teller", 0, 1_000));
}

function subjectsOf(batches: readonly LogBatch[]): string[] {
  return batches.flatMap(({ events }) => events.map(({ subject }) => subject));
}

async function starts(): Promise<number[]> {
  return (await listPartitions(reader, "teller")).map(({ start }) => start);
}

interface Line {
  level: string;
  msg: string;
  [field: string]: unknown;
}

function keeper(
  options: Partial<LogKeeperOptions> & { snapshot?: LogSnapshot; sizes?: PartitionSizes } = {},
) {
  const lines: Line[] = [];
  const registry = createRegistry();
  const { snapshot, ...rest } = options;
  const kept = logKeeper({
    pool,
    schemas: [{ schema: "teller", days, tables: ["heard"], ...(snapshot === undefined ? {} : { snapshot }) }],
    logger: createLogger("info", { write: (line) => lines.push(JSON.parse(line)) }),
    registry,
    sizes: smallSizes,
    ...rest,
  });
  return {
    ...kept,
    said: (level: string) => lines.filter((line) => line.level === level),
    async metric(name: string) {
      const { values } = (await registry.getSingleMetric(name)!.get()) as {
        values: { labels: object; value: number }[];
      };
      return values;
    },
  };
}

/** Keeps two batches of what it was. */
function summary(then: () => void = () => {}): LogSnapshot & { taken: DroppedRange[] } {
  const taken: DroppedRange[] = [];
  return {
    taken,
    async take(tx: Transaction, range: DroppedRange) {
      taken.push(range);
      for (const part of [0, 1]) {
        const event = { type: "Summary", subject: `summary ${part} of ${range.position}`, data: {} };
        const text = "insert into teller.log_base (position, at, events) values ($1, $2, $3)";
        tx.write({ name: "summarize", text }, [range.position - 1 + part, range.at, JSON.stringify([event])]);
      }
      then();
    },
    forget: async () => true,
  };
}

describe("room in the log", () => {
  it("is made ahead of need, once, and follows the writers", async () => {
    expect(await starts()).toEqual([0, 6, 11, 16]);
    const { run, said } = keeper();
    await run();
    expect(await starts()).toEqual([0, 6, 11, 16]);
    await tell(...numbered(12));
    await run();
    expect(await starts()).toEqual([0, 6, 11, 16, 21, 26, 31]);
    expect(await kept()).toEqual(numbered(12));
    expect([...said("error"), ...said("warn")]).toEqual([]);
  });

  it("comes in parts of about a day, as the last day was, within bounds", async () => {
    await tell(...numbered(20));
    await age(8, 2);
    await age(20, 0.5);
    const { run } = keeper({ sizes: { min: 3, max: 1_000, ahead: 30 } });
    await run();
    const [last] = (await listPartitions(reader, "teller")).slice(-1);
    // Positions 6 to 20 in 2.5 days, for the partition that begins with position 6 is the last one older than a day.
    expect(last!.end - last!.start).toBe(Math.ceil(14 / 2.5));
  });

  it("is made by one process at a time, and the others do not mind", async () => {
    await tell(...numbered(18));
    const keepers = [keeper(), keeper(), keeper()];
    await Promise.all(keepers.map(({ run }) => run()));
    expect(await starts()).toEqual([0, 6, 11, 16, 21, 26, 31, 36]);
    expect(keepers.flatMap(({ said }) => [...said("error"), ...said("warn")])).toEqual([]);
  });

  it("that runs out is told of while there is some left", async () => {
    await tell(...numbered(15));
    const holder = await pool.connect();
    await holder.query("begin");
    await holder.query("select pg_advisory_xact_lock(7401, hashtext('teller'))");
    const { run, said, metric } = keeper();
    await run();
    await run();
    expect(said("error")).toMatchObject([{ service: "teller", room: 5 }]);
    const room = () => metric("log_room_batches");
    await expect.poll(room).toMatchObject([{ labels: { service: "teller" }, value: 5 }]);
    await holder.query("rollback");
    holder.release();
    await run();
    expect(said("error"), "it is told no more").toHaveLength(1);
    await expect.poll(room).toMatchObject([{ value: 20 }]);
    await tell("next");
  });

  it("that ran out is there again after the next look, however many were refused", async () => {
    await pool.query("select setval('teller.log_position', 500)");
    await expect(tell("refused")).rejects.toThrow("no partition");
    const { run } = keeper();
    await run();
    await tell("taken");
    expect(await kept()).toEqual(["taken"]);
  });

  it("is not in the way of who writes", async () => {
    await tell("1");
    const permission = gate();
    const marked = gate();
    const writing = transact(pool, async (tx) => {
      const mark = await log.mark(tx);
      log.append(tx, mark, [{ type: "Told", subject: "2", data: {} }]);
      await tx.read({ name: "", text: "select 1" });
      marked.open();
      await permission.opened;
    });
    await marked.opened;
    const { run, said } = keeper({ sizes: { ...smallSizes, ahead: 40 } });
    await run();
    permission.open();
    await writing;
    expect(said("warn")).toEqual([]);
    expect((await starts()).length).toBeGreaterThan(4);
  });
});

describe("what is too old", () => {
  it("goes a partition at a time, once all in it is too old", async () => {
    await tell(...numbered(18));
    await age(13);
    const { run, said, metric } = keeper();
    await run();
    expect(await kept()).toEqual(numbered(18).slice(10));
    expect((await starts())[0]).toBe(11);
    expect(said("info")).toMatchObject([{ service: "teller", dropped: ["log_from_0", "log_from_6"] }]);
    expect(await metric("log_partitions")).toMatchObject([{ value: (await starts()).length }]);
    const [oldest] = await metric("log_oldest_seconds");
    expect(Math.floor(oldest!.value / 86_400)).toBe(days + 1);
  });

  it("stays for ever if nobody says how long", async () => {
    await tell(...numbered(18));
    await age(18);
    const { run } = keeper({ schemas: [{ schema: "teller" }] });
    await run();
    expect(await kept()).toEqual(numbered(18));
  });

  it("stays while a position of the partition is still being written to", async () => {
    await tell("1", "2", "3", "4");
    const permission = gate();
    const marked = gate();
    const writing = transact(pool, async (tx) => {
      await log.mark(tx);
      marked.open();
      await permission.opened;
    });
    await marked.opened;
    await tell("6", "7");
    await age(7);
    const { run } = keeper();
    await run();
    expect((await starts())[0]).toBe(0);
    permission.open();
    await writing;
    await run();
    expect((await starts())[0]).toBe(6);
  });

  it("stays until every group has read it, which is said once", async () => {
    await tell(...numbered(18));
    await age(18);
    await cursor(4);
    const { run, said } = keeper();
    await run();
    await run();
    expect(await kept()).toEqual(numbered(18));
    expect(said("warn")).toMatchObject([{ group: "listener", topic: "teller", unread: 1 }]);
    await pool.query("update listener.cursors set position = 10");
    await run();
    expect(await kept()).toEqual(numbered(18).slice(10));
    expect(await cursorOf()).toBe(10);
  });

  it("goes where a relay has brought it, unless a group reads it here all the same", async () => {
    await tell(...numbered(18));
    await age(18);
    await cursor(4);
    await pool.query("insert into relay.cursors (topic, position) values ('teller', 18)");
    await keeper({ schemas: [{ schema: "teller", days, followers: ["listener"] }] }).run();
    expect(await kept()).toEqual(numbered(18));
    await keeper().run();
    expect(await kept()).toEqual(numbered(18).slice(15));
  });

  it("goes by force before a group has read it, loudly", async () => {
    await tell(...numbered(18));
    await age(18);
    await cursor(4);
    const { run, said, metric } = keeper({ force: true });
    await run();
    expect(await kept()).toEqual(numbered(18).slice(15));
    expect(said("error")).toMatchObject([{ group: "listener", topic: "teller", unread: 11 }]);
    expect(await metric("retention_forced_total")).toMatchObject([
      { labels: { service: "teller", group: "listener" }, value: 11 },
    ]);
  });

  it("goes from tables that are kept like the log, too", async () => {
    await pool.query(
      "insert into teller.heard select n, now() - (100 - n) * interval '1 day' from generate_series(1, 100) as n",
    );
    await keeper().run();
    const { rows } = await pool.query("select min(position) as first, count(*) as count from teller.heard");
    expect(rows).toEqual([{ first: 71, count: 30 }]);
  });

  it("is dropped by one process at a time", async () => {
    await tell(...numbered(18));
    await age(18);
    const snapshot = summary();
    const drop = () => dropOldPartitions(pool, "teller", { days, force: false, snapshot, followers: [] });
    await Promise.all([drop(), drop(), drop()]);
    expect(snapshot.taken).toHaveLength(1);
    expect(await kept()).toEqual(["summary 0 of 15", "summary 1 of 15", "16", "17", "18"]);
  });
});

describe("what is kept of the part that goes", () => {
  it("is what a reader begins with that was far behind, or is new", async () => {
    await tell(...numbered(18));
    await age(18);
    await keeper({ snapshot: summary() }).run();
    const expected = ["summary 0 of 15", "summary 1 of 15", "16", "17", "18"];
    expect(await kept()).toEqual(expected);
    const slowly: string[] = [];
    for (let at = 0, batches = await readLog(reader, "teller", at, 1); batches.length > 0; ) {
      slowly.push(...subjectsOf(batches));
      at = batches[0]!.position;
      batches = await readLog(reader, "teller", at, 1);
    }
    expect(slowly).toEqual(expected);
    expect(subjectsOf(await readLog(reader, "teller", 15, 100)), "who was there misses nothing").toEqual([
      "16",
      "17",
      "18",
    ]);
  });

  it("takes the place of what was kept before", async () => {
    const snapshot = summary();
    const { run } = keeper({ snapshot });
    await tell(...numbered(12));
    await age(12);
    await run();
    await tell(...numbered(12).map((subject) => `later ${subject}`));
    await age(24);
    await run();
    expect((await kept()).slice(0, 3)).toEqual(["summary 0 of 20", "summary 1 of 20", "later 9"]);
    expect(snapshot.taken).toMatchObject([
      { after: 0, position: 10 },
      { after: 10, position: 20 },
    ]);
  });

  it("is all told to a group that lost its place by force, even if that is a place of the snapshot's now", async () => {
    await tell(...numbered(18));
    await age(18);
    await cursor(14);
    await keeper({ snapshot: summary(), force: true }).run();
    expect(await cursorOf()).toBe(0);
  });

  it("comes with the drop or not at all: a failure after the snapshot leaves everything as it was", async () => {
    await tell(...numbered(18));
    await age(18);
    const snapshot = summary(() => {
      throw new Error("stumbled");
    });
    const { run, said } = keeper({ snapshot });
    await run();
    expect(said("warn")).toMatchObject([{ err: { message: "stumbled" } }]);
    expect(await kept()).toEqual(numbered(18));
    await keeper({ snapshot: summary() }).run();
    expect(await kept()).toEqual(["summary 0 of 15", "summary 1 of 15", "16", "17", "18"]);
  });

  it("comes with the drop or not at all: a reader is waited for only briefly, and it goes well later", async () => {
    await tell(...numbered(18));
    await age(18);
    const client = await pool.connect();
    await client.query("begin isolation level repeatable read");
    await client.query("select count(*) from teller.log");
    const { run, said } = keeper({ snapshot: summary() });
    await run();
    expect(said("warn")).toMatchObject([{ err: { message: expect.stringContaining("lock timeout") } }]);
    expect(await kept()).toEqual(numbered(18));
    await client.query("rollback");
    client.release();
    await run();
    expect(await kept()).toEqual(["summary 0 of 15", "summary 1 of 15", "16", "17", "18"]);
  });
});

describe("reading the log", () => {
  it("looks only at the partitions that it needs, in the order of their rows", async () => {
    const sizes = { min: 5_000, max: 5_000, ahead: 20_000 };
    await usePartitions(pool, "teller", sizes);
    await pool.query("insert into teller.log select n, now(), '[]' from generate_series(1, 20000) as n");
    await pool.query("analyze teller.log, teller.log_base");
    const { rows } = await pool.query<{ "QUERY PLAN": string }>(
      `explain select position, at, events from teller.whole_log
       where position > $1 and position <= $2 order by position limit $3`,
      [9_900, 12_000, 500],
    );
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    expect(plan.match(/log_from_\d+(?=\s)/g)).toEqual(["log_from_5001", "log_from_10001"]);
    expect(plan).toContain("Merge Append");
    expect(plan).not.toContain("Seq Scan on log_from");
  });
});

it("starts with a look at once, and stops when that is done", async () => {
  await tell(...numbered(12));
  const { start, stop } = keeper();
  start();
  await stop();
  expect(await starts()).toEqual([0, 6, 11, 16, 21, 26, 31]);
});

it("makes room as soon as somebody was refused for want of it, again and again", async () => {
  const { start, stop, said } = keeper();
  start();
  for (const position of [500, 1_000]) {
    await transact(pool, async (tx) => {
      // Nobody makes room meanwhile.
      await tx.read({ name: "", text: "select pg_advisory_xact_lock(7401, hashtext('teller'))" });
      await pool.query("select setval('teller.log_position', $1::bigint)", [position]);
      await expect(tell("refused")).rejects.toThrow("no partition");
    });
    await expect
      .poll(() =>
        tell(`after ${position}`).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
  }
  await stop();
  expect(await kept()).toEqual(["after 500", "after 1000"]);
  expect(new Set(said("warn").map(({ msg }) => msg))).toEqual(
    new Set(["the log of teller had no room left: making some"]),
  );
  await pool.query("select setval('teller.log_position', 2000)");
  await expect(tell("refused"), "nobody keeps it any more").rejects.toThrow("no partition");
  await expect(tell("refused")).rejects.toThrow("no partition");
});

it("a log of the time before partitions keeps what is in it", async () => {
  const set = logMigrations("veteran");
  const directory = await mkdtemp(join(tmpdir(), "holdfast-migrations-"));
  for (const file of (await readdir(set.directory)).filter((name) => name < "0003")) {
    await copyFile(join(set.directory, file), join(directory, file));
  }
  await migrate(database.url, [{ ...set, directory }]);
  await rm(directory, { recursive: true });
  await pool.query("select setval('veteran.log_position', 450000)");
  await pool.query("insert into veteran.log values (1, now(), '[]'), (450000, now(), '[]')");
  await migrate(database.url, [set]);
  const veteran = logWriter("veteran");
  await transact(pool, async (tx) =>
    veteran.append(tx, await veteran.mark(tx), [{ type: "Told", subject: "a", data: {} }]),
  );
  const batches = await readLog(reader, "veteran", 0, 10);
  expect(batches.map(({ position }) => position)).toEqual([1, 450_000, 450_001]);
  const partitions = await listPartitions(reader, "veteran");
  expect(partitions[0]).toEqual({ name: "log_from_0", start: 0, end: 1_600_000 });
  expect(partitions.at(-1)!.end).toBe(2_600_000);
});
