import { setTimeout as sleep } from "node:timers/promises";
import { openBroker } from "../../platform/bus/open.ts";
import type { Config } from "../../platform/config.ts";
import { InfrastructureError } from "../../platform/errors.ts";
import { createLogger } from "../../platform/telemetry/logger.ts";
import { createRegistry } from "../../platform/telemetry/metrics.ts";
import { type Check, failed, fine } from "./check.ts";

const patienceMs = 5_000;
const lookAgainMs = 50;

/** Nothing to say where there is no broker. */
export async function checkBroker(config: Config): Promise<Check[]> {
  const advice =
    "Start it (`npm run brokers` in a clone), or put HOLDFAST_KAFKA_BROKERS or HOLDFAST_RABBITMQ_URL right.";
  try {
    const broker = await openBroker(config, { logger: createLogger("silent"), registry: createRegistry() });
    if (broker === undefined) return [];
    try {
      const giveUpAt = performance.now() + patienceMs;
      while (!broker.state().isUp && performance.now() < giveUpAt) await sleep(lookAgainMs);
      const { isUp, reason = "no answer" } = broker.state();
      return [
        isUp ? fine(`${config.bus} answers.`) : failed(`${config.bus} does not answer: ${reason}`, advice),
      ];
    } finally {
      await broker.close();
    }
  } catch (error) {
    if (!(error instanceof InfrastructureError)) throw error;
    return [failed(error.message, advice)];
  }
}
