import { Command } from "commander";
import { withCommas } from "../kernel/number.ts";
import type { ConsumerState } from "../platform/bus/port.ts";
import { ask, type ServerFlags, withServerFlags } from "./api.ts";
import { CliError, note, print, printTable } from "./output.ts";

interface ReplayFlags extends ServerFlags {
  readonly from: string;
  readonly topic?: string;
}

export function consumersCommand(): Command {
  const consumers = new Command("consumers").description(
    "See how far the consumers have come, and move them",
  );
  withServerFlags(consumers.command("list", { isDefault: true }))
    .description("Show each consumer group with what it has not handled yet")
    .action(list);
  withServerFlags(consumers.command("replay"))
    .description("Let a group handle events once more; what was handled before changes nothing a second time")
    .argument("<group>", "as `holdfast consumers` shows it")
    .requiredOption("--from <place>", "a position, or a time such as 2026-11-21T12:00:00Z")
    .option("--topic <topic>", "only this one of the group's topics")
    .action(replay);
  return consumers;
}

async function list(flags: ServerFlags): Promise<void> {
  const { items }: { items: ConsumerState[] } = await ask(flags, "GET", "/v1/consumers");
  if (items.length === 0) return note("There is no consumer group yet.");
  printTable(
    ["GROUP", "TOPIC", "POSITION", "LAG", "OLDEST", "RETRYING", "DEAD"],
    items.map(({ group, topic, position, lag, lag_seconds, retrying, dead }) => [
      group,
      topic,
      position === undefined ? "" : String(position),
      lag === undefined ? "" : withCommas(lag),
      lag === 0 || lag_seconds === undefined ? "" : `${lag_seconds.toFixed(1)} s`,
      withCommas(retrying),
      withCommas(dead),
    ]),
  );
}

async function replay(group: string, { from, topic, ...flags }: ReplayFlags): Promise<void> {
  const body = { from: placeOf(from), ...(topic === undefined ? {} : { topic }) };
  const path = `/v1/consumers/${encodeURIComponent(group)}/replay`;
  const { moved } = await ask(flags, "POST", path, body);
  print(`${group} begins again from ${from} in ${moved === 1 ? "one topic" : `${moved} topics`}.`);
}

function placeOf(text: string): number | string {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time.toISOString();
  throw new CliError(`--from wants a position or a time such as 2026-11-21T12:00:00Z, not ${text}.`);
}
