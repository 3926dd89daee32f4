import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { useTestDatabase } from "../../testing/database.ts";
import { transact } from "../batch/transaction.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { type Reader, readerOf } from "../postgres/statement.ts";
import { logMigrations } from "../service.ts";
import { type LogMark, logWriter } from "./append.ts";
import { type LogBatch, readLog, readLogAt } from "./read.ts";

const log = logWriter("teller");
const database = useTestDatabase();
let pool: Pool;
let reader: Reader;

beforeAll(async () => {
  await migrate(database.url, [logMigrations("teller")]);
  pool = createPool(database.url, { max: 12, name: "log" });
  reader = readerOf(pool);
});
afterAll(() => pool.end());
beforeEach(() => pool.query("truncate teller.log"));

function told(subject: string) {
  return { type: "Told", subject, data: {} };
}

/** Appends one batch in a transaction of its own. */
function tell(...subjects: string[]): Promise<LogMark> {
  return transact(pool, async (tx) => {
    const mark = await log.mark(tx);
    log.append(tx, mark, subjects.map(told));
    return mark;
  });
}

function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** A transaction that has its place in the log and commits when it is told to. */
async function beginToTell(subject: string): Promise<{ commit(): Promise<void> }> {
  const place = gate();
  const permission = gate();
  const done = transact(pool, async (tx) => {
    const mark = await log.mark(tx);
    log.append(tx, mark, [told(subject)]);
    place.open();
    await permission.opened;
  });
  await place.opened;
  return {
    commit() {
      permission.open();
      return done;
    },
  };
}

function subjectsOf(batches: readonly LogBatch[]): string[] {
  return batches.flatMap(({ events }) => events.map(({ subject }) => subject));
}

/** Reads on from where it was, as every follower does. */
function bookmark(limit = 100) {
  let at = 0;
  return {
    async read(): Promise<string[]> {
      const batches = await readLog(reader, "teller", at, limit);
      at = batches.at(-1)?.position ?? at;
      return subjectsOf(batches);
    },
  };
}

describe("reading the log", () => {
  it("gives what was written, in order, with the time at which it happened", async () => {
    const mark = await tell("a", "b");
    await tell("c");
    const batches = await readLog(reader, "teller", 0, 100);
    expect(subjectsOf(batches)).toEqual(["a", "b", "c"]);
    expect(batches[0]).toMatchObject({ position: mark.position, at: mark.now });
  });

  it("goes on behind the bookmark, in portions", async () => {
    for (const subject of ["a", "b", "c"]) await tell(subject);
    const { read } = bookmark(2);
    expect([await read(), await read(), await read()]).toEqual([["a", "b"], ["c"], []]);
  });

  it("does not skip a transaction that began earlier and commits later", async () => {
    const { read } = bookmark();
    const early = await beginToTell("early");
    await tell("late");
    expect(await read(), "what is behind an open transaction is not told yet").toEqual([]);
    await early.commit();
    expect(await read()).toEqual(["early", "late"]);
  });

  it("gives every batch once, in whatever order a crowd of transactions commits", async () => {
    const { read } = bookmark(3);
    const soFar: string[] = [];
    for (let round = 0; round < 10; round++) {
      const open = [];
      for (let i = 0; i < 8; i++) open.push(await beginToTell(`${round}.${i}`));
      for (const next of [5, 0, 7, 2, 6, 1, 4, 3]) {
        await open[next]!.commit();
        soFar.push(...(await read()));
      }
    }
    for (let more = await read(); more.length > 0; more = await read()) soFar.push(...more);
    const everything = Array.from({ length: 80 }, (_, n) => `${Math.floor(n / 8)}.${n % 8}`);
    expect(soFar).toEqual(everything);
  });

  it("knows nothing of what was rolled back", async () => {
    const failed = transact(pool, async (tx) => {
      log.append(tx, await log.mark(tx), [told("never")]);
      throw new Error("changed its mind");
    });
    await expect(failed).rejects.toThrow("changed its mind");
    await tell("a");
    expect(await bookmark().read()).toEqual(["a"]);
  });

  it("keeps no row of a batch in which nothing happened", async () => {
    await tell();
    expect(await readLog(reader, "teller", 0, 100)).toEqual([]);
  });

  it("finds single batches by their positions", async () => {
    const [, b, c] = [await tell("a"), await tell("b"), await tell("c")];
    const batches = await readLogAt(reader, "teller", [c.position, b.position, 999_999]);
    expect(subjectsOf(batches)).toEqual(["b", "c"]);
  });
});
