import { expect, it } from "vitest";
import { retryLetter } from "../../src/platform/bus/group/dead-letters.ts";
import { groupStates, readCursors } from "../../src/platform/bus/group/state.ts";
import { groupStatements } from "../../src/platform/bus/group/statements.ts";
import { isHandled, lagOf } from "../../src/platform/bus/postgres/lag.ts";
import { rowsBehind } from "../../src/platform/bus/postgres/log-row.ts";
import { moveCursors } from "../../src/platform/bus/postgres/replay.ts";
import { readLog, readLogAt } from "../../src/platform/log/read.ts";
import type { Pool } from "../../src/platform/postgres/pool.ts";
import type { Reader, Statement } from "../../src/platform/postgres/statement.ts";
import { serviceNames } from "../../src/platform/settings.ts";
import { inEachState, spread, useLargeDatabase } from "./large-database.ts";
import { asked, askedOfPool, expectNoScan, largeTables } from "./plans.ts";

/** Through three partitions, and into a fourth. */
const batches = 700_000;
const keys = 20_000;
const topics = ["orders", "inventory"];

/** Of each key one event that is tried again and one that waits for it; every tenth is given up on. */
const lettersOf = (group: string) => `
  insert into ${group}.dead_letters (event_id, topic, key, event, status, error, attempts, next_try_at)
  select 'orders-' || n || '-0', 'orders', 'order-' || n % ${keys}, '{"at":"2026-01-01T00:00:00Z"}', status, 'any', 1,
         case when status = 'retrying' then now() + (n - ${keys / 2}) * interval '1 second' end
  from (select n, case when n > ${keys} then 'waiting' when n % 10 = 0 then 'dead' else 'retrying' end as status
        from generate_series(1, ${2 * keys}) n) as numbered`;

const database = useLargeDatabase([
  ...topics.flatMap((topic) => [
    `insert into ${topic}.log (position, at, events)
     select n, now() - (${batches} - n) * interval '1 second', '[]' from generate_series(1, ${batches}) n`,
    `select setval('${topic}.log_position', ${batches})`,
  ]),
  "insert into payments.cursors (topic, position) select unnest(array['orders', 'inventory']), 0",
  `insert into fulfillment.cursors (topic, position) values ('orders', ${batches - 10})`,
  lettersOf("payments"),
]);

const group = groupStatements("payments");

inEachState(database, (isAnalyzed) => {
  it.each<[string, Statement, unknown[]]>([
    ["locking the cursors", group.lock, [topics, [0, 0]]],
    ["waiting for the cursors", group.await, [topics, [0, 0]]],
    ["moving the cursors", group.move, [topics, [0, 0], [1, 1], [0, 0], [null, null]]],
    ["finding what is due", group.due, [100]],
    [
      "parking an event",
      group.park,
      [["orders-9-9"], ["orders"], ["new"], ["{}"], "waiting", "any", 0, null],
    ],
    ["putting a letter off", group.failedAgain, [1, 2, "any", 1_000]],
    ["settling letters", group.settle, [spread(100, keys)]],
  ])("%s reads no large table from end to end", async (_what, statement, values) => {
    await expectNoScan(
      database.pool,
      asked(database.pool, (reader) => reader.read(statement, values)),
    );
  });

  // Not without statistics: PostgreSQL takes the letters for few then, and reads all of them.
  if (isAnalyzed)
    it("letting the next of a key have its turn looks at letters of these keys", async () => {
      const freed = spread(100, keys).map((n) => `order-${n}`);
      await expectNoScan(
        database.pool,
        asked(database.pool, (reader) => reader.read(group.proceed, [freed])),
      );
    });

  it.each([0, batches / 2, batches - 10])(
    "a log is read on from position %i without its beginning",
    async (place) => {
      const read = (reader: Reader) => reader.read(rowsBehind("orders"), [place, batches, 500]);
      await expectNoScan(database.pool, asked(database.pool, read));
      await expectNoScan(
        database.pool,
        asked(database.pool, (reader) => readLog(reader, "orders", place, 20)),
      );
    },
  );

  it("batches of a log are found at their positions", async () => {
    const positions = spread(2_000, batches);
    await expectNoScan(
      database.pool,
      asked(database.pool, (reader) => readLogAt(reader, "orders", positions)),
    );
  });

  it.each<[string, (pool: Pool) => Promise<unknown>]>([
    ["where the groups stand", (pool) => groupStates(pool, serviceNames)],
    ["whether a position was handled", (pool) => isHandled(pool, ["fulfillment"], "orders", batches)],
    ["a letter, to try it again", (pool) => retryLetter(pool, serviceNames, "payments:10")],
    [
      "a replay from a position",
      (pool) => moveCursors(pool, "fulfillment", { position: batches - 10 }, () => true),
    ],
    [
      "a replay from a time",
      (pool) => moveCursors(pool, "fulfillment", { time: new Date(Date.now() - 60_000) }, () => true),
    ],
  ])("%s: no large table is read from end to end", async (_what, ask) => {
    await expectNoScan(database.pool, askedOfPool(database.pool, ask));
  });

  it("the lag of the consumers is told without reading a log from end to end", async () => {
    const states = askedOfPool(database.pool, async (pool) =>
      lagOf(pool, await readCursors(pool, serviceNames)),
    );
    await expectNoScan(database.pool, states, { small: ["payments.dead_letters"] });
  });
});

it("the tables are large", async () => {
  const partitions = [0, 200_000, 400_000].map((start) => `log_from_${start}`);
  expect(await largeTables(database.pool)).toEqual(
    expect.arrayContaining([
      ...topics.flatMap((topic) => partitions.map((partition) => `${topic}.${partition}`)),
      "payments.dead_letters",
    ]),
  );
});
