import type { EventEmitter } from "node:events";
import { Counter, Gauge } from "prom-client";
import { logFullEvent } from "../batch/transaction.ts";
import type { Pool } from "../postgres/pool.ts";
import { readerOf, type Statement } from "../postgres/statement.ts";
import { repeat } from "../repeat.ts";
import type { Logger } from "../telemetry/logger.ts";
import { askedGauges, type Registry } from "../telemetry/metrics.ts";
import {
  deleteOldRows,
  dropOldPartitions,
  type LogSnapshot,
  type RetentionOutcome,
  readHorizon,
} from "./drop.ts";
import {
  coverAhead,
  exclusively,
  listPartitions,
  type PartitionSizes,
  partitionSizes,
  roomAhead,
} from "./partitions.ts";

export interface KeptLog {
  readonly schema: string;
  /** How long the log is kept; absent or 0: for ever. */
  readonly days?: number;
  readonly snapshot?: LogSnapshot;
  /** Groups that read the log itself even where a relay brings it to a broker. */
  readonly followers?: readonly string[];
  /** Further tables of the schema that are kept for as long: their rows have a `position` and an `at`. */
  readonly tables?: readonly string[];
}

export interface LogKeeperOptions {
  readonly pool: Pool;
  readonly schemas: readonly KeptLog[];
  /** Drops what is too old even if a consumer group has not read it. */
  readonly force?: boolean;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly sizes?: PartitionSizes;
}

export interface LogKeeper {
  start(): void;
  stop(): Promise<void>;
  /** Does once what otherwise is done every minute. */
  run(): Promise<void>;
}

const everyMs = 60_000;

/**
 * Makes room at the end of the services' logs, ahead of need and at the latest when somebody was refused for want of it,
 * and drops from their beginning what is too old.
 */
export function logKeeper(options: LogKeeperOptions): LogKeeper {
  const metrics = keeperMetrics(options);
  const tasks = options.schemas.map((kept) => new LogTask(options, kept, metrics));
  const job = repeat(everyMs, run);
  const refills = new Map<LogTask, Promise<void>>();
  let first: Promise<void> | undefined;

  async function run(): Promise<void> {
    for (const task of tasks) await task.run();
  }

  function refill(schema: string): void {
    const task = tasks.find(({ service }) => service === schema);
    if (task === undefined || refills.has(task)) return;
    refills.set(
      task,
      task.refill().finally(() => refills.delete(task)),
    );
  }

  return {
    start() {
      (options.pool as EventEmitter).on(logFullEvent, refill);
      first = run().finally(() => job.start());
    },
    async stop() {
      (options.pool as EventEmitter).off(logFullEvent, refill);
      await job.stop();
      await Promise.all([first, ...refills.values()]);
    },
    run,
  };
}

type KeeperMetrics = ReturnType<typeof keeperMetrics>;

function keeperMetrics({ pool, schemas, logger, registry }: LogKeeperOptions) {
  const registers = [registry];
  const database = readerOf(pool);
  const rooms = () =>
    Promise.all(schemas.map(async ({ schema }) => ({ schema, room: await roomAhead(database, schema) })));
  // Not of the keeper's last round: it matters most when there is none.
  askedGauges(
    registry,
    logger,
    rooms,
  )({
    name: "log_room_batches",
    help: "How many more batches the service's log has room for; without any, nothing can be written.",
    labelNames: ["service"],
    show(metric, found) {
      for (const { schema, room } of found) metric.set({ service: schema }, room);
    },
  });
  return {
    partitions: new Gauge({
      name: "log_partitions",
      help: "Tables that the service's log consists of, empty ones for what comes included.",
      labelNames: ["service"],
      registers,
    }),
    oldest: new Gauge({
      name: "log_oldest_seconds",
      help: "Age of the oldest batch that the service's log still holds.",
      labelNames: ["service"],
      registers,
    }),
    forced: new Counter({
      name: "retention_forced_total",
      help: "Batches that were dropped by force before the consumer group had read them.",
      labelNames: ["service", "group"],
      registers,
    }),
  };
}

/** What is to be done for one log. */
class LogTask {
  private readonly options: LogKeeperOptions;
  private readonly kept: KeptLog;
  private readonly metrics: KeeperMetrics;
  private readonly warnedOf = new Set<string>();
  private wasShort = false;
  // A process that died may have left something that is to be forgotten.
  private mustForget = true;

  constructor(options: LogKeeperOptions, kept: KeptLog, metrics: KeeperMetrics) {
    this.options = options;
    this.kept = kept;
    this.metrics = metrics;
  }

  get service(): string {
    return this.kept.schema;
  }

  /** Whoever was refused tries again within a second, and tells us again if there is still no room. */
  async refill(): Promise<void> {
    this.options.logger.warn(
      { service: this.service },
      `the log of ${this.service} had no room left: making some`,
    );
    await this.cover();
  }

  async run(): Promise<void> {
    await this.cover();
    await this.attempt("the log's room could not be looked at", () => this.lookAtRoom());
    await this.attempt("what is too old in the log could not be dropped", () => this.retain());
    await this.attempt("the log could not be measured", () => this.measure());
  }

  private async attempt(trouble: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { logger } = this.options;
      logger.warn({ err: error, service: this.kept.schema }, `${trouble}; trying again in a minute`);
    }
  }

  private get sizes(): PartitionSizes {
    return this.options.sizes ?? partitionSizes;
  }

  private async cover(): Promise<void> {
    const { schema } = this.kept;
    await this.attempt("the log could not be given more room", async () => {
      await exclusively(this.options.pool, schema, (tx) => coverAhead(tx, schema, this.sizes));
    });
  }

  /** Whichever process makes the room, each one sees whether there is enough; one look may come just before it is. */
  private async lookAtRoom(): Promise<void> {
    const { pool, logger } = this.options;
    const { schema } = this.kept;
    const room = await roomAhead(readerOf(pool), schema);
    const isShort = room < this.sizes.ahead / 2;
    if (isShort && this.wasShort) {
      logger.error(
        { service: schema, room },
        `the log of ${schema} has room for ${room} more batches only: then nothing can be written any more`,
      );
    }
    this.wasShort = isShort;
  }

  private async retain(): Promise<void> {
    const { pool, force = false } = this.options;
    const { schema, days = 0, snapshot, followers = [], tables = [] } = this.kept;
    if (days > 0) {
      const outcome = await dropOldPartitions(pool, schema, { days, force, snapshot, followers });
      if (outcome !== undefined) this.tell(outcome, days);
      if (outcome !== undefined && outcome.dropped.length > 0) this.mustForget = true;
      for (const table of tables) await deleteOldRows(pool, schema, table, days);
    }
    if (this.mustForget) await this.forget();
  }

  private async forget(): Promise<void> {
    const { pool } = this.options;
    const { schema, snapshot } = this.kept;
    const horizon = await readHorizon(readerOf(pool), schema);
    if (snapshot === undefined || horizon.position === 0) this.mustForget = false;
    else this.mustForget = !(await snapshot.forget((work) => exclusively(pool, schema, work), horizon));
  }

  private tell({ dropped, slow, forced }: RetentionOutcome, days: number): void {
    const { logger } = this.options;
    const service = this.kept.schema;
    for (const { group, topic, unread } of slow) {
      if (forced) {
        this.metrics.forced.inc({ service, group }, unread);
        logger.error(
          { group, topic, unread },
          `${unread} batches of ${topic} were dropped before ${group} had read them: retention is forced`,
        );
      } else if (!this.warnedOf.has(group)) {
        logger.warn(
          { group, topic, unread },
          `${topic} keeps more than ${days} days of its log, since ${group} has not read it yet`,
        );
      }
    }
    this.warnedOf.clear();
    for (const { group } of slow) this.warnedOf.add(group);
    if (dropped.length > 0) logger.info({ service, dropped }, "dropped what is too old in the log");
  }

  private async measure(): Promise<void> {
    const { schema } = this.kept;
    const database = readerOf(this.options.pool);
    const partitions = await listPartitions(database, schema);
    this.metrics.partitions.set({ service: schema }, partitions.length);
    const [oldest] = await database.read<{ seconds: number }>(ageOfOldest(schema));
    if (oldest === undefined) this.metrics.oldest.remove({ service: schema });
    else this.metrics.oldest.set({ service: schema }, oldest.seconds);
  }
}

function ageOfOldest(schema: string): Statement {
  return {
    name: `${schema}_log_age_of_oldest`,
    text: `select extract(epoch from clock_timestamp() - at)::float8 as seconds from ${schema}.log
           order by position limit 1`,
  };
}
