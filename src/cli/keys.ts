import { Command, InvalidArgumentError, Option } from "commander";
import { apiKeyMigrations, createKey, isKeyName, listKeys, revokeKey } from "../platform/http/api-keys.ts";
import { type Scope, scopes } from "../platform/http/scopes.ts";
import { migrate } from "../platform/postgres/migrate.ts";
import type { Pool } from "../platform/postgres/pool.ts";
import { untilReachable } from "../platform/postgres/reachable.ts";
import { withDatabase, withPool } from "./database.ts";
import { CliError, note, print, printTable } from "./output.ts";
import { readConfig } from "./settings.ts";

export function keysCommand(): Command {
  const keys = new Command("keys").description("Create, list and revoke API keys");
  keys
    .command("create")
    .description("Make a key and print it, once; a running server knows it at once")
    .argument("<name>", "what it is for, such as web-shop", keyName)
    .addOption(
      new Option(
        "--scope <scope...>",
        "what it may do: sell and stock include read, admin includes everything",
      )
        .choices(scopes)
        .makeOptionMandatory(),
    )
    .action((name: string, { scope }: { scope: Scope[] }) => onKeys((pool) => create(pool, name, scope)));
  keys
    .command("list")
    .description("Show all keys, the revoked ones too; what a key opens with is not kept")
    .action(() => onKeys(list));
  keys
    .command("revoke")
    .description("Make a key worthless; running servers follow within seconds")
    .argument("<id>", "as `holdfast keys list` shows it")
    .action((id: string) => onKeys((pool) => revoke(pool, id)));
  return keys;
}

function keyName(text: string): string {
  if (isKeyName(text)) return text;
  throw new InvalidArgumentError("It takes 1 to 64 printable characters.");
}

function onKeys(work: (pool: Pool) => Promise<void>): Promise<void> {
  return withDatabase(readConfig(), async (url) => {
    await untilReachable(url, note);
    await migrate(url, [apiKeyMigrations]);
    await withPool(url, "holdfast keys", work);
  });
}

async function create(pool: Pool, name: string, scopes: readonly Scope[]): Promise<void> {
  const { key, token } = await createKey(pool, { name, scopes: [...new Set(scopes)] });
  note(
    `The key ${key.name} (${key.id}) may: ${key.scopes.join(", ")}. Keep it now, it cannot be shown again:`,
  );
  print(token);
}

async function list(pool: Pool): Promise<void> {
  const keys = await listKeys(pool);
  if (keys.length === 0)
    return note("There is no API key yet: on this machine the server is open to everybody.");
  printTable(
    ["ID", "NAME", "BEGINS", "SCOPES", "CREATED", "REVOKED"],
    keys.map(({ id, name, prefix, scopes, created_at, revoked_at }) => [
      id,
      name,
      prefix,
      scopes.join(","),
      created_at.toISOString(),
      revoked_at?.toISOString() ?? "",
    ]),
  );
}

async function revoke(pool: Pool, id: string): Promise<void> {
  if (!(await revokeKey(pool, id))) {
    throw new CliError(`There is no key with the id ${id}; \`holdfast keys list\` shows them.`);
  }
  print(`Revoked ${id}.`);
}
