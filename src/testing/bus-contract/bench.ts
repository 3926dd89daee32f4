import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type Transaction, transact } from "../../platform/batch/transaction.ts";
import { relayMigrations } from "../../platform/bus/broker/index.ts";
import type { Bus, BusAbilities, BusEvent, DeadLetter, Subscription } from "../../platform/bus/port.ts";
import { type EventRecord, logWriter } from "../../platform/log/append.ts";
import { migrate } from "../../platform/postgres/migrate.ts";
import { createPool, type Pool } from "../../platform/postgres/pool.ts";
import { logMigrations } from "../../platform/service.ts";
import { useTestDatabase } from "../database.ts";
import { patience } from "../patience.ts";

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
    await expect.poll(look).toEqual(this.asOrdered(subjects));
  }

  /** Where only the events of a key are in order, those of different keys are compared as a set. */
  asOrdered(subjects: readonly string[]): readonly string[] {
    return this.orders === "topic" ? subjects : [...subjects].sort();
  }

  /** A bus waits for no broker that is away, and says so at once. */
  async untilReached(bus: Bus, topic: string, position: number): Promise<void> {
    await expect.poll(() => bus.reached(topic, position, patience.timeout)).toBe(true);
  }

  async untilLetters(bus: Bus, expected: readonly Partial<DeadLetter>[]): Promise<DeadLetter[]> {
    const look = async () => (await bus.deadLetters({}, undefined, 1_000)).items;
    await expect.poll(look).toMatchObject(expected);
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

export function numbers(count: number, prefix = ""): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

export function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}
