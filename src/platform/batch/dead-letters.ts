import type { Pool } from "../postgres/pool.ts";
import { about } from "../telemetry/about.ts";
import type { Logger } from "../telemetry/logger.ts";
import { withoutTokens } from "../tokens.ts";

/** Sets aside a command that only a defect can explain, with what is needed to find the defect. */
export function setAside(pool: Pool, schema: string, logger: Logger) {
  return (command: object, error: unknown): void => {
    logger.error(
      { err: error, ...about(command), command: withoutTokens(command) },
      "a command could not be carried out and was set aside",
    );
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    pool
      .query(`insert into ${schema}.dead_letters (command, error) values ($1, $2)`, [
        JSON.stringify(command),
        reason,
      ])
      .catch((cause: unknown) =>
        logger.error({ err: cause, ...about(command) }, "the command that was set aside could not be kept"),
      );
  };
}
