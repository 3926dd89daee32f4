import { Command } from "commander";
import type { Config } from "../platform/config.ts";
import { InfrastructureError } from "../platform/errors.ts";
import { findRunningPostgres } from "../platform/postgres/embedded/index.ts";
import { checkBroker } from "./doctor/broker.ts";
import { type Check, failed, fine } from "./doctor/check.ts";
import { checkDatabase } from "./doctor/database.ts";
import { checkDataDir, checkDisk, checkNode, checkPort } from "./doctor/machine.ts";
import { print } from "./output.ts";
import { readConfig } from "./settings.ts";

const marks = { fine: "✓", warning: "!", failure: "✗" };

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("Look for what is wrong with this set-up, and say what to do")
    .addHelpText("after", "\n✓ fine   ! works, but look at it   ✗ must be put right (exit code 1)")
    .action(async () => {
      const checks = await examine();
      for (const { state, what, advice } of checks) {
        print(`${marks[state]} ${what}${advice === undefined ? "" : `\n    ${advice}`}`);
      }
      if (checks.some(({ state }) => state === "failure")) process.exitCode = 1;
    });
}

async function examine(): Promise<Check[]> {
  let config: Config;
  try {
    config = readConfig();
  } catch (error) {
    if (!(error instanceof InfrastructureError)) throw error;
    return [checkNode(), failed(error.message, "`holdfast config` shows the settings once they are right.")];
  }
  const checks = [checkNode(), fine("The configuration is valid.")];
  if (config.databaseUrl === undefined) {
    checks.push(await checkDataDir(config.dataDir), await checkDisk(config.dataDir));
  }
  checks.push(await checkPort(config), ...(await checkBroker(config)));
  const url = config.databaseUrl ?? (await findRunningPostgres(config.dataDir));
  if (url === undefined)
    checks.push(fine("The embedded PostgreSQL is not running; `holdfast start` starts it."));
  else checks.push(...(await checkDatabase(url, config)));
  return checks;
}
