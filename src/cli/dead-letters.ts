import { Command, Option } from "commander";
import type { DeadLetter } from "../platform/bus/port.ts";
import { ask, type ServerFlags, withServerFlags } from "./api.ts";
import { note, print, printTable } from "./output.ts";

interface ListFlags extends ServerFlags {
  readonly group?: string;
  readonly status?: string;
  readonly json?: boolean;
}

export function deadLettersCommand(): Command {
  const letters = new Command("dead-letters").description("See what could not be handled, and deal with it");
  withServerFlags(letters.command("list", { isDefault: true }))
    .description("Show the events and commands that failed")
    .option("--group <group>", "only those of this consumer group")
    .addOption(new Option("--status <status>", "only those").choices(["retrying", "waiting", "dead"]))
    .option("--json", "print them whole, one JSON object per line")
    .action(list);
  withServerFlags(letters.command("retry"))
    .description("Try events again now; what waits behind them goes on when they succeed")
    .argument("<id...>", "as `holdfast dead-letters list` shows it")
    .action(retry);
  withServerFlags(letters.command("discard"))
    .description("Forget them for good; what waits behind them goes on")
    .argument("<id...>", "as `holdfast dead-letters list` shows it")
    .action(discard);
  return letters;
}

async function list({ json = false, ...flags }: ListFlags): Promise<void> {
  const letters = await readAll(flags);
  if (json) {
    for (const letter of letters) print(JSON.stringify(letter));
    return;
  }
  if (letters.length === 0) return note("There is none.");
  printTable(
    ["ID", "STATUS", "AT", "WHAT", "KEY", "ATTEMPTS", "NEXT TRY", "ERROR"],
    letters.map(({ id, status, at, event, command, attempts, next_try_at, error }) => [
      id,
      status,
      String(at),
      event?.type ?? (command as { type?: string } | null)?.type ?? "",
      event?.key ?? "",
      String(attempts),
      String(next_try_at ?? ""),
      error.split("\n")[0]!.slice(0, 80),
    ]),
  );
}

async function readAll({ group, status, ...flags }: ListFlags): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  const query = new URLSearchParams({ limit: "1000" });
  if (group !== undefined) query.set("group", group);
  if (status !== undefined) query.set("status", status);
  for (;;) {
    const { items, next } = await ask(flags, "GET", `/v1/dead-letters?${query}`);
    letters.push(...items);
    if (next === null) return letters;
    query.set("after", next);
  }
}

async function retry(ids: readonly string[], flags: ServerFlags): Promise<void> {
  for (const id of ids) {
    await ask(flags, "POST", `/v1/dead-letters/${encodeURIComponent(id)}/retry`);
    print(`${id} is tried again now.`);
  }
}

async function discard(ids: readonly string[], flags: ServerFlags): Promise<void> {
  for (const id of ids) {
    await ask(flags, "DELETE", `/v1/dead-letters/${encodeURIComponent(id)}`);
    print(`${id} is discarded.`);
  }
}
