import { Command } from "commander";
import { migrationsFor } from "../main.ts";
import type { Config } from "../platform/config.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import { withDatabase } from "./database.ts";
import { note, print } from "./output.ts";
import { readConfig } from "./settings.ts";

export function migrateCommand(): Command {
  return new Command("migrate")
    .description("Bring the database's tables up to date; the server does the same when it starts")
    .action(() => {
      const config = readConfig();
      return withDatabase(config, (url) => run(url, config));
    });
}

async function run(url: string, config: Config): Promise<void> {
  await untilReachable(url, note);
  const { applied } = await migrate(url, migrationsFor(config));
  for (const name of applied) print(`applied ${name}`);
  if (applied.length === 0) print("The database is up to date.");
}
