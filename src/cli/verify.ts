import { Command, InvalidArgumentError } from "commander";
import { createEngine } from "../engine.ts";
import { createPool, type Pool } from "../platform/postgres/pool.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import type { Finding } from "../platform/service.ts";
import { type ServiceName, serviceNames } from "../platform/settings.ts";
import { type Housed, verifyServices } from "../platform/verify.ts";
import { withDatabase } from "./database.ts";
import { CliError, note, print } from "./output.ts";
import { showProgress } from "./progress.ts";
import { readConfig } from "./settings.ts";

interface Options {
  readonly json?: boolean;
  readonly also?: readonly string[];
}

export function verifyCommand(): Command {
  return new Command("verify")
    .description("Prove Holdfast's promises on the database as it is, while it works; changes nothing")
    .option(
      "--also <url>",
      "a database that other services have of their own, to follow orders through all; may be given several times",
      urls,
    )
    .option("--json", "print the findings as JSON")
    .addHelpText(
      "after",
      "\nExit code 0: all promises hold that could be looked at. 1: at least one is broken; what is broken is listed.",
    )
    .action(async ({ json = false, also = [] }: Options) => {
      const findings = await withDatabase(readConfig(), (url) => verifyDatabases([url, ...also]));
      if (json) print(JSON.stringify(findings, undefined, 2));
      else reportFindings(findings);
      if (findings.some(({ violations }) => violations.length > 0)) process.exitCode = 1;
    });
}

function urls(value: string, others: readonly string[] = []): string[] {
  if (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) {
    throw new InvalidArgumentError("It takes a URL such as postgres://user:password@host:5432/database.");
  }
  return [...others, value];
}

/** Each service is looked at where it has its tables. */
export async function verifyDatabases(urls: readonly string[]): Promise<Finding[]> {
  const databases: Database[] = [];
  const progress = showProgress();
  try {
    for (const url of urls) databases.push(await openDatabase(url));
    assertTogether(databases);
    const findings: Finding[] = [];
    for (const { pool } of databases) findings.push(await commitsAreDurable(pool));
    return [...findings, ...(await verifyServices(databases, progress.show))];
  } finally {
    progress.clear();
    await Promise.all(databases.map(({ close }) => close()));
  }
}

interface Database extends Housed {
  readonly close: () => Promise<unknown>;
}

async function openDatabase(databaseUrl: string): Promise<Database> {
  await untilReachable(databaseUrl, note);
  const pool = createPool(databaseUrl, { max: 1, name: "holdfast verify" });
  const present = await servicesIn(pool);
  const isApart = present.length < serviceNames.length;
  const { services, disconnect } = createEngine({ databaseUrl, services: present, isApart });
  return { pool, services, close: () => Promise.all([pool.end(), disconnect()]) };
}

async function servicesIn(pool: Pool): Promise<ServiceName[]> {
  const logs =
    "select relnamespace::regnamespace::text as schema from pg_class where relname = 'log' and relkind = 'p'";
  const schemas = new Set((await pool.query<{ schema: string }>(logs)).rows.map(({ schema }) => schema));
  return serviceNames.filter((name) => schemas.has(name));
}

function assertTogether(databases: readonly Housed[]): void {
  const names = databases.flatMap(({ services }) => services.map(({ name }) => name));
  if (names.length === 0)
    throw new CliError("there are no Holdfast tables here yet. Run `holdfast migrate`.");
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) {
    throw new CliError(
      `two of these databases have tables of ${twice}. Give those that work together, each once.`,
    );
  }
  const missing = serviceNames.filter((name) => !names.includes(name));
  if (missing.length > 0) note(`These services have their tables elsewhere: ${missing.join(", ")}.`);
}

async function commitsAreDurable(pool: Pool): Promise<Finding> {
  const names = ["fsync", "full_page_writes", "synchronous_commit"];
  const query = "select current_database() as database, name, setting from pg_settings where name = any($1)";
  const { rows } = await pool.query<{ database: string; name: string; setting: string }>(query, [names]);
  return {
    check: "promise 2: what is acknowledged is on disk",
    looked_at: `${names.join(", ")} of PostgreSQL for the database ${rows[0]!.database}`,
    violations: rows
      .filter(({ setting }) => setting === "off")
      .map(({ name }) => `${name} is off: a crash can lose what was acknowledged`),
  };
}

/** Answers whether everything holds. */
export function reportFindings(findings: readonly Finding[]): boolean {
  for (const { check, looked_at, violations, skipped = false } of findings) {
    const mark = skipped ? "–" : violations.length === 0 ? "✓" : "✗";
    print(`${mark} ${check}\n    ${looked_at}`);
    for (const violation of violations) print(`    ! ${violation}`);
  }
  const all = `of ${findings.length} checks`;
  const broken = findings.filter(({ violations }) => violations.length > 0).length;
  const skipped = findings.filter(({ skipped }) => skipped).length;
  if (broken > 0) print(`\n${broken} ${all} found violations.`);
  else if (skipped > 0) print(`\nWhatever was looked at holds; ${skipped} ${all} had nothing to look at.`);
  else print("\nEverything holds.");
  return broken === 0;
}
