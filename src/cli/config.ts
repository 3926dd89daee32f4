import { Command } from "commander";
import { describeConfig, loadConfig } from "../platform/config.ts";
import { printTable } from "./output.ts";

export function configCommand(): Command {
  return new Command("config")
    .description("Show every setting, its value and where that comes from; secrets are masked")
    .action(() => {
      const rows = describeConfig(loadConfig(process.env, process.cwd()));
      printTable(
        ["SETTING", "VALUE", "SOURCE"],
        rows.map(({ name, value, source }) => [name, value, source]),
      );
    });
}
