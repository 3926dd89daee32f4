import type { Pool } from "../../postgres/pool.ts";
import { type BusOptions, createBus } from "../bus.ts";
import type { Bus } from "../port.ts";

/** The bus on PostgreSQL alone: the topics are the services' logs, and each group's cursors stand in its schema. */
export function createPostgresBus(options: BusOptions): Bus {
  const bus = createBus(options, {
    kind: "postgres",
    abilities: { orders: "topic", leavesTheDatabase: false },
    broker: () => undefined,
  });
  return {
    ...bus,
    start() {
      forgetRelay(options.pool).catch((err) => {
        options.logger.warn(
          { err },
          "what a broker was told before could not be forgotten; the logs are kept for it",
        );
      });
      bus.start();
    },
  };
}

/** No broker is told anything any more: the logs need not be kept for it. */
async function forgetRelay(pool: Pool): Promise<void> {
  const { rows } = await pool.query("select to_regclass('relay.cursors') is not null as is_there");
  if (rows[0].is_there) await pool.query("delete from relay.cursors");
}
