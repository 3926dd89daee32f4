import { Command } from "commander";
import { describeConfig } from "../platform/config.ts";
import { printTable } from "./output.ts";
import { loadWithNotes } from "./settings.ts";

export function configCommand(): Command {
  return new Command("config")
    .description("Show every setting, its value and where that comes from; secrets are masked")
    .action(() => {
      const rows = describeConfig(loadWithNotes());
      printTable(
        ["SETTING", "VALUE", "SOURCE"],
        rows.map(({ name, value, source }) => [name, value, source]),
      );
    });
}
