import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Transaction, transact } from "../platform/batch/transaction.ts";
import { relayMigrations } from "../platform/bus/broker/index.ts";
import type { Bus, BusAbilities, BusEvent, DeadLetter, Subscription } from "../platform/bus/port.ts";
import { type EventRecord, logWriter } from "../platform/log/append.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { logMigrations } from "../platform/service.ts";
import { useTestDatabase } from "./database.ts";

/** What an adapter is made from here. Polling must not help it: an hour may lie between two looks. */
export interface BusSetting {
  readonly pool: Pool;
  readonly url: string;
  /** The services whose logs are the topics, and whose schemas keep what the groups need. */
  readonly schemas: readonly string[];
  readonly retryDelaysMs: readonly number[];
  /** No other test has it: what a broker keeps beyond the test is kept under this name. */
  readonly run: string;
}

export type OpenBus = (setting: BusSetting) => Bus;

const schemas = ["teller", "crier", "listener", "scribe"];
const patienceMs = 20_000;

/** A process with a bus in it, as far as a test can have several of them in one. */
export interface BusProcess {
  readonly bus: Bus;
  readonly pool: Pool;
  end(): Promise<void>;
}

export function told(subject: string, data: object = {}, type = "Told"): EventRecord {
  return { type, subject, data };
}

/** Two topics, `teller` and `crier`, two groups, `listener` and `scribe`, and what their handlers write down. */
export class BusBench {
  pool!: Pool;
  private run = "";
  private readonly database = useTestDatabase();
  private readonly processes: BusProcess[] = [];
  private readonly openBus: OpenBus;

  private readonly orders: BusAbilities["orders"];

  constructor(openBus: OpenBus, orders: BusAbilities["orders"] = "topic") {
    this.openBus = openBus;
    this.orders = orders;
    beforeAll(() => this.open());
    beforeEach(() => this.clear());
    afterEach(() => this.endProcesses());
    afterAll(() => this.pool.end());
  }

  get url(): string {
    return this.database.url;
  }

  private async open(): Promise<void> {
    await migrate(this.url, [...schemas.map(logMigrations), relayMigrations]);
    this.pool = createPool(this.url, { max: 12, name: "bench" });
    await this.pool.query(
      "create table heard (id bigint generated always as identity, by text, event_id text, subject text, batch int)",
    );
  }

  private async clear(): Promise<void> {
    const tables = schemas.flatMap((schema) =>
      ["log", "cursors", "dead_letters"].map((t) => `${schema}.${t}`),
    );
    await this.pool.query(`truncate heard, relay.cursors, relay.dead_letters, ${tables.join()}`);
    this.run = randomUUID();
  }

  process(subscriptions: readonly Subscription[], retryDelaysMs: readonly number[] = []): BusProcess {
    const pool = createPool(this.url, { max: 6, name: "bus process" });
    const bus = this.openBus({ pool, url: this.url, schemas, retryDelaysMs, run: this.run });
    for (const subscription of subscriptions) bus.subscribe(subscription);
    bus.start();
    let ended: Promise<void> | undefined;
    const end = () => {
      ended ??= bus.stop().then(() => pool.end());
      return ended;
    };
    const process = { bus, pool, end };
    this.processes.push(process);
    return process;
  }

  get writer(): Pool {
    return this.processes[0]?.pool ?? this.pool;
  }

  private async endProcesses(): Promise<void> {
    for (const process of this.processes.splice(0)) await process.end();
  }

  /** Writes one batch in the first process that there is, and answers where it stands. */
  write(topic: string, events: readonly EventRecord[], pool = this.writer): Promise<number> {
    const log = logWriter(topic);
    return transact(pool, async (tx) => {
      const mark = await log.mark(tx);
      log.append(tx, mark, events);
      return mark.position;
    });
  }

  async heard(group = "listener"): Promise<string[]> {
    const { rows } = await this.pool.query("select subject from heard where by = $1 order by id", [group]);
    return rows.map(({ subject }) => subject);
  }

  async untilHeard(subjects: readonly string[], group = "listener"): Promise<void> {
    const look = async () => this.asOrdered(await this.heard(group));
    await expect.poll(look, { timeout: patienceMs, interval: 10 }).toEqual(this.asOrdered(subjects));
  }

  /** Where only the events of a key are in order, those of different keys are compared as a set. */
  asOrdered(subjects: readonly string[]): readonly string[] {
    return this.orders === "topic" ? subjects : [...subjects].sort();
  }

  async untilLetters(bus: Bus, expected: readonly Partial<DeadLetter>[]): Promise<DeadLetter[]> {
    const look = async () => (await bus.deadLetters({}, undefined, 1_000)).items;
    await expect.poll(look, { timeout: patienceMs, interval: 10 }).toMatchObject(expected);
    return look();
  }
}

export function writeDown(tx: Transaction, by: string, events: readonly BusEvent[]): void {
  tx.write(
    {
      name: "write_down",
      text: `insert into heard (by, event_id, subject, batch)
             select $1, * from unnest($2::text[], $3::text[], $4::int[])`,
    },
    [by, events.map(({ id }) => id), events.map(({ subject }) => subject), events.map(() => events.length)],
  );
}

export function listener(changes: Partial<Subscription> = {}): Subscription {
  const group = changes.group ?? "listener";
  return {
    group,
    topics: { teller: ["Told", "Whispered"], crier: ["Told"] },
    afterFailure: "wait",
    async handle(tx, events) {
      writeDown(tx, group, events);
      return undefined;
    },
    ...changes,
  };
}

/** Writes down everything but the events that `isPoison` names: then it throws, having written. */
export function stumbling(isPoison: (event: BusEvent) => boolean, changes: Partial<Subscription> = {}) {
  return listener({
    async handle(tx, events) {
      writeDown(tx, changes.group ?? "listener", events);
      const poison = events.find(isPoison);
      if (poison !== undefined) throw new Error(`stumbled over ${poison.subject}`);
      return undefined;
    },
    ...changes,
  });
}

function numbers(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** What every bus promises, whatever carries the events. */
export function describeBus(name: string, openBus: OpenBus, abilities: BusAbilities): void {
  describe(`the ${name} bus`, () => {
    const bench = new BusBench(openBus, abilities.orders);

    it("says what it can do", () => {
      const { bus } = bench.process([]);
      expect([bus.abilities, bus.broker() !== undefined]).toEqual([abilities, abilities.leavesTheDatabase]);
    });

    describe("delivers", () => {
      it("what was written before it started and what is written from then on, with all that belongs to it", async () => {
        const events: BusEvent[] = [];
        const first = await bench.write("teller", [{ ...told("a", { n: 1 }), traceparent: "00-a-b-01" }]);
        bench.process([
          listener({
            async handle(tx, batch) {
              writeDown(tx, "listener", batch);
              events.push(...batch);
              return undefined;
            },
          }),
        ]);
        await bench.untilHeard(["a"]);
        const second = await bench.write("teller", [{ ...told("b", { order_id: "o1" }), cause: "x-1-0" }]);
        await bench.untilHeard(["a", "b"]);
        expect(events).toEqual([
          {
            id: `teller-${first}-0`,
            topic: "teller",
            type: "Told",
            subject: "a",
            key: "a",
            at: expect.any(Date),
            data: { n: 1 },
            traceparent: "00-a-b-01",
          },
          {
            id: `teller-${second}-0`,
            topic: "teller",
            type: "Told",
            subject: "b",
            key: "o1",
            at: expect.any(Date),
            data: { order_id: "o1" },
            cause: "x-1-0",
          },
        ]);
      });

      it("to a group only the types that it has subscribed", async () => {
        const { bus } = bench.process([listener()]);
        const mixed = [
          told("a"),
          told("b", {}, "Shouted"),
          told("c", {}, "Whispered"),
          told("d", {}, "Shouted"),
        ];
        await bench.write("teller", mixed);
        const last = await bench.write("crier", [told("e", {}, "Whispered")]);
        expect(await bus.reached("crier", last, patienceMs)).toBe(true);
        await bench.untilHeard(["a", "c"]);
      });

      it("only what concerns the group, and beyond what does not the rest of it", async () => {
        const concerns = ({ data }: BusEvent) => "order_id" in data;
        const first = bench.process([listener({ concerns })]);
        for (const n of [0, 1, 2, 3]) {
          await bench.write("teller", [
            told(`foreign-${n}`),
            told(`ours-${n}`, { order_id: "o" }),
            told("more"),
          ]);
          await bench.write("teller", [told("nobody's")]);
        }
        const ours = ["ours-0", "ours-1", "ours-2", "ours-3"];
        await bench.untilHeard(ours);
        const last = await bench.write("teller", [told("nobody's"), told("nobody's")]);
        expect(await first.bus.reached("teller", last, patienceMs)).toBe(true);
        await first.end();
        const second = bench.process([listener({ concerns })]);
        await bench.write("teller", [told("ours-4", { order_id: "o" })], second.pool);
        await bench.untilHeard([...ours, "ours-4"]);
      });

      it("to each group everything, whatever the others do", async () => {
        bench.process([listener(), listener({ group: "scribe", topics: { teller: ["Told"] } })]);
        await bench.write("teller", [told("a"), told("b")]);
        await bench.untilHeard(["a", "b"]);
        await bench.untilHeard(["a", "b"], "scribe");
      });

      it("in the order of each topic, in batches, beginning in the middle of what was written at once", async () => {
        const subjects = numbers(2_500);
        await bench.write(
          "teller",
          subjects.map((subject) => told(subject)),
        );
        bench.process([listener()]);
        await bench.untilHeard(subjects);
        const { rows } = await bench.pool.query(
          "select max(batch) as largest, count(distinct batch) from heard",
        );
        expect(rows[0].largest).toBeGreaterThan(100);
        expect(rows[0].largest).toBeLessThan(2_500);
      });

      it("in the order of each key, from both topics, while many keys come at once", async () => {
        const keys = numbers(40, "key-");
        const heard = new Map<string, string[]>();
        bench.process([
          listener({
            async handle(tx, events) {
              writeDown(tx, "listener", events);
              for (const { topic, key, subject } of events) {
                const name = `${topic} ${key}`;
                heard.set(name, [...(heard.get(name) ?? []), subject]);
              }
              return undefined;
            },
          }),
        ]);
        const rounds = numbers(20);
        for (const round of rounds) {
          const events = keys.map((order_id) => told(round, { order_id }));
          await Promise.all([bench.write("teller", events), bench.write("crier", events)]);
        }
        const all = 2 * keys.length * rounds.length;
        await expect.poll(() => bench.heard(), { timeout: patienceMs }).toHaveLength(all);
        expect([...heard.values()]).toEqual(Array.from({ length: 2 * keys.length }, () => rounds));
      });

      it("a quiet topic although another one is far ahead", async () => {
        await bench.write(
          "teller",
          numbers(5_000).map((subject) => told(subject)),
        );
        await bench.write("crier", [told("quiet")]);
        const first = gate();
        bench.process([
          listener({
            async handle(tx, events) {
              writeDown(
                tx,
                "listener",
                events.filter(({ topic }) => topic === "crier"),
              );
              first.open();
              return undefined;
            },
          }),
        ]);
        await first.opened;
        await bench.untilHeard(["quiet"]);
      });

      it("what was committed late, in its place", async () => {
        const { pool } = bench.process([listener()]);
        const log = logWriter("teller");
        await transact(pool, async (tx) => {
          const mark = await log.mark(tx);
          await bench.write("teller", [told("late")]);
          // Once this one is heard, the bus has looked at the other topic as well.
          await bench.write("crier", [told("beside")]);
          await bench.untilHeard(["beside"]);
          log.append(tx, mark, [told("early")]);
        });
        await bench.untilHeard(["beside", "early", "late"]);
      });

      it("what stands behind a transaction that came to nothing", async () => {
        const { pool } = bench.process([listener()]);
        const failed = transact(pool, async (tx) => {
          await logWriter("teller").mark(tx);
          await bench.write("teller", [told("behind")]);
          // Once this one is heard, the bus has looked at the other topic as well.
          await bench.write("crier", [told("beside")]);
          await bench.untilHeard(["beside"]);
          throw new Error("changed its mind");
        });
        await expect(failed).rejects.toThrow("changed its mind");
        await bench.untilHeard(["beside", "behind"]);
      });

      it("at once, whether it was written in this process or in another one", async () => {
        const [here, there] = [bench.process([listener()]), bench.process([])];
        await bench.write("teller", [told("warm")], here.pool);
        await bench.untilHeard(["warm"]);
        await bench.write("teller", [told("here")], here.pool);
        await bench.untilHeard(["warm", "here"]);
        await bench.write("teller", [told("there")], there.pool);
        await bench.untilHeard(["warm", "here", "there"]);
      });
    });

    describe("handles once", () => {
      it("what two processes compete for", async () => {
        const subjects = numbers(300);
        const [one, other] = [bench.process([listener()]), bench.process([listener()])];
        const writes = subjects.map(
          (subject, i) => () => bench.write("teller", [told(subject)], [one, other][i % 2]!.pool),
        );
        for (const write of writes) await write();
        await bench.untilHeard(subjects);
        for (const { bus } of [one, other]) expect(await bus.reached("teller", 0, patienceMs)).toBe(true);
      });

      it("what one process had begun when its connections were cut, and another one takes over", async () => {
        const [begun, never] = [gate(), gate()];
        const dying = bench.process([
          listener({
            async handle(tx, events) {
              writeDown(tx, "listener", events);
              begun.open();
              await never.opened;
              return undefined;
            },
          }),
        ]);
        await bench.write("teller", [told("a"), told("b")]);
        await begun.opened;
        const heir = bench.process([listener()]);
        await bench.pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where application_name = 'bus process' and state = 'idle in transaction'`,
        );
        await bench.write("teller", [told("c")], heir.pool);
        // Who was given partitions of its own keeps them for as long as it lives.
        if (abilities.orders === "key") never.open();
        await bench.untilHeard(["a", "b", "c"]);
        never.open();
        await dying.end();
        expect(bench.asOrdered(await bench.heard())).toEqual(["a", "b", "c"]);
      });

      it("and begins where the one before it has ended", async () => {
        const first = bench.process([listener()]);
        expect(await first.bus.reached("teller", await bench.write("teller", [told("a")]), patienceMs)).toBe(
          true,
        );
        await first.end();
        const last = await bench.write("teller", [told("b")], bench.pool);
        expect(await bench.heard()).toEqual(["a"]);
        const second = bench.process([listener()]);
        expect(await second.bus.reached("teller", last, patienceMs)).toBe(true);
        expect(await bench.heard()).toEqual(["a", "b"]);
      });

      it("and finishes what is under way when it is told to stop", async () => {
        const [underWay, permission] = [gate(), gate()];
        const { end } = bench.process([
          listener({
            async handle(tx, events) {
              underWay.open();
              await permission.opened;
              writeDown(tx, "listener", events);
              return undefined;
            },
          }),
        ]);
        await bench.write("teller", [told("a")]);
        await underWay.opened;
        const ended = end();
        permission.open();
        await ended;
        expect(await bench.heard()).toEqual(["a"]);
      });

      it("and tells of it once it is durable", async () => {
        const durable: string[][] = [];
        const heard = gate();
        const { bus } = bench.process([
          listener({
            async handle(tx, events) {
              writeDown(tx, "listener", events);
              return () =>
                void bench.heard().then((subjects) => {
                  durable.push(subjects);
                  heard.open();
                });
            },
          }),
        ]);
        await bus.reached("teller", await bench.write("teller", [told("a")]), patienceMs);
        await heard.opened;
        expect(durable).toEqual([["a"]]);
      });
    });

    describe("when a handler fails", () => {
      const isPoison = ({ data }: BusEvent) => "poison" in data;
      const poison = (subject: string, data: object = {}) => told(subject, { ...data, poison: true });

      it("sets the one event aside that is to blame, and handles the 499 others", async () => {
        const subjects = numbers(500);
        const events = subjects.map((subject, i) => (i === 321 ? poison(subject) : told(subject)));
        await bench.write("teller", events);
        const { bus } = bench.process([stumbling(isPoison)]);
        await bench.untilHeard(subjects.filter((subject) => subject !== "321"));
        const [letter] = await bench.untilLetters(bus, [{ group: "listener", status: "dead", attempts: 1 }]);
        expect(letter).toMatchObject({
          id: expect.stringMatching(/^listener:\d+$/),
          event: { subject: "321", key: "321", topic: "teller", at: expect.any(Date) },
          command: null,
          error: expect.stringContaining("stumbled over 321"),
          next_try_at: null,
        });
      });

      it("finds every one of several, first and last ones too", async () => {
        const isBad = (i: number) => i === 0 || i === 7 || i === 8 || i === 63 || i === 119;
        const subjects = numbers(120);
        const { bus } = bench.process([stumbling(isPoison)]);
        await bench.write(
          "teller",
          subjects.map((s, i) => (isBad(i) ? poison(s) : told(s))),
        );
        await bench.untilHeard(subjects.filter((_, i) => !isBad(i)));
        const letters = await bench.untilLetters(
          bus,
          subjects.filter((_, i) => isBad(i)).map(() => ({ status: "dead" })),
        );
        expect(bench.asOrdered(letters.map(({ event }) => event!.subject))).toEqual(
          bench.asOrdered(subjects.filter((_, i) => isBad(i))),
        );
      });

      it("blames nobody for what passes", async () => {
        let failures = 0;
        const { bus } = bench.process([
          listener({
            async handle(tx, events) {
              writeDown(tx, "listener", events);
              if (++failures < 6) throw Object.assign(new Error("deadlock"), { code: "40P01" });
              return undefined;
            },
          }),
        ]);
        await bench.write("teller", [told("a"), told("b")]);
        await bench.untilHeard(["a", "b"]);
        await bench.untilLetters(bus, []);
      });

      it("gives a batch that fails once another chance", async () => {
        let failures = 0;
        const { bus } = bench.process([stumbling(() => failures++ === 0)]);
        await bench.write("teller", [told("a"), told("b")]);
        await bench.untilHeard(["a", "b"]);
        await bench.untilLetters(bus, []);
      });

      it("tries again later what was set aside, until it succeeds", async () => {
        let isMended = false;
        const { bus } = bench.process(
          [stumbling((event) => !isMended && isPoison(event))],
          [1, 20, 40, 3_600_000],
        );
        await bench.write("teller", [poison("a"), told("b")]);
        await bench.untilHeard(["b"]);
        const [letter] = await bench.untilLetters(bus, [{ status: "retrying", attempts: 4 }]);
        expect(letter!.next_try_at!.getTime()).toBeGreaterThan(Date.now());
        isMended = true;
        expect(await bus.retry(letter!.id)).toBe("retrying");
        await bench.untilHeard(["b", "a"]);
        await bench.untilLetters(bus, []);
      });

      it("gives up after the last try, and tries once more when it is asked to", async () => {
        let isMended = false;
        const { bus } = bench.process([stumbling((event) => !isMended && isPoison(event))], [1, 1]);
        await bench.write("teller", [poison("a")]);
        const [dead] = await bench.untilLetters(bus, [{ status: "dead", attempts: 3, next_try_at: null }]);
        isMended = true;
        expect(await bus.retry(dead!.id)).toBe("retrying");
        await bench.untilHeard(["a"]);
        expect(await bus.retry(dead!.id)).toBe("not_found");
      });

      it("finds those that still fail among many that are due at once", async () => {
        let isMended = false;
        const { bus } = bench.process(
          [stumbling((event) => isPoison(event) && (!isMended || event.subject === "3"))],
          [],
        );
        await bench.write(
          "teller",
          numbers(6).map((subject) => poison(subject)),
        );
        const letters = await bench.untilLetters(
          bus,
          numbers(6).map(() => ({ status: "dead" })),
        );
        isMended = true;
        for (const { id } of letters) await bus.retry(id);
        await bench.untilLetters(bus, [{ status: "dead", event: expect.objectContaining({ subject: "3" }) }]);
        expect((await bench.heard()).sort()).toEqual(["0", "1", "2", "4", "5"]);
      });

      const story = () => [
        poison("1", { order_id: "o" }),
        told("2", { order_id: "o" }),
        told("other"),
        told("3", { order_id: "o" }),
      ];

      it("lets later events of the key wait, in order, and all others go on", async () => {
        let isMended = false;
        const { bus } = bench.process([stumbling((event) => !isMended && isPoison(event))], []);
        await bench.write("teller", story());
        await bench.untilHeard(["other"]);
        await bench.write("crier", [told("4", { order_id: "o" })]);
        const letters = await bench.untilLetters(bus, [
          { status: "dead" },
          { status: "waiting", attempts: 0 },
          { status: "waiting" },
          { status: "waiting" },
        ]);
        expect(await bus.retry(letters[1]!.id)).toBe("is_waiting");
        isMended = true;
        await bus.retry(letters[0]!.id);
        await bench.untilHeard(["other", "1", "2", "3", "4"]);
        await bench.write("teller", [told("5", { order_id: "o" })]);
        await bench.untilHeard(["other", "1", "2", "3", "4", "5"]);
      });

      it("lets what waits go on when the event before it is discarded", async () => {
        const { bus } = bench.process([stumbling(isPoison)], []);
        await bench.write("teller", story());
        const letters = await bench.untilLetters(bus, [
          { status: "dead" },
          { status: "waiting" },
          { status: "waiting" },
        ]);
        expect(await bus.discard(letters[0]!.id)).toBe(true);
        await bench.untilHeard(["other", "2", "3"]);
        expect(await bus.discard(letters[0]!.id)).toBe(false);
        await bench.untilLetters(bus, []);
      });

      it("goes on with the key without it, when that was asked for", async () => {
        const { bus } = bench.process([stumbling(isPoison, { afterFailure: "follow" })], []);
        await bench.write("teller", story());
        await bench.untilHeard(["2", "other", "3"]);
        await bench.untilLetters(bus, [{ status: "dead", event: expect.objectContaining({ subject: "1" }) }]);
      });

      it("takes orders from a process that does not run the group", async () => {
        let isMended = false;
        const runs = bench.process([stumbling((event) => !isMended && isPoison(event))], []);
        const { bus } = bench.process([]);
        await bench.write("teller", [poison("a"), told("b")], runs.pool);
        const [letter] = await bench.untilLetters(bus, [{ status: "dead" }]);
        isMended = true;
        expect(await bus.retry(letter!.id)).toBe("retrying");
        await bench.untilHeard(["b", "a"]);
      });
    });

    describe("replays", () => {
      async function heardThrice() {
        const running = bench.process([listener()]);
        const positions: number[] = [];
        for (const subject of ["a", "b", "c"]) {
          positions.push(await bench.write("teller", [told(subject)]));
          await sleep(5); // so that no two are of the same time
        }
        await bench.write("crier", [told("x")]);
        const heard = async () => (await bench.heard()).sort();
        await expect.poll(heard, { timeout: patienceMs }).toEqual(["a", "b", "c", "x"]);
        await bench.pool.query("truncate heard");
        return { ...running, positions };
      }

      it("from a position", async () => {
        const { bus, positions } = await heardThrice();
        expect(await bus.replay("listener", { position: positions[1]!, topic: "teller" })).toBe(1);
        await bench.untilHeard(["b", "c"]);
      });

      it("from a time, each topic from its own place", async () => {
        const { bus, positions } = await heardThrice();
        const at = "select at from teller.log where position = $1";
        const { rows } = await bench.pool.query(at, [positions[2]]);
        expect(await bus.replay("listener", { time: rows[0].at })).toBe(2);
        // Of two topics either one may come first.
        const heard = async () => (await bench.heard()).sort();
        await expect.poll(heard, { timeout: patienceMs, interval: 10 }).toEqual(["c", "x"]);
      });

      it("nothing from a time to come, and forwards too", async () => {
        const { bus } = await heardThrice();
        expect(await bus.replay("listener", { time: new Date(Date.now() + 3_600_000) })).toBe(2);
        await bench.write("teller", [told("d")]);
        await bench.untilHeard(["d"]);
      });

      it("and in effect nothing happens twice", async () => {
        await bench.pool.query("create table once (subject text primary key, times int not null)");
        const idempotent = listener({
          async handle(tx, events) {
            const text = `insert into once select *, 1 from unnest($1::text[])
                          on conflict (subject) do update set times = once.times`;
            tx.write({ name: "once", text }, [events.map(({ subject }) => subject)]);
            writeDown(tx, "listener", events);
            return undefined;
          },
        });
        const { bus } = bench.process([idempotent]);
        await bench.write("teller", [told("a"), told("b")]);
        await bench.untilHeard(["a", "b"]);
        await bus.replay("listener", { position: 0 });
        await bench.untilHeard(["a", "b", "a", "b"]);
        const { rows } = await bench.pool.query("select subject, times from once order by subject");
        expect(rows).toEqual([
          { subject: "a", times: 1 },
          { subject: "b", times: 1 },
        ]);
      });

      it("at the word of a process that does not run the group; a group that nobody knows has no cursors", async () => {
        const { positions } = await heardThrice();
        const { bus } = bench.process([]);
        expect(await bus.replay("listener", { position: positions[2]!, topic: "teller" })).toBe(1);
        await bench.untilHeard(["c"]);
        expect(await bus.replay("nobody", { position: 0 })).toBe(0);
      });
    });

    describe("tells", () => {
      it("how far each group has come and how much is before it", async () => {
        const [underWay, permission] = [gate(), gate()];
        const last = await bench.write("teller", [told("a")]);
        const { bus } = bench.process([
          listener({
            async handle() {
              underWay.open();
              await permission.opened;
              return undefined;
            },
          }),
        ]);
        await underWay.opened;
        await bench.write("crier", [told("b")]);
        // The cursors' rows are made in the transaction that handles the first batch.
        permission.open();
        expect(await bus.reached("teller", last, patienceMs)).toBe(true);
        const state = { group: "listener", lag: 0, lag_seconds: 0, retrying: 0, dead: 0 };
        await expect
          .poll(async () => (await bus.consumers()).filter(({ group }) => group === "listener"), {
            timeout: patienceMs,
          })
          .toMatchObject([
            { ...state, topic: "crier" },
            { ...state, topic: "teller", position: last },
          ]);
      });

      it("what it does not reach in time", async () => {
        const { bus } = bench.process([stumbling(() => true)], []);
        const never = (await bench.write("teller", [told("a")])) + 1_000;
        expect(await bus.reached("teller", never, 50)).toBe(false);
        expect(await bus.reached("nobody", never, 50)).toBe(true);
      });

      it("what another process has handled", async () => {
        const [holds, waits] = [bench.process([listener()]), bench.process([listener()])];
        const last = await bench.write("teller", [told("a")], holds.pool);
        expect(await waits.bus.reached("teller", last, patienceMs)).toBe(true);
        expect(await holds.bus.reached("teller", last, patienceMs)).toBe(true);
        expect(await bench.heard()).toEqual(["a"]);
      });

      it("its dead letters in pages, of one group and of one status", async () => {
        const { bus } = bench.process(
          [stumbling(() => true), stumbling(() => true, { group: "scribe" })],
          [],
        );
        await bench.write(
          "teller",
          numbers(3).map((subject) => told(subject)),
        );
        await bench.untilLetters(
          bus,
          numbers(6).map(() => ({ status: "dead" })),
        );
        const first = await bus.deadLetters({}, undefined, 4);
        const second = await bus.deadLetters({}, first.next!, 4);
        expect([first.items.length, second.items.length, second.next]).toEqual([4, 2, null]);
        const told3 = [...first.items, ...second.items].map(
          ({ group, event }) => `${group} ${event?.subject}`,
        );
        expect(bench.asOrdered(told3)).toEqual(
          ["listener", "scribe"].flatMap((group) => numbers(3).map((subject) => `${group} ${subject}`)),
        );
        const ofOne = await bus.deadLetters({ group: "scribe", status: "dead" }, undefined, 10);
        expect(ofOne.items.map(({ group }) => group)).toEqual(["scribe", "scribe", "scribe"]);
        expect((await bus.deadLetters({ status: "waiting" }, undefined, 10)).items).toEqual([]);
        expect((await bus.deadLetters({ group: "nobody" }, undefined, 10)).items).toEqual([]);
      });

      it("a command that was set aside, which it does not try again but can discard", async () => {
        const { bus } = bench.process([listener()]);
        await bench.pool.query(
          `insert into listener.dead_letters (command, error) values ('{"type": "Tell"}', 'a defect')`,
        );
        const [letter] = await bench.untilLetters(bus, [
          { status: "dead", command: { type: "Tell" }, event: null, error: "a defect" },
        ]);
        expect(await bus.retry(letter!.id)).toBe("is_command");
        expect(await bus.discard(letter!.id)).toBe(true);
        await bench.untilLetters(bus, []);
        for (const id of [letter!.id, "nobody:1", "listener", "listener:1:2", ""]) {
          expect([await bus.retry(id), await bus.discard(id)]).toEqual(["not_found", false]);
        }
      });
    });
  });
}
