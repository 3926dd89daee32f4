import { Command } from "commander";
import { allMigrations } from "../main.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import { withDatabase } from "./database.ts";
import { note, print } from "./output.ts";
import { readConfig } from "./settings.ts";

export function migrateCommand(): Command {
  return new Command("migrate")
    .description("Bring the database's tables up to date; the server does the same when it starts")
    .action(() => withDatabase(readConfig(), run));
}

async function run(url: string): Promise<void> {
  await untilReachable(url, note);
  const { applied } = await migrate(url, allMigrations);
  for (const name of applied) print(`applied ${name}`);
  if (applied.length === 0) print("The database is up to date.");
}
