import { Command } from "commander";
import { createEngine } from "../engine.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import { onSnapshot } from "../platform/postgres/snapshot.ts";
import type { Reader } from "../platform/postgres/statement.ts";
import type { Finding } from "../platform/service.ts";
import { type ServiceName, serviceNames } from "../platform/settings.ts";
import { withDatabase } from "./database.ts";
import { note, print } from "./output.ts";
import { showProgress } from "./progress.ts";
import { readConfig } from "./settings.ts";

export function verifyCommand(): Command {
  return new Command("verify")
    .description("Prove Holdfast's promises on the database as it is, while it works; changes nothing")
    .option("--json", "print the findings as JSON")
    .addHelpText(
      "after",
      "\nExit code 0: all promises hold. 1: at least one is broken; what is broken is listed.",
    )
    .action(async ({ json = false }: { json?: boolean }) => {
      const findings = await withDatabase(readConfig(), verifyDatabase);
      if (json) print(JSON.stringify(findings, undefined, 2));
      else reportFindings(findings);
      if (findings.some(({ violations }) => violations.length > 0)) process.exitCode = 1;
    });
}

/** All services look at the same moment. Those that have their tables elsewhere are looked at there. */
export async function verifyDatabase(databaseUrl: string): Promise<Finding[]> {
  await untilReachable(databaseUrl, note);
  const pool = createPool(databaseUrl, { max: 1, name: "holdfast verify" });
  const present = await servicesIn(pool);
  const isApart = present.length < serviceNames.length;
  if (isApart) note(`Only these services keep their tables in this database: ${present.join(", ")}.`);
  const { services, disconnect } = createEngine({ databaseUrl, services: present, isApart });
  const progress = showProgress();
  try {
    return await onSnapshot(pool, async (database) => {
      const findings = [await commitsAreDurable(database)];
      for (const service of services) findings.push(...(await service.verify(database, progress.show)));
      return findings;
    });
  } finally {
    progress.clear();
    await Promise.all([pool.end(), disconnect()]);
  }
}

async function servicesIn(pool: Pool): Promise<ServiceName[]> {
  const logs =
    "select relnamespace::regnamespace::text as schema from pg_class where relname = 'log' and relkind = 'p'";
  const schemas = new Set((await pool.query<{ schema: string }>(logs)).rows.map(({ schema }) => schema));
  return serviceNames.filter((name) => schemas.has(name));
}

async function commitsAreDurable(database: Reader): Promise<Finding> {
  const names = ["fsync", "full_page_writes", "synchronous_commit"];
  const settings = await database.read<{ name: string; setting: string }>(
    { name: "verify_durability", text: "select name, setting from pg_settings where name = any($1)" },
    [names],
  );
  return {
    check: "promise 2: what is acknowledged is on disk",
    looked_at: `${names.join(", ")} of PostgreSQL`,
    violations: settings
      .filter(({ setting }) => setting === "off")
      .map(({ name }) => `${name} is off: a crash can lose what was acknowledged`),
  };
}

/** Answers whether everything holds. */
export function reportFindings(findings: readonly Finding[]): boolean {
  for (const { check, looked_at, violations } of findings) {
    print(`${violations.length === 0 ? "✓" : "✗"} ${check}\n    ${looked_at}`);
    for (const violation of violations) print(`    ! ${violation}`);
  }
  const broken = findings.filter(({ violations }) => violations.length > 0).length;
  print(broken === 0 ? "\nEverything holds." : `\n${broken} of ${findings.length} checks found violations.`);
  return broken === 0;
}
