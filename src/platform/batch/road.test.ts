import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { takeAway, useTestDatabase } from "../../testing/database.ts";
import { smallSizes } from "../../testing/small-partitions.ts";
import { logWriter } from "../log/append.ts";
import { coverAhead, listPartitions } from "../log/partitions.ts";
import { isTransient } from "../postgres/errors.ts";
import { migrate } from "../postgres/migrate.ts";
import { createPool, type Pool } from "../postgres/pool.ts";
import { readerOf } from "../postgres/statement.ts";
import { logMigrations } from "../service.ts";
import { type BatchHandler, Road, type RoadOptions, TryAgain } from "./road.ts";
import { type Transaction, transact } from "./transaction.ts";

// A service that counts: the smallest thing that loads, decides and saves.

const log = logWriter("counting");

interface Add {
  id: string;
  add: number;
}

const countUp: BatchHandler<Add, number> = async (tx, commands) => {
  const lock = { name: "counting_lock", text: "select total from counting.counter for update" };
  const [counter] = await tx.read<{ total: number }>(lock);
  const mark = await log.mark(tx);
  let total = counter!.total;
  const replies = commands.map(({ add }) => {
    total += add;
    return total;
  });
  const ids = commands.map(({ id }) => id);
  tx.write({ name: "counting_save", text: "update counting.counter set total = $1" }, [total]);
  tx.write({ name: "counting_keep", text: "insert into counting.added select * from unnest($1::text[])" }, [
    ids,
  ]);
  log.append(
    tx,
    mark,
    commands.map((command) => ({ type: "Added", subject: command.id, data: command })),
  );
  return replies;
};

const database = useTestDatabase();
let pool: Pool;

beforeAll(async () => {
  await migrate(database.url, [logMigrations("counting")]);
  pool = createPool(database.url, { max: 4, name: "road" });
  await pool.query(`
    create table counting.counter (total bigint not null check (total < 1000000));
    create table counting.added (id text primary key);`);
});
afterAll(() => pool.end());
beforeEach(() =>
  pool.query(
    "truncate counting.counter, counting.added, counting.log; insert into counting.counter values (0)",
  ),
);

function roadOf(options: Partial<RoadOptions<Add, number>> = {}): Road<Add, number> {
  return new Road({ pool, handle: countUp, maxWaiting: 10_000, ...options });
}

/** What the database holds in the end: the sum, and every command exactly once, in the tables and in the log. */
async function expectCounted(ids: readonly string[], total: number): Promise<void> {
  const { rows: counter } = await pool.query("select total from counting.counter");
  const { rows: added } = await pool.query<{ id: string }>("select id from counting.added");
  const { rows: logged } = await pool.query<{ events: string }>("select events from counting.log");
  expect(counter).toEqual([{ total }]);
  expect(added.map(({ id }) => id).sort()).toEqual([...ids].sort());
  const subjects = logged.flatMap(({ events }) => JSON.parse(events)).map(({ subject }) => subject);
  expect(subjects.sort()).toEqual([...ids].sort());
}

function adds(count: number, add = 1): Add[] {
  return Array.from({ length: count }, (_, i) => ({ id: `c${i}`, add }));
}

describe("the road", () => {
  it("answers each command with what the ones before it made of it", async () => {
    const road = roadOf();
    const replies = await Promise.all(adds(100).map((command) => road.submit(command)));
    expect(replies).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    await expectCounted(
      adds(100).map(({ id }) => id),
      100,
    );
  });

  it("makes one batch of what arrives while another commits", async () => {
    const sizes: number[] = [];
    const road = roadOf({ observer: { batch: (size) => sizes.push(size) } });
    const first = road.submit({ id: "first", add: 1 });
    await Promise.resolve(); // the first one is under way
    const others = adds(20).map((command) => road.submit(command));
    await Promise.all([first, ...others]);
    expect(sizes).toEqual([1, 20]);
  });

  it("turns away what is more than may wait", async () => {
    const road = roadOf({ maxWaiting: 3 });
    const accepted = adds(3).map((command) => road.submit(command));
    await expect(road.submit({ id: "one too many", add: 1 })).rejects.toMatchObject({
      code: "platform.overloaded",
    });
    await Promise.all(accepted);
    await expectCounted(["c0", "c1", "c2"], 3);
  });

  it("drained, has answered everything and takes nothing more", async () => {
    const road = roadOf({ maxWork: 10 });
    let answered = 0;
    for (const command of adds(35)) road.submit(command).then(() => answered++);
    await road.drain();
    expect(answered).toBe(35);
    await expect(road.submit({ id: "late", add: 1 })).rejects.toMatchObject({ code: "platform.stopping" });
  });
});

describe("a command that cannot be carried out", () => {
  const bomb = { id: "bomb", add: 1_000_000 };

  it("is found among 500, answered as a defect and set aside; the other 499 are carried out", async () => {
    const poisoned: Add[] = [];
    const road = roadOf({ observer: { poison: (command) => poisoned.push(command) } });
    const commands = adds(499).toSpliced(321, 0, bomb);
    const outcomes = await Promise.allSettled(commands.map((command) => road.submit(command)));
    expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([outcomes[321]]);
    expect(outcomes[321]).toMatchObject({ reason: { code: "platform.internal", retryable: false } });
    expect(outcomes.at(-1)).toEqual({ status: "fulfilled", value: 499 });
    expect(poisoned).toEqual([bomb]);
    await expectCounted(
      adds(499).map(({ id }) => id),
      499,
    );
  });

  it("is set aside with its cause, alone in its batch too, and whoever comes next is served", async () => {
    const causes: unknown[] = [];
    const road = roadOf({ observer: { poison: (_, error) => causes.push(error) } });
    const failed = road.submit(bomb);
    await expect(failed).rejects.toMatchObject({
      code: "platform.internal",
      cause: { constraint: "counter_total_check" },
    });
    expect(causes).toMatchObject([{ constraint: "counter_total_check" }]);
    await expect(road.submit({ id: "next", add: 1 })).resolves.toBe(1);
  });

  it("may be stopped by the rules as well as by the database", async () => {
    const road = roadOf({
      async handle(tx, commands) {
        if (commands.some(({ id }) => id === "bomb")) throw new Error("broken invariant");
        return countUp(tx, commands);
      },
    });
    const outcomes = await Promise.allSettled([...adds(4), bomb].map((command) => road.submit(command)));
    expect(outcomes.map(({ status }) => status)).toEqual([...Array(4).fill("fulfilled"), "rejected"]);
    await expectCounted(["c0", "c1", "c2", "c3"], 4);
  });
});

describe("what passes is tried again", () => {
  /** Fails as told before it does its work, or in the midst of it. */
  function failing(...errors: Error[]): BatchHandler<Add, number> {
    return async (tx, commands) => {
      const replies = await countUp(tx, commands);
      const error = errors.shift();
      if (error !== undefined) throw error;
      return replies;
    };
  }
  const databaseError = (code: string) => Object.assign(new Error(`SQLSTATE ${code}`), { code });

  it.each(["40001", "40P01", "55P03", "57P01", "ECONNRESET", "23505"])("after %s", async (code) => {
    const rolledBack: unknown[] = [];
    const road = roadOf({
      handle: failing(databaseError(code)),
      observer: { rollback: (error) => rolledBack.push(error) },
    });
    // One command alone: of a larger batch, bisection would carry out the halves.
    expect(await road.submit({ id: "a", add: 1 })).toBe(1);
    expect(rolledBack).toMatchObject([{ code }]);
    await expectCounted(["a"], 1);
  });

  it("when what was read was overtaken before it was locked", async () => {
    const road = roadOf({ handle: failing(new TryAgain("overtaken"), new TryAgain("overtaken again")) });
    expect(await road.submit({ id: "a", add: 1 })).toBe(1);
    await expectCounted(["a"], 1);
  });

  it("but whoever is overtaken again and again is told to come again, and is not blamed", async () => {
    const poisoned: Add[] = [];
    const road = roadOf({
      handle: () => Promise.reject(new TryAgain("overtaken")),
      observer: { poison: (command) => poisoned.push(command) },
    });
    await expect(road.submit({ id: "a", add: 1 })).rejects.toMatchObject({ code: "platform.unavailable" });
    expect(poisoned).toEqual([]);
  });

  it("but a collision that does not pass is a defect", async () => {
    const road = roadOf();
    await road.submit({ id: "a", add: 1 });
    await expect(road.submit({ id: "a", add: 1 })).rejects.toMatchObject({
      code: "platform.internal",
      cause: { code: "23505" },
    });
    await expectCounted(["a"], 1);
  });

  it("after the database has let nobody in, for whatever reason, and nobody is blamed", async () => {
    const poisoned: Add[] = [];
    const rolledBack = new EventEmitter();
    const road = roadOf({
      patienceMs: 3_600_000,
      observer: {
        rollback: () => rolledBack.emit("rollback"),
        poison: (command) => poisoned.push(command),
      },
    });
    const giveBack = await takeAway(pool);
    const submitted = Promise.all(adds(3).map((command) => road.submit(command)));
    await expect(pool.query("select 1")).rejects.toSatisfy(isTransient);
    await once(rolledBack, "rollback");
    await giveBack();
    expect(await submitted).toEqual([1, 2, 3]);
    expect(poisoned).toEqual([]);
    await expectCounted(["c0", "c1", "c2"], 3);
  });

  it("until patience ends: then everybody is told to come again, and nobody is blamed", async () => {
    const poisoned: Add[] = [];
    const nowhere = createPool("postgres://nobody@127.0.0.1:1/nothing", { max: 1, name: "nowhere" });
    const road = roadOf({
      pool: nowhere,
      patienceMs: 50,
      observer: { poison: (command) => poisoned.push(command) },
    });
    const outcomes = await Promise.allSettled(adds(3).map((command) => road.submit(command)));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "platform.unavailable", retryable: true } });
    }
    expect(poisoned).toEqual([]);
    await nowhere.end();
  });

  it("and only for a moment more once the process is to end", async () => {
    const nowhere = createPool("postgres://nobody@127.0.0.1:1/nothing", { max: 1, name: "nowhere" });
    const stopping = new AbortController();
    const road = roadOf({ pool: nowhere, patienceMs: 3_600_000, stopping: stopping.signal });
    const submitted = Promise.allSettled(adds(3).map((command) => road.submit(command)));
    stopping.abort();
    expect((await submitted).map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual(
      Array(3).fill("platform.unavailable"),
    );
    await nowhere.end();
  });

  describe("when the log has no room", () => {
    beforeEach(async () => {
      const { end } = (await listPartitions(readerOf(pool), "counting")).at(-1)!;
      await pool.query("select setval('counting.log_position', $1)", [end]);
    });
    const makeRoom = () => transact(pool, (tx) => coverAhead(tx, "counting", smallSizes));
    afterEach(makeRoom);

    it("until room is made", async () => {
      const rolledBack = new EventEmitter();
      const road = roadOf({
        patienceMs: 3_600_000,
        observer: { rollback: () => rolledBack.emit("rollback") },
      });
      const submitted = Promise.all(adds(3).map((command) => road.submit(command)));
      await once(rolledBack, "rollback");
      await makeRoom();
      expect(await submitted).toEqual([1, 2, 3]);
      await expectCounted(["c0", "c1", "c2"], 3);
    });

    it("until patience ends, and nobody is blamed", async () => {
      const poisoned: Add[] = [];
      const road = roadOf({ patienceMs: 50, observer: { poison: (command) => poisoned.push(command) } });
      await expect(road.submit({ id: "a", add: 1 })).rejects.toMatchObject({
        code: "platform.unavailable",
        retryAfterSeconds: 1,
        cause: { code: "23514", table: "log" },
      });
      expect(poisoned).toEqual([]);
      await expectCounted([], 0);
    });
  });

  it("but a row that is of no partition of another table is a defect", async () => {
    await pool.query("create table counting.parted (id text) partition by list (id)");
    const text = "insert into counting.parted values ('a')";
    const road = roadOf({
      async handle(tx, commands) {
        tx.write({ name: "counting_part", text }, []);
        return commands.map(() => 1);
      },
    });
    await expect(road.submit({ id: "a", add: 1 })).rejects.toMatchObject({ code: "platform.internal" });
  });

  it("and a handler that forgot to wait for a failed write changes nothing", async () => {
    const road = roadOf({
      async handle(tx: Transaction, commands) {
        tx.write({ name: "counting_broken", text: "select 1 / 0" }, []);
        tx.write({ name: "counting_save", text: "update counting.counter set total = $1" }, [7]);
        return commands.map(() => 7);
      },
    });
    await expect(road.submit({ id: "a", add: 7 })).rejects.toMatchObject({ code: "platform.internal" });
    await expectCounted([], 0);
  });
});

// ---- a lost answer to COMMIT ---------------------------------------------------------------------------------------

type Loss = "before COMMIT arrives" | "while COMMIT is carried out" | "after COMMIT is carried out";

/** Stands between the pool and PostgreSQL and cuts one connection at its next COMMIT. */
class UnreliableWire {
  private readonly server = createServer((client) => this.join(client));
  private loss: Loss | undefined;
  losses = 0;

  async listen(): Promise<string> {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    const url = new URL(database.url);
    url.host = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return url.href;
  }

  loseNextCommit(loss: Loss): void {
    this.loss = loss;
  }

  close(): void {
    this.server.close();
  }

  private join(client: Socket): void {
    const { hostname, port } = new URL(database.url);
    const postgres = connect(Number(port), hostname);
    let loss: Loss | undefined;
    const cut = (...ends: Socket[]) => {
      this.losses++;
      for (const end of ends) end.destroy();
    };
    client.on("data", (sent) => {
      if (!sent.includes("commit\0") || this.loss === undefined) return void postgres.write(sent);
      loss = this.loss;
      this.loss = undefined;
      if (loss === "before COMMIT arrives") return cut(client, postgres);
      postgres.write(sent);
      // PostgreSQL is not told, or it would break off: it carries on with a caller that is gone.
      if (loss === "while COMMIT is carried out") cut(client);
    });
    postgres.on("data", (answer) => {
      if (loss === "after COMMIT is carried out" && answer.includes("COMMIT\0")) cut(client, postgres);
      else if (!client.destroyed) client.write(answer);
    });
    for (const socket of [client, postgres]) socket.on("error", () => {});
    postgres.on("close", () => client.destroy());
    client.on("close", () => {
      if (loss !== "while COMMIT is carried out") postgres.destroy();
    });
  }
}

describe("when the answer to COMMIT is lost", () => {
  const wire = new UnreliableWire();
  let wired: Pool;

  beforeAll(async () => {
    wired = createPool(await wire.listen(), { max: 2, name: "road on an unreliable wire" });
    // Commits that take their time: the constraint trigger runs within COMMIT.
    await pool.query(`
      create function counting.dawdle() returns trigger language plpgsql as
        $$ begin if new.id like 'slow%' then perform pg_sleep(0.5); end if; return null; end $$;
      create constraint trigger dawdle after insert on counting.added
        deferrable initially deferred for each row execute function counting.dawdle();`);
  });
  afterAll(async () => {
    await wired.end();
    wire.close();
  });

  it.each<[Loss, string, number]>([
    ["before COMMIT arrives", "fast", 1],
    ["while COMMIT is carried out", "slow", 0],
    ["after COMMIT is carried out", "fast", 0],
  ])("%s, the caller learns the truth and the effect is there once", async (loss, id, rollbacks) => {
    const rolledBack: unknown[] = [];
    const road = roadOf({ pool: wired, observer: { rollback: (error) => rolledBack.push(error) } });
    await road.submit({ id: "before", add: 1 });
    const losses = wire.losses;
    wire.loseNextCommit(loss);
    expect(await Promise.all([road.submit({ id, add: 1 }), road.submit({ id: "too", add: 1 })])).toEqual([
      2, 3,
    ]);
    expect(wire.losses).toBe(losses + 1);
    expect(rolledBack).toHaveLength(rollbacks);
    await road.submit({ id: "after", add: 1 });
    await expectCounted(["before", id, "too", "after"], 4);
  });
});
