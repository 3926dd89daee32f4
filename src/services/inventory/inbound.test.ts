import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { InboundMessage } from "../../platform/bus/broker/broker.ts";
import type { Bus, DeadLetter } from "../../platform/bus/port.ts";
import { createPostgresBus } from "../../platform/bus/postgres/index.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { readerOf } from "../../platform/postgres/statement.ts";
import { logMigrations } from "../../platform/service.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { untraced } from "../../platform/telemetry/tracer.ts";
import { useTestDatabase } from "../../testing/database.ts";
import {
  adjust,
  commit,
  confirm,
  count,
  inStore,
  release,
  reserve,
  sync,
  testSettings,
} from "../../testing/inventory.ts";
import { runs } from "../../testing/inventory-story.ts";
import { seededRandom } from "../../testing/random.ts";
import type { InventoryCommand } from "./contract/index.ts";
import { type InventoryService, inventoryMigrations, inventoryService } from "./index.ts";
import { schema } from "./store/schema.ts";

const database = useTestDatabase();
const registry = createRegistry();
let pool: Pool;
let service: InventoryService;

beforeAll(async () => {
  await migrate(database.url, [logMigrations("catalog"), ...inventoryMigrations]);
  pool = createPool(database.url, { max: 8, name: "inbound" });
  service = another();
});
afterAll(async () => {
  await service.stop();
  await pool.end();
});
beforeEach(emptyTables);

async function emptyTables(): Promise<void> {
  await pool.query(
    `truncate inventory.log, inventory.skus, inventory.stock, inventory.stock_history, inventory.reservations,
       inventory.adjustments, inventory.dead_letters`,
  );
  await happen(sync("P1", "MUG", "PEN"));
}

/** Of another process. */
function another(): InventoryService {
  return inventoryService({
    pool,
    reads: pool,
    settings: testSettings,
    maxWaiting: 1_000,
    registry: service === undefined ? registry : createRegistry(),
    logger: createLogger("silent"),
    tracer: untraced,
  });
}

async function happen(...commands: InventoryCommand[]): Promise<void> {
  for (const command of commands)
    expect(await service.inventory.submit(command)).toMatchObject({ accepted: true });
}

const store_id = "main";

function message(
  type: string,
  id: string,
  quantities: Readonly<Record<string, number>>,
  rest: object = {},
): InboundMessage {
  const lines = Object.entries(quantities).map(([sku, quantity]) => ({ store_id, sku, quantity }));
  return {
    attributes: { source: "/tills/7", id, type, specversion: "1.0" },
    body: JSON.stringify({ lines, ...rest }),
    place: "inventory.inbound/0@7",
  };
}

const stockIn = (id: string, quantities: Readonly<Record<string, number>>, rest?: object) =>
  message("StockIn", id, quantities, rest);
const stockOut = (id: string, quantities: Readonly<Record<string, number>>, rest?: object) =>
  message("StockOut", id, quantities, rest);

const receive = (...messages: InboundMessage[]) => service.receives.receive(messages);

/** On hand, reserved, owed. */
async function stockOf(sku: string): Promise<(number | undefined)[]> {
  const record = await service.inventory.stock({ store_id, sku });
  return [record?.quantity_on_hand, record?.quantity_reserved, record?.quantity_owed];
}

async function logged(): Promise<{ type: string; data: object; cause?: string; traceparent?: string }[]> {
  const { rows } = await pool.query("select events from inventory.log order by position");
  return rows.flatMap(({ events }) => JSON.parse(events));
}

async function violations(): Promise<string[]> {
  const findings = await service.verify(readerOf(pool), () => {});
  return findings.flatMap((finding) => finding.violations);
}

interface LetterRow {
  readonly status: string;
  readonly error: string;
  readonly event: object | null;
}

async function letters(): Promise<LetterRow[]> {
  return (await pool.query("select status, error, event from inventory.dead_letters order by id")).rows;
}

describe("what warehouses and tills tell", () => {
  it("is carried out in the order in which it is told, and stands in the log with who, when and why", async () => {
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const sold = stockOut("2", { MUG: 3 }, { reason: "sold", occurred_at: "2030-01-01T10:00:00Z" });
    await receive(stockIn("1", { MUG: 10, PEN: 4 }), {
      ...sold,
      attributes: { ...sold.attributes, traceparent },
    });
    expect([await stockOf("MUG"), await stockOf("PEN")]).toEqual([
      [7, 0, 0],
      [4, 0, 0],
    ]);
    expect((await logged()).slice(-1)).toMatchObject([
      {
        type: "InventoryAdjusted",
        cause: "2",
        traceparent: expect.stringContaining("4bf92f3577b34da6a3ce929d0e0e4736"),
        data: {
          adjustment_id: "inbound/%2Ftills%2F7/2",
          reason: "sold",
          actor: "/tills/7",
          occurred_at: "2030-01-01T10:00:00.000Z",
          lines: [{ sku: "MUG", quantity: -3, quantity_on_hand: 7 }],
        },
      },
    ]);
    const { items } = await service.inventory.listMovements({ store_id, sku: "MUG" }, undefined, 10);
    expect(items.at(-1)).toMatchObject({ occurred_at: new Date("2030-01-01T10:00:00Z"), actor: "/tills/7" });
    expect(await violations()).toEqual([]);
  });

  it("travels together: hundreds of messages are a few transactions, and every one of them is durable", async () => {
    const messages = Array.from({ length: 1_200 }, (_, i) => stockIn(`in-${i}`, { MUG: 1 }));
    await receive(...messages);
    expect(await stockOf("MUG")).toEqual([1_200, 0, 0]);
    const { rows } = await pool.query("select count(*) as batches from inventory.log");
    expect(rows[0].batches).toBeLessThan(20);
  });

  it("changes nothing when it comes again, together or later, to this process or another one", async () => {
    const messages = [stockIn("1", { MUG: 10 }), stockOut("2", { MUG: 13 }), stockOut("2", { MUG: 13 })];
    await receive(...messages);
    const before = await logged();
    await receive(...messages);
    const other = another();
    await Promise.all([other.receives.receive(messages), receive(...messages.reverse())]);
    await other.stop();
    expect(await logged()).toEqual(before);
    expect(await stockOf("MUG")).toEqual([0, 0, 3]);
    expect(await letters()).toEqual([]);
  });

  it("is given again when it could not be made durable", async () => {
    const stopping = another();
    await stopping.stop();
    await expect(
      stopping.receives.receive([stockIn("1", { MUG: 1 }), stockIn("", {})]),
    ).rejects.toMatchObject({
      retryable: true,
    });
    expect([await stockOf("MUG"), await letters()]).toEqual([[0, 0, 0], []]);
  });

  it("takes from holds what is promised, with everything else that they held, though nobody looked for them at first", async () => {
    await receive(stockIn("1", { MUG: 5, PEN: 5 }));
    await happen(reserve("old", { MUG: 2 }), reserve("new", { MUG: 2, PEN: 3 }, { order_id: "o1" }));
    // What is confirmed in the same batch has its records locked for its own sake no more than any other hold.
    await Promise.all([service.inventory.submit(confirm("old")), receive(stockOut("2", { MUG: 2 }))]);
    expect([await stockOf("MUG"), await stockOf("PEN")]).toEqual([
      [3, 2, 0],
      [5, 0, 0],
    ]);
    expect(await service.inventory.reservation("new")).toMatchObject({
      status: "released",
      reason: "shortfall",
    });
    expect((await logged()).filter(({ type }) => type === "StockShortfall")).toMatchObject([
      { data: { sku: "MUG", reservations: [{ reservation_id: "new", order_id: "o1", quantity: 2 }] } },
    ]);
    expect(await violations()).toEqual([]);
  });

  it("is run again no more than once, of however many records holders are driven out", async () => {
    const skus = Array.from({ length: 20 }, (_, i) => `SKU-${i}`);
    await happen(sync("P1", ...skus));
    await receive(...skus.map((sku) => stockIn(`in-${sku}`, { [sku]: 5 })));
    for (const sku of skus) await happen(reserve(`hold-${sku}`, { [sku]: 4 }));
    const rollbacks = async () =>
      (await registry.getSingleMetric("inventory_rollback_attempts_total")!.get()).values[0]!.value;
    const before = await rollbacks();
    await receive(...skus.map((sku) => stockOut(`out-${sku}`, { [sku]: 2 })));
    expect(await rollbacks()).toBe(before + 1);
    for (const sku of skus) expect(await stockOf(sku)).toEqual([3, 0, 0]);
    expect(await violations()).toEqual([]);
  });

  it("is counted by what became of it", async () => {
    const outcomes = async () => {
      const { values } = await registry.getSingleMetric("inventory_inbound_messages_total")!.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]));
    };
    const before = await outcomes();
    await receive(stockIn("1", { MUG: 1 }), stockIn("2", { MUG: 1 }), stockIn("3", { GHOST: 1 }));
    expect(await outcomes()).toEqual({
      carried_out: (before.carried_out ?? 0) + 2,
      set_aside: (before.set_aside ?? 0) + 1,
    });
  });
});

// ---- any order -----------------------------------------------------------------------------------------------------

const goods = fc.uniqueArray(
  fc.record({
    id: fc.nat(99).map(String),
    isIn: fc.boolean(),
    quantities: fc.dictionary(fc.constantFrom("MUG", "PEN"), fc.integer({ min: 1, max: 9 }), { minKeys: 1 }),
    place: fc.nat(),
    again: fc.option(fc.nat()),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 14 },
);

it("goods come to the same, in whichever order and however often they are told", async () => {
  await fc.assert(
    fc
      .asyncProperty(goods, fc.integer({ min: 1, max: 6 }), async (all, atOnce) => {
        const told = all
          .flatMap(({ id, isIn, quantities, place, again }) => {
            const message = isIn ? stockIn(id, quantities) : stockOut(id, quantities);
            return [{ message, place }, ...(again === null ? [] : [{ message, place: again }])];
          })
          .sort((a, b) => a.place - b.place)
          .map(({ message }) => message);
        for (let i = 0; i < told.length; i += atOnce) await receive(...told.slice(i, i + atOnce));
        for (const sku of ["MUG", "PEN"]) {
          const sum = all.reduce(
            (total, { isIn, quantities: { [sku]: n = 0 } }) => total + (isIn ? n : -n),
            0,
          );
          expect(await stockOf(sku)).toEqual([Math.max(sum, 0), 0, Math.max(0 - sum, 0)]);
        }
        expect(await violations()).toEqual([]);
      })
      .beforeEach(emptyTables),
    runs(30),
  );
});

it("goods and holds at once: nothing is oversold, and what is there or owed is what came less what went", async () => {
  const random = seededRandom();
  const others = [another(), another()];
  const everybody = [service, ...others];
  await receive(stockIn("opening", { MUG: 150, PEN: 150 }));
  const told: InboundMessage[] = [];
  const work: Promise<unknown>[] = [];
  for (let i = 0; i < 400; i++) {
    const [process, twin] = [random.pick(everybody), random.pick(everybody)];
    const quantities = { [random.pick(["MUG", "PEN"])]: random.integer(1, 6) };
    if (random.integer(0, 2) === 0) {
      const goods = random.integer(0, 2) === 0 ? stockIn(`g${i}`, quantities) : stockOut(`g${i}`, quantities);
      told.push(goods);
      work.push(...[process, twin].map(({ receives }) => receives.receive([goods])));
    } else {
      work.push(process.inventory.submit(reserve(`r${i}`, { ...quantities, PEN: 1 })));
      const earlier = `r${random.integer(0, i)}`;
      work.push(twin.inventory.submit(random.pick([confirm, release, commit])(earlier)));
    }
    if (i % 40 === 0) await Promise.allSettled(work);
  }
  await Promise.all(work);
  await Promise.all(others.map((other) => other.stop()));

  const events = await logged();
  const cut = events.filter(({ type }) => type === "StockShortfall");
  expect(cut.length, "the test wants scarcity").toBeGreaterThan(0);
  for (const sku of ["MUG", "PEN"]) {
    const moved = (type: string) =>
      events
        .filter((event) => event.type === type)
        .flatMap(({ data }) => (data as { lines: { sku: string; quantity: number }[] }).lines)
        .filter((line) => line.sku === sku)
        .reduce((total, { quantity }) => total + quantity, 0);
    const outside = told.reduce((total, { attributes, body }) => {
      const line = JSON.parse(body).lines.find((each: { sku: string }) => each.sku === sku);
      return (
        total + (line === undefined ? 0 : attributes.type === "StockIn" ? line.quantity : -line.quantity)
      );
    }, 150);
    const [on_hand = 0, , owed = 0] = await stockOf(sku);
    expect(moved("InventoryAdjusted")).toBe(outside);
    expect(on_hand - owed).toBe(outside - moved("InventoryCommitted"));
  }
  expect(await letters()).toEqual([]);
  expect(await violations()).toEqual([]);
});

// ---- what is refused -----------------------------------------------------------------------------------------------

describe("what cannot be carried out is set aside with the reason, once, and the rest is carried out", () => {
  const changed = (attributes: Record<string, string>, body?: string) => {
    const { attributes: given, ...rest } = stockIn("odd", { MUG: 1 });
    return { ...rest, attributes: { ...given, ...attributes }, ...(body !== undefined && { body }) };
  };

  it.each<[string, InboundMessage, string]>([
    ["has no id", changed({ id: "" }), "The message has no id."],
    [
      "is of a type that nobody knows",
      changed({ type: "StockLost" }),
      'The type "StockLost" is not known here',
    ],
    ["is no JSON", changed({}, "\u0000{"), "not JSON"],
    ["is not as agreed", stockIn("odd", {}), "lines must not have fewer than 1 items"],
    ["overflows", stockIn("odd", { MUG: 2_147_483_647 }), "at most 2147483647 can be kept"],
  ])("when it %s", async (_, odd, reason) => {
    await receive(stockIn("1", { MUG: 10 }), odd, stockOut("2", { MUG: 3 }));
    await receive(odd);
    expect(await letters()).toEqual([
      {
        status: "dead",
        error: expect.stringContaining(reason),
        event: expect.objectContaining({
          topic: "inventory.inbound",
          subject: "inventory.inbound/0@7",
          data: { attributes: odd.attributes, body: odd.body },
        }),
      },
    ]);
    expect((await letters())[0]!.error, "without a stack").not.toContain("\n");
    expect(await stockOf("MUG")).toEqual([7, 0, 0]);
  });

  it("of all sorts at once, each by itself", async () => {
    const trouble = (id: string, body: string, rest: Partial<InboundMessage> = {}): InboundMessage => ({
      ...stockIn(id, {}),
      body,
      ...rest,
    });
    const odd = [
      trouble("deep", `{"lines":${"[".repeat(50_000)}${"]".repeat(50_000)}}`),
      trouble("NUL", "\0\0"),
      trouble("a NUL that JSON hides", JSON.stringify({ lines: [{ store_id, sku: "M\0G", quantity: 1 }] })),
      trouble("half a character", '{"reason":"\\ud800"}'),
      trouble("half a character, not in JSON", "\ud800"),
      trouble("not UTF-8", Buffer.from([0xff, 0xfe, 0x00]).toString()),
      trouble("long", "\u0001".repeat(2_000_000)),
      trouble("too long", "\u0001".repeat(11_000_000)),
      trouble("unreadable", "", { unreadable: "Nobody can read it: \0." }),
      trouble("__proto__", "[]", { attributes: { source: "\ufffd", id: "\0", type: "\ud800", time: "\0" } }),
    ];
    const good = odd.map((_, i) => stockIn(`good ${i}`, { MUG: 1 }));
    await receive(...odd.flatMap((message, i) => [good[i]!, message]));
    expect(await stockOf("MUG")).toEqual([odd.length, 0, 0]);
    const found = await letters();
    expect(found.map(({ status }) => status)).toEqual(odd.map(() => "dead"));
    expect(found.map(({ error }) => error)).toContain("Nobody can read it: \ufffd.");
  });

  it("when its name was used for something else, of which nothing is lost", async () => {
    await receive(stockIn("1", { MUG: 10 }));
    await receive(stockIn("1", { MUG: 11 }), stockOut("1", { MUG: 10 }), stockIn("1", { MUG: 11 }));
    expect(await letters()).toMatchObject([
      { status: "dead", error: expect.stringContaining("named another adjustment") },
      { status: "dead", error: expect.stringContaining("named another adjustment") },
    ]);
    expect(await stockOf("MUG")).toEqual([10, 0, 0]);
  });

  it("when a defect of ours keeps it from being written", async () => {
    await pool.query("alter table inventory.stock add constraint unlucky check (quantity_on_hand <> 13)");
    try {
      await receive(stockIn("1", { PEN: 13 }), stockIn("2", { MUG: 12 }));
      expect(await letters()).toMatchObject([
        { status: "dead", event: { data: { attributes: { id: "1" } } } },
      ]);
      expect([await stockOf("PEN"), await stockOf("MUG")]).toEqual([
        [0, 0, 0],
        [12, 0, 0],
      ]);
    } finally {
      await pool.query("alter table inventory.stock drop constraint unlucky");
    }
  });
});

describe("what was set aside is tried again", () => {
  let bus: Bus;

  /** So many times, and then it is given up on. */
  function tryAgain(times: number): void {
    bus = createPostgresBus({
      pool,
      url: database.url,
      schemas: [schema, "catalog"],
      logger: createLogger("silent"),
      tracer: untraced,
      registry: createRegistry(),
      retryDelaysMs: Array(times).fill(50),
      pollMs: 50,
    });
    bus.subscribe({ ...service.subscription, topics: { catalog: service.subscription.topics.catalog! } });
    bus.start();
    onTestFinished(() => bus.stop());
  }

  async function set(...aside: Partial<DeadLetter>[]): Promise<DeadLetter[]> {
    const find = async () => (await bus.deadLetters({ group: schema }, undefined, 10)).items;
    await expect.poll(find).toMatchObject(aside);
    return find();
  }

  const isDone = () => expect.poll(letters).toEqual([]);

  it("by itself, while the catalogue may yet tell of the SKU", async () => {
    tryAgain(10_000);
    const ghosts = stockOut("1", { GHOST: 2 });
    await receive(ghosts);
    expect(await letters()).toMatchObject([
      { status: "retrying", error: "The catalogue does not offer GHOST." },
    ]);
    await happen(sync("P2", "GHOST"));
    await isDone();
    expect(await stockOf("GHOST")).toEqual([0, 0, 2]);
    await receive(ghosts);
    expect(await stockOf("GHOST")).toEqual([0, 0, 2]);
    expect(await violations()).toEqual([]);
  });

  it("when it is told to, after it was given up on", async () => {
    tryAgain(1);
    await receive(stockIn("1", { GHOST: 2 }));
    const [letter] = await set({ status: "dead", attempts: 2, command: null });
    const { id, event } = letter!;
    expect(event).toMatchObject({ type: "StockIn", data: { attributes: { id: "1", source: "/tills/7" } } });
    await happen(sync("P2", "GHOST"));
    expect(await bus.retry(id)).toBe("retrying");
    await isDone();
    expect(await stockOf("GHOST")).toEqual([2, 0, 0]);
  });

  it("and stays with the reason when it cannot be carried out still, without harm to others", async () => {
    tryAgain(1);
    await receive(stockIn("1", { MUG: 1 }, { oops: true }), stockIn("2", { GHOST: 1 }));
    const both = await set({ status: "dead" }, { status: "dead" });
    await happen(sync("P2", "GHOST"));
    for (const { id } of both) expect(await bus.retry(id)).toBe("retrying");
    const error = expect.stringContaining("must not have additional properties");
    const [letter] = await set({ status: "dead", attempts: 2, error });
    expect([await stockOf("MUG"), await stockOf("GHOST")]).toEqual([
      [0, 0, 0],
      [1, 0, 0],
    ]);
    expect(await bus.discard(letter!.id)).toBe(true);
    await isDone();
  });
});

describe("verify", () => {
  beforeEach(() => receive(stockIn("1", { MUG: 10, PEN: 4 }), stockOut("2", { MUG: 13 })));

  it("is content with what is owed", async () => {
    await happen(count("PEN", 3), adjust("a1", inStore("main", { MUG: 1 })));
    await receive(stockOut("3", { PEN: 5 }), stockIn("4", { PEN: 2 }));
    await happen(sync("P1", "PEN"), sync("P1", "PEN", "MUG"));
    expect([await stockOf("MUG"), await stockOf("PEN")]).toEqual([
      [0, 0, 2],
      [0, 0, 0],
    ]);
    expect(await violations()).toEqual([]);
  });

  it.each([
    [
      "that is not what the log says",
      "update inventory.stock set quantity_owed = 2 where sku = 'MUG'",
      "MUG",
    ],
    [
      "that the log has never heard of",
      "update inventory.stock_history set quantity_owed = 1 where sku = 'PEN'",
      "PEN",
    ],
  ])("finds a debt %s", async (_, tamper, sku) => {
    await pool.query(tamper);
    expect((await violations()).join()).toContain(sku);
  });

  it("finds that a constraint is missing, without which there may be stock that is owed", async () => {
    await pool.query("alter table inventory.stock drop constraint owed_when_nothing_is_left");
    await pool.query("update inventory.stock set quantity_owed = 1 where sku = 'PEN'");
    const found = (await violations()).join();
    expect(found).toContain("the constraint owed_when_nothing_is_left is missing");
    expect(found).toMatch(/PEN in main: .*"quantity_owed":1/);
    await pool.query(`update inventory.stock set quantity_owed = 0 where sku = 'PEN';
      alter table inventory.stock add constraint owed_when_nothing_is_left
        check (quantity_owed >= 0 and (quantity_owed = 0 or quantity_on_hand = 0))`);
  });

  it("need not find what the database refuses", async () => {
    for (const tamper of ["quantity_owed = -1", "quantity_on_hand = 1, quantity_available = 1"]) {
      await expect(
        pool.query(`update inventory.stock set ${tamper} where sku = 'MUG'`),
      ).rejects.toMatchObject({
        constraint: "owed_when_nothing_is_left",
      });
    }
  });
});
